"""GatewayParameters: how the data plane of a Gateway is run in a cluster (``tidegate.dev/v1alpha1``).

A GatewayClass names one in ``parametersRef``, a Gateway in ``infrastructure.parametersRef``. Every field is optional:
None, and an empty map or list as well, means that it is not set. Which value holds then is decided in
``core.parameters``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from tidegate.model.meta import ApiStruct, ObjectMeta
from tidegate.model.scalars import Int64, Quantity, choice
from tidegate.names import TIDEGATE_GROUP

_ENTRIES = Meta(max_length=64)


class ServiceParameters(ApiStruct, frozen=True, kw_only=True):
    """How the data plane's Service is exposed; the fields are those of a Service's ``spec``."""

    type: Annotated[str, choice("LoadBalancer", "NodePort", "ClusterIP")] | None = None
    load_balancer_class: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    external_traffic_policy: Annotated[str, choice("Cluster", "Local")] | None = None


class ResourceParameters(ApiStruct, frozen=True, kw_only=True):
    """``resources`` of a container."""

    requests: Annotated[dict[str, Quantity], _ENTRIES] = {}
    limits: Annotated[dict[str, Quantity], _ENTRIES] = {}


class Toleration(ApiStruct, frozen=True, kw_only=True):
    """One of a Pod's ``tolerations``."""

    key: Annotated[str, Meta(min_length=1, max_length=317)] | None = None
    operator: Annotated[str, choice("Exists", "Equal")] | None = None
    value: Annotated[str, Meta(max_length=63)] | None = None
    effect: Annotated[str, choice("NoSchedule", "PreferNoSchedule", "NoExecute")] | None = None
    toleration_seconds: Int64 | None = None


class PodParameters(ApiStruct, frozen=True, kw_only=True):
    """What the data plane's Pods are like."""

    image: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    resources: ResourceParameters | None = None
    node_selector: Annotated[dict[str, Annotated[str, Meta(max_length=63)]], _ENTRIES] = {}
    tolerations: Annotated[tuple[Toleration, ...], _ENTRIES] = ()
    host_network: bool | None = None


class GatewayParametersSpec(ApiStruct, frozen=True, kw_only=True):
    """``drain_seconds``: how long a Pod that ends lets its connections go on."""

    replicas: Annotated[int, Meta(ge=1, le=100)] | None = None
    service: ServiceParameters | None = None
    pod: PodParameters | None = None
    drain_seconds: Annotated[int, Meta(ge=0, le=3600)] | None = None
    access_log: Annotated[str, choice("off", "text", "json")] | None = None


class GatewayParameters(ApiStruct, frozen=True, kw_only=True):
    """What ``parametersRef`` of a class or of a Gateway can name."""

    GROUP: ClassVar[str] = TIDEGATE_GROUP
    KIND: ClassVar[str] = "GatewayParameters"

    metadata: ObjectMeta
    spec: GatewayParametersSpec
