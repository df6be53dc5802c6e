"""Which proxies of a Gateway are ready: those whose Pods are ready endpoints of the Service in front of them.

Comes in: that Service and its EndpointSlices alone. Goes out: addresses in canonical form, for the data plane, which
knows which proxy has which. A Pod with an address of each IP family is there with both. Behind a Service that is
another Gateway's, no proxy of this one is.
"""

from __future__ import annotations

from tidegate.core.backends import canonical, is_ready, reachable_slices
from tidegate.core.gateways import DECISIONS
from tidegate.core.incremental import Unit, View
from tidegate.core.infrastructure import is_of_another, service_of
from tidegate.core.tables import GATEWAYS, SERVICES
from tidegate.names import ObjectKey


def _ready(view: View, key: ObjectKey) -> frozenset[str] | None:
    if not view.config.scope_per_gateway:
        return None
    gateway = view.get(GATEWAYS, key)
    assert gateway is not None
    service = service_of(gateway)
    there = view.get(SERVICES, service)
    if there is not None and is_of_another(there, gateway):
        return frozenset()
    return frozenset(
        canonical(address)
        for endpoint_slice in reachable_slices(view, service.namespace, service.name)
        for endpoint in endpoint_slice.endpoints
        if is_ready(endpoint)
        for address in endpoint.addresses
    )


READY: Unit[ObjectKey, frozenset[str]] = Unit("ready proxies", DECISIONS, _ready)
