"""Route kinds. All L4 kinds share the shape of TCPRoute; a kind of its own is a new class here."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from tidegate.model.meta import ApiStruct, ObjectMeta
from tidegate.model.scalars import Group, KindName, NamespaceName, ObjectName, PortNumber, SectionName, Weight, choice
from tidegate.names import CORE_GROUP, GATEWAY_GROUP


class ParentReference(ApiStruct, frozen=True, kw_only=True):
    """A reference from a route to a Gateway, or to listeners of it by name, port or both."""

    group: Group = GATEWAY_GROUP
    kind: KindName = "Gateway"
    namespace: NamespaceName | None = None
    name: ObjectName
    section_name: SectionName | None = None
    port: PortNumber | None = None


class BackendRef(ApiStruct, frozen=True, kw_only=True):
    """A weighted reference to a backend; ``weight`` is 0 to 1,000,000, relative to the rule's sum."""

    group: Group = CORE_GROUP
    kind: KindName = "Service"
    name: ObjectName
    namespace: NamespaceName | None = None
    port: PortNumber | None = None
    weight: Weight = 1


class RouteRule(ApiStruct, frozen=True, kw_only=True):
    name: SectionName | None = None
    backend_refs: Annotated[tuple[BackendRef, ...], Meta(min_length=1, max_length=16)]


class RouteSpec(ApiStruct, frozen=True, kw_only=True):
    """``rules`` has exactly one entry in v1; objects written through v1alpha2 may have up to 16."""

    EXPERIMENTAL: ClassVar[frozenset[str]] = frozenset({"useDefaultGateways"})

    parent_refs: Annotated[tuple[ParentReference, ...], Meta(max_length=32)] = ()
    rules: Annotated[tuple[RouteRule, ...], Meta(min_length=1, max_length=16)]
    use_default_gateways: Annotated[str, choice("All", "None")] | None = None


class TCPRoute(ApiStruct, frozen=True, kw_only=True):
    """All TCP connections of the listeners it attaches to go to its backends."""

    GROUP: ClassVar[str] = GATEWAY_GROUP
    KIND: ClassVar[str] = "TCPRoute"

    metadata: ObjectMeta
    spec: RouteSpec


Route = TCPRoute
"""Every route kind that this build reads; a union once there is more than one."""
