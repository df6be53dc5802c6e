"""From a backendRef to endpoints, or to the reason why its share is refused.

Sources: Gateway API BackendObjectReference, GEP-1911; endpoint semantics of ``discovery.k8s.io/v1``.
"""

from __future__ import annotations

import ipaddress

import msgspec

from tidegate.core.grants import permitted
from tidegate.core.incremental import Index, Unit, View
from tidegate.core.reasons import Reason
from tidegate.core.rejection import Rejection
from tidegate.core.routes.table import BY_GROUP_KIND
from tidegate.core.tables import ROUTES, SERVICES, SLICES, SLICES_OF
from tidegate.model.corev1 import EndpointSlice, Service, ServicePort, SliceEndpoint
from tidegate.model.routes import BackendRef, Route
from tidegate.names import CORE_GROUP, ObjectKey, PoolKey
from tidegate.plan.types import Endpoint, Pool


class BackendKey(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """What a backendRef means, weight aside: who refers (kind and namespace), to what, at which port."""

    referrer_group: str
    referrer_kind: str
    referrer_namespace: str
    target: ObjectKey
    port: int

    @property
    def label(self) -> str:
        """``namespace/name:port``."""
        return f"{self.target.path}:{self.port}" if self.port else self.target.path


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """The backend exists; its endpoints are those of the pool, possibly none."""

    pool: PoolKey


Backend = Resolved | Rejection


def backend_key(route: ObjectKey, reference: BackendRef) -> BackendKey:
    """The backend that a route's backendRef means."""
    namespace = reference.namespace or route.namespace
    target = ObjectKey(reference.group, reference.kind, namespace, reference.name)
    return BackendKey(route.group, route.kind, route.namespace, target, reference.port or 0)


def _backend(view: View, key: BackendKey) -> Backend:
    """Kind, then grant, then existence: a missing grant never tells whether the target exists."""
    target = key.target
    if (target.group, target.kind) != (CORE_GROUP, Service.KIND):
        kind = f"{target.group or 'core'}/{target.kind}"
        return Rejection(Reason.INVALID_KIND, f"backend {target.path} is a {kind}; only core/Service is supported")
    referrer = ObjectKey(key.referrer_group, key.referrer_kind, key.referrer_namespace, "")
    if not permitted(view, referrer, target):
        message = f"no ReferenceGrant in namespace {target.namespace} permits {referrer.kind} from namespace"
        return Rejection(Reason.REF_NOT_PERMITTED, f"{message} {referrer.namespace} to refer to Service {target.name}")
    service = view.get(SERVICES, target)
    if service is None:
        return Rejection(Reason.BACKEND_NOT_FOUND, f"Service {target.path} does not exist")
    if service.spec.type == "ExternalName":
        message = f"Service {target.path} is of type ExternalName, which is not supported as a backend"
        return Rejection(Reason.INVALID_KIND, f"{message} (CVE-2021-25740)")
    transport = BY_GROUP_KIND[(key.referrer_group, key.referrer_kind)].transport
    ports = [port for port in service.spec.ports if port.port == key.port]
    if not ports:
        known = ", ".join(str(port.port) for port in service.spec.ports) or "none"
        message = f"Service {target.path} has no port {key.port}; its ports: {known}"
        return Rejection(Reason.BACKEND_NOT_FOUND, message)
    if all(port.protocol != transport for port in ports):
        message = f"port {key.port} of Service {target.path} is {ports[0].protocol}, not {transport}"
        return Rejection(Reason.UNSUPPORTED_PROTOCOL, message)
    return Resolved(PoolKey(target.namespace, target.name, key.port, transport))


def pool_of(view: View, key: PoolKey) -> Pool | None:
    """The usable endpoints of a Service's port; None when the Service has no such port any more."""
    service = view.get(SERVICES, ObjectKey(CORE_GROUP, Service.KIND, key.namespace, key.service))
    port = _service_port(service, key)
    if port is None:
        return None
    ready: set[Endpoint] = set()
    terminating: set[Endpoint] = set()
    known: set[Endpoint] = set()
    for endpoint_slice in reachable_slices(view, key.namespace, key.service):
        for number in _target_ports(endpoint_slice, port):
            for endpoint in endpoint_slice.endpoints:
                places = {Endpoint(canonical(address), number) for address in endpoint.addresses}
                known |= places
                if is_ready(endpoint):
                    ready |= places
                elif _serves_while_terminating(endpoint):
                    terminating |= places
    return Pool(key=key, endpoints=tuple(sorted(ready or terminating)), total=len(known))


def reachable_slices(view: View, namespace: str, service: str) -> list[EndpointSlice]:
    """The EndpointSlices of a Service that hold IP addresses."""
    slices = (view.get(SLICES, key) for key in view.entries(SLICES_OF, (namespace, service)))
    return [found for found in slices if found is not None and found.address_type in ("IPv4", "IPv6")]


def is_ready(endpoint: SliceEndpoint) -> bool:
    """Whether an endpoint takes new connections; nothing said means yes."""
    return endpoint.conditions.ready is not False


def canonical(address: str) -> str:
    """An IP address in the one form in which it is compared."""
    return str(ipaddress.ip_address(address))


def _service_port(service: Service | None, key: PoolKey) -> ServicePort | None:
    ports = service.spec.ports if service is not None else ()
    return next((port for port in ports if (port.port, port.protocol) == (key.port, key.protocol)), None)


def _target_ports(endpoint_slice: EndpointSlice, port: ServicePort) -> set[int]:
    """The slice's port of the Service port's name and protocol, not the Service's targetPort."""
    return {
        entry.port
        for entry in endpoint_slice.ports
        if entry.port is not None and (entry.name, entry.protocol) == (port.name, port.protocol)
    }


def _serves_while_terminating(endpoint: SliceEndpoint) -> bool:
    return endpoint.conditions.serving is True and endpoint.conditions.terminating is True


def _backend_keys(key: ObjectKey, route: Route) -> list[tuple[BackendKey, ObjectKey]]:
    return [(backend_key(key, reference), key) for reference in route.spec.rules[0].backend_refs]


REFERENCES: Index[BackendKey, ObjectKey] = Index("backend refs", ROUTES, _backend_keys)
BACKENDS: Unit[BackendKey, Backend] = Unit("backends", REFERENCES, _backend)
