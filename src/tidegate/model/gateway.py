"""GatewayClass and Gateway (Gateway API v1; v1beta1 has the same schema)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tidegate.model.meta import ApiStruct, LabelSelector, ObjectMeta
from tidegate.names import GATEWAY_GROUP


class ParametersReference(ApiStruct, frozen=True, kw_only=True):
    """Reference to a resource with implementation-specific parameters."""

    group: str
    kind: str
    name: str
    namespace: str | None = None


class GatewayClassSpec(ApiStruct, frozen=True, kw_only=True):
    controller_name: str
    description: str | None = None
    parameters_ref: ParametersReference | None = None


class GatewayClass(ApiStruct, frozen=True, kw_only=True):
    """A class of Gateways; ours when ``spec.controllerName`` is our controller name."""

    GROUP: ClassVar[str] = GATEWAY_GROUP
    KIND: ClassVar[str] = "GatewayClass"

    metadata: ObjectMeta
    spec: GatewayClassSpec


class RouteNamespaces(ApiStruct, frozen=True, kw_only=True):
    """``allowedRoutes.namespaces``: ``from_`` is ``All``, ``Selector`` or ``Same``."""

    from_: str = msgspec.field(default="Same", name="from")
    selector: LabelSelector | None = None


class RouteGroupKind(ApiStruct, frozen=True, kw_only=True):
    group: str = GATEWAY_GROUP
    kind: str


class AllowedRoutes(ApiStruct, frozen=True, kw_only=True):
    """Which routes a listener takes. An empty ``kinds`` means every kind of the protocol."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: tuple[RouteGroupKind, ...] = ()


class SecretObjectReference(ApiStruct, frozen=True, kw_only=True):
    group: str = ""
    kind: str = "Secret"
    name: str
    namespace: str | None = None


class ListenerTLSConfig(ApiStruct, frozen=True, kw_only=True):
    mode: str = "Terminate"
    certificate_refs: tuple[SecretObjectReference, ...] = ()
    options: dict[str, str] = {}


class Listener(ApiStruct, frozen=True, kw_only=True):
    """One ``spec.listeners`` entry; ``port`` is 1 to 65535, ``hostname`` None means any."""

    name: str
    port: int
    protocol: str
    hostname: str | None = None
    tls: ListenerTLSConfig | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()


class GatewaySpecAddress(ApiStruct, frozen=True, kw_only=True):
    """A requested address. ``value`` None asks for any address of that type."""

    type: str = "IPAddress"
    value: str | None = None


class LocalParametersReference(ApiStruct, frozen=True, kw_only=True):
    group: str
    kind: str
    name: str


class GatewayInfrastructure(ApiStruct, frozen=True, kw_only=True):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    parameters_ref: LocalParametersReference | None = None


class GatewaySpec(ApiStruct, frozen=True, kw_only=True):
    gateway_class_name: str
    listeners: tuple[Listener, ...]
    addresses: tuple[GatewaySpecAddress, ...] = ()
    infrastructure: GatewayInfrastructure | None = None


class Gateway(ApiStruct, frozen=True, kw_only=True):
    """A Gateway: listeners on addresses."""

    GROUP: ClassVar[str] = GATEWAY_GROUP
    KIND: ClassVar[str] = "Gateway"

    metadata: ObjectMeta
    spec: GatewaySpec
