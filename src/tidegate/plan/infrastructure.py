"""What a Gateway needs in a cluster to be served: the plan of its data plane's own Kubernetes objects.

One value per Gateway of ours, from the decision (``core``) to the fleet (``fleet``), which turns it into
manifests, or leaves alone what is there. Names and labels follow GEP-1762, propagated labels and annotations GEP-1867.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from tidegate.names import ObjectKey


class ServiceType(enum.Enum):
    """How the data plane's Service is exposed (``Service.spec.type``)."""

    LOAD_BALANCER = "LoadBalancer"
    NODE_PORT = "NodePort"
    CLUSTER_IP = "ClusterIP"


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """What ``parametersRef`` can choose about a Gateway's data plane; see ``docs/kubernetes.md``.

    ``image`` None: the controller's own image. ``resources``, ``tolerations`` and ``node_selector`` are those of
    a Pod's specification. ``drain_time`` is how long, in seconds, a Pod that ends lets its connections go on.
    ``load_balancer_class`` and ``external_traffic_policy`` are those of the Service; None leaves them out.
    """

    replicas: int = 1
    service_type: ServiceType = ServiceType.LOAD_BALANCER
    image: str | None = None
    resources: Mapping[str, Any] = {}
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Mapping[str, Any], ...] = ()
    host_network: bool = False
    drain_time: int = 60
    load_balancer_class: str | None = None
    external_traffic_policy: str | None = None
    access_log: str = "off"


class InfrastructurePort(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """A port that the data plane's Service opens. ``name`` is unique in the Service (a DNS label)."""

    name: str
    port: int
    protocol: str


class Infrastructure(msgspec.Struct, frozen=True, kw_only=True):
    """The data plane of one Gateway. Its scope is ``gateway.path``.

    ``name`` is that of all generated objects, at most 63 characters and a DNS label. ``uid`` is the Gateway's, for
    owner references. ``labels`` and ``annotations`` are those of ``spec.infrastructure``. ``addresses`` are the
    values that the Gateway asks for, in order. ``ports`` are those of all accepted listeners, sorted.
    """

    gateway: ObjectKey
    uid: str
    class_name: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ports: tuple[InfrastructurePort, ...]
    addresses: tuple[str, ...]
    parameters: Parameters

    @property
    def scope(self) -> str:
        """What the data plane serves, as in the plan's socket keys."""
        return self.gateway.path


class KeptInfrastructure(msgspec.Struct, frozen=True, kw_only=True):
    """The Gateway is ours, but not accepted now; its parameters may be gone, for example.

    A data plane that it has goes on: its objects, all named ``name``, stay as they are. If it has none, none is made.
    ``access_log`` is the format that was last asked for, for a controller that was not there.
    """

    gateway: ObjectKey
    name: str
    access_log: str = "off"

    @property
    def scope(self) -> str:
        """What the data plane serves, as in the plan's socket keys."""
        return self.gateway.path


class TroubleReason(enum.Enum):
    """What kind of obstacle there is to a Gateway's objects."""

    NO_RESOURCES = "NoResources"
    """A quota is used up."""
    REFUSED = "Refused"
    """The API server, or an admission policy of the cluster, does not take what the Gateway needs."""
    OTHER = "Other"
    """A name is taken, a right is missing: it does not lie in the Gateway."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why a Gateway's objects are not what they should be; ``message`` is for people, in the API server's words."""

    reason: TroubleReason
    message: str


class ProxyContainer(msgspec.Struct, frozen=True, kw_only=True):
    """What the container of a data plane's Pod runs: from the data plane, which knows it, to the fleet.

    ``arguments`` and ``drain_arguments`` follow the image's command (``tidegate``); the latter runs before the
    container is told to end, for up to the drain time. ``$(POD_NAME)`` and ``$(POD_IPS)`` in the former stand for the
    Pod's; in the latter nothing does. ``files`` (name to content) are mounted in ``configuration_directory``; the
    certificate (``tls.crt``, ``tls.key``) and the authorities to trust (``ca.crt``) in ``certificates_directory``;
    ``run_directory`` is empty and writable. ``status_port`` answers ``GET /ready`` (200 once the first configuration is
    there) and ``GET /stats/prometheus``.
    """

    arguments: tuple[str, ...]
    drain_arguments: tuple[str, ...]
    files: Mapping[str, str]
    configuration_directory: str
    certificates_directory: str
    run_directory: str
    status_port: int
