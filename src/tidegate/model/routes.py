"""Route kinds. All L4 kinds share the shape of TCPRoute; a kind of its own is a new class here."""

from __future__ import annotations

from typing import ClassVar

from tidegate.model.meta import ApiStruct, ObjectMeta
from tidegate.names import CORE_GROUP, GATEWAY_GROUP


class ParentReference(ApiStruct, frozen=True, kw_only=True):
    """A reference from a route to a Gateway, or to listeners of it by name, port or both."""

    group: str = GATEWAY_GROUP
    kind: str = "Gateway"
    namespace: str | None = None
    name: str
    section_name: str | None = None
    port: int | None = None


class BackendRef(ApiStruct, frozen=True, kw_only=True):
    """A weighted reference to a backend; ``weight`` is 0 to 1,000,000, relative to the rule's sum."""

    group: str = CORE_GROUP
    kind: str = "Service"
    name: str
    namespace: str | None = None
    port: int | None = None
    weight: int = 1


class RouteRule(ApiStruct, frozen=True, kw_only=True):
    name: str | None = None
    backend_refs: tuple[BackendRef, ...] = ()


class RouteSpec(ApiStruct, frozen=True, kw_only=True):
    """``rules`` has exactly one entry in v1; objects written through v1alpha2 may have up to 16."""

    parent_refs: tuple[ParentReference, ...] = ()
    rules: tuple[RouteRule, ...]


class TCPRoute(ApiStruct, frozen=True, kw_only=True):
    """All TCP connections of the listeners it attaches to go to its backends."""

    GROUP: ClassVar[str] = GATEWAY_GROUP
    KIND: ClassVar[str] = "TCPRoute"

    metadata: ObjectMeta
    spec: RouteSpec


Route = TCPRoute
"""Every route kind that this build reads; a union once there is more than one."""
