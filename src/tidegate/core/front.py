"""What stands between clients and the proxies of a Gateway: the Service in front of them, as the cluster has it.

Comes in: that Service, which every replica sees alike. Goes out: which ports of it lead to the same port of the
proxies, where these listen. Clients come through it whatever its type is, and with host network as well: its addresses
are the ones that the Gateway publishes.
"""

from __future__ import annotations

import msgspec

from tidegate.core.gateways import DECISIONS
from tidegate.core.incremental import Unit, View
from tidegate.core.infrastructure import is_of_another, is_ours, service_of
from tidegate.core.tables import GATEWAYS, SERVICES
from tidegate.model.corev1 import Service
from tidegate.model.gateway import Gateway
from tidegate.names import ObjectKey


class Missing(msgspec.Struct, frozen=True):
    """What is lacking, for people. ``waiting``: it is perhaps about to be there."""

    message: str
    waiting: bool


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """``ports`` (protocol, number) are those that lead to the proxies of a Gateway."""

    service: ObjectKey
    ports: frozenset[tuple[str, int]] = frozenset()
    missing: Missing | None = None

    def lacking(self, protocol: str, port: int) -> Missing | None:
        """Why clients do not reach the proxies at a port; None: they do."""
        if self.missing is not None or (protocol, port) in self.ports:
            return self.missing
        return Missing(
            f"Service {self.service.path} does not lead {protocol} port {port} to the proxies yet", waiting=True
        )


def service_in_front(view: View, gateway: Gateway) -> Service | Missing:
    """The Service that leads clients to a Gateway's proxies, or why there is none."""
    key = service_of(gateway)
    service = view.get(SERVICES, key)
    if service is None:
        return Missing(f"Service {key.path} is not there yet", waiting=True)
    if not is_ours(service):
        return Missing(f"Service {key.path} is not tidegate's: rename it or the Gateway", waiting=False)
    if is_of_another(service, gateway):
        return Missing(f"Service {key.path} is that of another Gateway: rename one of the two", waiting=False)
    if service.metadata.deletion_timestamp is not None:
        return Missing(f"Service {key.path} is being deleted, and made anew after that", waiting=True)
    return service


def _front(view: View, key: ObjectKey) -> Front | None:
    if not view.config.scope_per_gateway:
        return None
    gateway = view.get(GATEWAYS, key)
    assert gateway is not None
    name, service = service_of(gateway), service_in_front(view, gateway)
    if isinstance(service, Missing):
        return Front(service=name, missing=service)
    led = ((one.protocol, one.port) for one in service.spec.ports if one.target_port in (None, one.port))
    return Front(service=name, ports=frozenset(led))


FRONT: Unit[ObjectKey, Front] = Unit("services in front", DECISIONS, _front)
