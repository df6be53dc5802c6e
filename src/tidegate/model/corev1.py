"""The fields of Kubernetes' own kinds that tidegate uses: Namespace, Service, EndpointSlice."""

from __future__ import annotations

from typing import ClassVar

from tidegate.model.meta import ApiStruct, ObjectMeta
from tidegate.names import CORE_GROUP, DISCOVERY_GROUP

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


class Namespace(ApiStruct, frozen=True, kw_only=True):
    """A Namespace; only its labels matter."""

    GROUP: ClassVar[str] = CORE_GROUP
    KIND: ClassVar[str] = "Namespace"

    metadata: ObjectMeta


class ServicePort(ApiStruct, frozen=True, kw_only=True):
    """``target_port`` is a number, a name, or None (the same as ``port``)."""

    name: str = ""
    port: int
    protocol: str = "TCP"
    target_port: int | str | None = None
    app_protocol: str | None = None


class ServiceSpec(ApiStruct, frozen=True, kw_only=True):
    type: str = "ClusterIP"
    ports: tuple[ServicePort, ...] = ()
    external_name: str | None = None


class Service(ApiStruct, frozen=True, kw_only=True):
    """A Service; its endpoints are those of the EndpointSlices labelled with its name."""

    GROUP: ClassVar[str] = CORE_GROUP
    KIND: ClassVar[str] = "Service"

    metadata: ObjectMeta
    spec: ServiceSpec = ServiceSpec()


class EndpointPort(ApiStruct, frozen=True, kw_only=True):
    name: str = ""
    protocol: str = "TCP"
    port: int | None = None


class EndpointConditions(ApiStruct, frozen=True, kw_only=True):
    """None means: ready is true, serving is as ready, terminating is false."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class SliceEndpoint(ApiStruct, frozen=True, kw_only=True):
    addresses: tuple[str, ...]
    conditions: EndpointConditions = EndpointConditions()


class EndpointSlice(ApiStruct, frozen=True, kw_only=True):
    """``address_type`` is ``IPv4``, ``IPv6`` or ``FQDN`` (the last is ignored)."""

    GROUP: ClassVar[str] = DISCOVERY_GROUP
    KIND: ClassVar[str] = "EndpointSlice"

    metadata: ObjectMeta
    address_type: str
    endpoints: tuple[SliceEndpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
