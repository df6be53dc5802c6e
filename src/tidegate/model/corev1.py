"""The fields of Kubernetes' own kinds that tidegate uses: Namespace, Service, EndpointSlice."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from tidegate.model.meta import ApiStruct, ObjectMeta
from tidegate.model.scalars import (
    ZERO_IS_ABSENT,
    LabelKey,
    OptionalDnsLabel,
    PortName,
    PortNumber,
    Transport,
    choice,
)
from tidegate.names import CORE_GROUP, DISCOVERY_GROUP

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


class Namespace(ApiStruct, frozen=True, kw_only=True):
    """A Namespace; only its labels matter."""

    GROUP: ClassVar[str] = CORE_GROUP
    KIND: ClassVar[str] = "Namespace"
    UNREAD: ClassVar[frozenset[str]] = frozenset({"spec"})

    metadata: ObjectMeta


class ServicePort(ApiStruct, frozen=True, kw_only=True):
    """``target_port`` is a number, a name, or None (the same as ``port``)."""

    UNREAD: ClassVar[frozenset[str]] = frozenset({"nodePort"})

    name: OptionalDnsLabel = ""
    port: PortNumber
    protocol: Transport = "TCP"
    target_port: Annotated[PortNumber | PortName, ZERO_IS_ABSENT] | None = None
    app_protocol: LabelKey | None = None


class ServiceSpec(ApiStruct, frozen=True, kw_only=True):
    """``cluster_ip`` is ``None`` (the text) for a headless Service; ``cluster_ips`` has one for each IP family."""

    UNREAD: ClassVar[frozenset[str]] = frozenset(
        {
            "selector",
            "externalIPs",
            "sessionAffinity",
            "sessionAffinityConfig",
            "loadBalancerIP",
            "loadBalancerSourceRanges",
            "loadBalancerClass",
            "allocateLoadBalancerNodePorts",
            "externalTrafficPolicy",
            "internalTrafficPolicy",
            "healthCheckNodePort",
            "publishNotReadyAddresses",
            "ipFamilies",
            "ipFamilyPolicy",
            "trafficDistribution",
        }
    )

    type: Annotated[str, choice("ClusterIP", "NodePort", "LoadBalancer", "ExternalName", zero_is_absent=True)] = (
        "ClusterIP"
    )
    ports: tuple[ServicePort, ...] = ()
    external_name: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")


class LoadBalancerIngress(ApiStruct, frozen=True, kw_only=True):
    """Where a load balancer is reached: most give an ``ip``, some a ``hostname``."""

    UNREAD: ClassVar[frozenset[str]] = frozenset({"ipMode", "ports"})

    ip: str | None = None
    hostname: str | None = None


class LoadBalancerStatus(ApiStruct, frozen=True, kw_only=True):
    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(ApiStruct, frozen=True, kw_only=True):
    """What the cluster has assigned to a Service."""

    UNREAD: ClassVar[frozenset[str]] = frozenset({"conditions"})

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(ApiStruct, frozen=True, kw_only=True):
    """A Service; its endpoints are those of the EndpointSlices labelled with its name."""

    GROUP: ClassVar[str] = CORE_GROUP
    KIND: ClassVar[str] = "Service"

    metadata: ObjectMeta
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus | None = None


class EndpointPort(ApiStruct, frozen=True, kw_only=True):
    """``port`` None means every port."""

    UNREAD: ClassVar[frozenset[str]] = frozenset({"appProtocol"})

    name: OptionalDnsLabel = ""
    protocol: Transport = "TCP"
    port: PortNumber | None = None


class EndpointConditions(ApiStruct, frozen=True, kw_only=True):
    """None means: ready is true, serving is as ready, terminating is false."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class SliceEndpoint(ApiStruct, frozen=True, kw_only=True):
    UNREAD: ClassVar[frozenset[str]] = frozenset(
        {"hostname", "nodeName", "zone", "targetRef", "hints", "deprecatedTopology"}
    )

    addresses: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)]
    conditions: EndpointConditions = EndpointConditions()


class EndpointSlice(ApiStruct, frozen=True, kw_only=True):
    """``address_type`` is ``IPv4``, ``IPv6`` or ``FQDN`` (the last is ignored)."""

    GROUP: ClassVar[str] = DISCOVERY_GROUP
    KIND: ClassVar[str] = "EndpointSlice"

    metadata: ObjectMeta
    address_type: Annotated[str, choice("IPv4", "IPv6", "FQDN")]
    endpoints: Annotated[tuple[SliceEndpoint, ...], Meta(max_length=1000)] = ()
    ports: Annotated[tuple[EndpointPort, ...], Meta(max_length=20_000)] = ()
