"""GatewayClass and Gateway (Gateway API v1; v1beta1 has the same schema)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from tidegate.model.meta import ApiStruct, LabelSelector, ObjectMeta
from tidegate.model.scalars import (
    AddressType,
    AnnotationValue,
    ControllerName,
    Group,
    Hostname,
    InfrastructureKey,
    KindName,
    LabelValue,
    NamespaceName,
    ObjectName,
    PortNumber,
    ProtocolType,
    SectionName,
    choice,
)
from tidegate.names import GATEWAY_GROUP


class ParametersReference(ApiStruct, frozen=True, kw_only=True):
    """Reference to a resource with implementation-specific parameters."""

    group: Group
    kind: KindName
    name: ObjectName
    namespace: NamespaceName | None = None


class GatewayClassSpec(ApiStruct, frozen=True, kw_only=True):
    controller_name: ControllerName
    description: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    parameters_ref: ParametersReference | None = None


class GatewayClass(ApiStruct, frozen=True, kw_only=True):
    """A class of Gateways; ours when ``spec.controllerName`` is our controller name."""

    GROUP: ClassVar[str] = GATEWAY_GROUP
    KIND: ClassVar[str] = "GatewayClass"

    metadata: ObjectMeta
    spec: GatewayClassSpec


class RouteNamespaces(ApiStruct, frozen=True, kw_only=True):
    """``allowedRoutes.namespaces``: ``from_`` is ``All``, ``Selector`` or ``Same``."""

    from_: Annotated[str, choice("All", "Selector", "Same")] = msgspec.field(default="Same", name="from")
    selector: LabelSelector | None = None


class RouteGroupKind(ApiStruct, frozen=True, kw_only=True):
    group: Group = GATEWAY_GROUP
    kind: KindName


class AllowedRoutes(ApiStruct, frozen=True, kw_only=True):
    """Which routes a listener takes. An empty ``kinds`` means every kind of the protocol."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: Annotated[tuple[RouteGroupKind, ...], msgspec.Meta(max_length=8)] = ()


class SecretObjectReference(ApiStruct, frozen=True, kw_only=True):
    group: Group = ""
    kind: KindName = "Secret"
    name: ObjectName
    namespace: NamespaceName | None = None


class ListenerTLSConfig(ApiStruct, frozen=True, kw_only=True):
    mode: Annotated[str, choice("Terminate", "Passthrough")] = "Terminate"
    certificate_refs: Annotated[tuple[SecretObjectReference, ...], msgspec.Meta(max_length=64)] = ()
    options: Annotated[dict[str, AnnotationValue], msgspec.Meta(max_length=16)] = {}


class Listener(ApiStruct, frozen=True, kw_only=True):
    """One ``spec.listeners`` entry; ``port`` is 1 to 65535, ``hostname`` None means any."""

    name: SectionName
    port: PortNumber
    protocol: ProtocolType
    hostname: Hostname | None = None
    tls: ListenerTLSConfig | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()


class GatewaySpecAddress(ApiStruct, frozen=True, kw_only=True):
    """A requested address. ``value`` None asks for any address of that type."""

    type: AddressType = "IPAddress"
    value: Annotated[str, msgspec.Meta(max_length=253)] | None = None


class LocalParametersReference(ApiStruct, frozen=True, kw_only=True):
    group: Group
    kind: KindName
    name: ObjectName


class GatewayInfrastructure(ApiStruct, frozen=True, kw_only=True):
    labels: Annotated[dict[InfrastructureKey, LabelValue], msgspec.Meta(max_length=8)] = {}
    annotations: Annotated[dict[InfrastructureKey, AnnotationValue], msgspec.Meta(max_length=16)] = {}
    parameters_ref: LocalParametersReference | None = None


class ListenerNamespaces(ApiStruct, frozen=True, kw_only=True):
    """``allowedListeners.namespaces``: ``from_`` is ``All``, ``Selector``, ``Same`` or ``None``."""

    from_: Annotated[str, choice("All", "Selector", "Same", "None")] = msgspec.field(default="None", name="from")
    selector: LabelSelector | None = None


class AllowedListeners(ApiStruct, frozen=True, kw_only=True):
    """Which namespaces' ListenerSets a Gateway takes; absent: none."""

    namespaces: ListenerNamespaces = ListenerNamespaces()


class ObjectReference(ApiStruct, frozen=True, kw_only=True):
    group: Group
    kind: KindName
    name: ObjectName
    namespace: NamespaceName | None = None


class FrontendTLSValidation(ApiStruct, frozen=True, kw_only=True):
    """How clients' certificates are checked."""

    ca_certificate_refs: Annotated[tuple[ObjectReference, ...], msgspec.Meta(min_length=1, max_length=16)]
    mode: Annotated[str, choice("AllowValidOnly", "AllowInsecureFallback")] = "AllowValidOnly"


class FrontendTLSDefault(ApiStruct, frozen=True, kw_only=True):
    validation: FrontendTLSValidation | None = None


class FrontendTLSPort(ApiStruct, frozen=True, kw_only=True):
    port: PortNumber
    tls: FrontendTLSDefault


class FrontendTLSConfig(ApiStruct, frozen=True, kw_only=True):
    default: FrontendTLSDefault
    per_port: Annotated[tuple[FrontendTLSPort, ...], msgspec.Meta(max_length=64)] = ()


class BackendTLSConfig(ApiStruct, frozen=True, kw_only=True):
    client_certificate_ref: SecretObjectReference | None = None


class GatewayTLSConfig(ApiStruct, frozen=True, kw_only=True):
    """TLS between clients and all listeners, and between the Gateway and backends."""

    backend: BackendTLSConfig | None = None
    frontend: FrontendTLSConfig | None = None


class GatewaySpec(ApiStruct, frozen=True, kw_only=True):
    EXPERIMENTAL: ClassVar[frozenset[str]] = frozenset({"defaultScope"})

    gateway_class_name: ObjectName
    listeners: Annotated[tuple[Listener, ...], msgspec.Meta(min_length=1, max_length=64)]
    addresses: Annotated[tuple[GatewaySpecAddress, ...], msgspec.Meta(max_length=16)] = ()
    infrastructure: GatewayInfrastructure | None = None
    allowed_listeners: AllowedListeners | None = None
    tls: GatewayTLSConfig | None = None


class Gateway(ApiStruct, frozen=True, kw_only=True):
    """A Gateway: listeners on addresses."""

    GROUP: ClassVar[str] = GATEWAY_GROUP
    KIND: ClassVar[str] = "Gateway"

    metadata: ObjectMeta
    spec: GatewaySpec
