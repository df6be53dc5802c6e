"""The addresses of a Gateway, and what is wrong with those that it asks for (Gateway API, GatewayStatusAddress).

On a host they are what its sockets are bound to, and for wildcards what the data plane reports. In a cluster they are
those of the Service in front of the Gateway's own data plane, which somebody else assigns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tidegate.core.backends import canonical
from tidegate.core.front import Missing, service_in_front
from tidegate.core.gateways import GatewayDecision
from tidegate.core.incremental import View
from tidegate.core.infrastructure import service_of
from tidegate.core.reasons import Reason
from tidegate.core.rejection import Rejection
from tidegate.core.tables import ADDRESSES, OUTCOMES
from tidegate.model.corev1 import Service
from tidegate.model.gateway import Gateway, GatewaySpecAddress
from tidegate.model.status import GatewayStatusAddress
from tidegate.model.validation.formats import is_hostname, is_ip
from tidegate.names import WILDCARD_ADDRESS
from tidegate.plan.outcome import Failed, FailureReason

MAX_ADDRESSES = 16
"""``status.addresses`` has room for no more (CRD)."""

_IP, _HOSTNAME = "IPAddress", "Hostname"


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """``published`` are those to use, best first. ``rejection`` None: there are some, and all that were asked for.

    ``waiting``: one is perhaps about to be assigned.
    """

    published: tuple[GatewayStatusAddress, ...]
    rejection: Rejection | None = None
    waiting: bool = False


class _Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """What a Service has, or in ``lacking`` why it has nothing. ``waiting``: it may get something."""

    addresses: tuple[GatewayStatusAddress, ...] = ()
    lacking: str = ""
    waiting: bool = False


def addresses_of(view: View, gateway: Gateway, decision: GatewayDecision | None) -> Addresses:
    """The addresses of a Gateway of ours; ``decision`` None: its class is not accepted."""
    if view.config.scope_per_gateway:
        return _of_service(view, gateway)
    return _of_host(view, decision) if decision is not None else Addresses(published=())


def _of_host(view: View, decision: GatewayDecision) -> Addresses:
    found: list[str] = []
    unusable: list[str] = []
    missing = ""
    for address in decision.addresses:
        if address == WILDCARD_ADDRESS:
            report = view.get(ADDRESSES, view.config.scope_of(decision.key))
            found.extend(report.addresses if report is not None else ())
            missing = missing or (report.message if report is not None else "")
        elif _refused(view, decision, address):
            unusable.append(address)
        else:
            found.append(address)
    published = _published(map(_ip, found))
    if unusable:
        message = f"not an address of this host: {', '.join(unusable)}"
        return Addresses(published=published, rejection=Rejection(Reason.ADDRESS_NOT_USABLE, message))
    if published:
        return Addresses(published=published)
    return _not_assigned(missing or "no address is assigned yet", waiting=True)


def _refused(view: View, decision: GatewayDecision, address: str) -> bool:
    outcomes = (
        view.get(OUTCOMES, socket)
        for listener in decision.listeners
        for socket in listener.sockets
        if socket.address == address
    )
    return any(isinstance(one, Failed) and one.reason is FailureReason.ADDRESS_NOT_USABLE for one in outcomes)


def _of_service(view: View, gateway: Gateway) -> Addresses:
    key = service_of(gateway)
    assigned = _assigned(service_in_front(view, gateway), key.path)
    asked = [address for address in gateway.spec.addresses if address.type == _IP]
    wanted = tuple(dict.fromkeys(canonical(address.value) for address in asked if address.value))
    published = _published(_chosen(assigned.addresses, asked, wanted))
    has = ", ".join(one.value for one in assigned.addresses)
    absent = [value for value in wanted if value not in {one.value for one in published}]
    if absent:
        message = f"not assigned: {', '.join(absent)}; {assigned.lacking or f'Service {key.path} has {has}'}"
        rejection = Rejection(Reason.ADDRESS_NOT_USABLE, message)
        return Addresses(published=published, rejection=rejection, waiting=assigned.waiting)
    if published:
        return Addresses(published=published)
    lacking = assigned.lacking or f"Service {key.path} has no IP address, but {has}"
    return _not_assigned(lacking, waiting=assigned.waiting)


def _chosen(
    assigned: tuple[GatewayStatusAddress, ...], asked: Sequence[GatewaySpecAddress], wanted: tuple[str, ...]
) -> list[GatewayStatusAddress]:
    """What is asked for, in that order; all there is when nothing is, and all others when any address will do."""
    if not asked:
        return list(assigned)
    known = {one.value: one for one in assigned if one.type == _IP}
    others = [one for value, one in known.items() if value not in wanted]
    any_will_do = any(not address.value for address in asked)
    return [known[value] for value in wanted if value in known] + (others if any_will_do else [])


def _assigned(service: Service | Missing, path: str) -> _Assigned:
    if isinstance(service, Missing):
        return _Assigned(lacking=service.message, waiting=service.waiting)
    found = _balanced(service) if service.spec.type == "LoadBalancer" else _inside(service)
    if found:
        return _Assigned(addresses=tuple(found))
    lacking = f"Service {path} of type {service.spec.type} has no address yet"
    if service.spec.type == "LoadBalancer":
        lacking += "; where nothing provides load balancers, choose another type by parametersRef"
    return _Assigned(lacking=lacking, waiting=True)


def _balanced(service: Service) -> list[GatewayStatusAddress]:
    """What the load balancer is reached at; what the API would refuse in a status is left out."""
    ingress = service.status.load_balancer.ingress if service.status is not None else ()
    found = []
    for entry in ingress:
        if entry.ip and is_ip(entry.ip):
            found.append(_ip(entry.ip))
        elif entry.hostname and is_hostname(entry.hostname):
            found.append(GatewayStatusAddress(type=_HOSTNAME, value=entry.hostname))
    return found


def _inside(service: Service) -> list[GatewayStatusAddress]:
    """What the Service is reached at in the cluster: an address of each IP family."""
    values = service.spec.cluster_ips or (service.spec.cluster_ip or "",)
    return [_ip(value) for value in values if is_ip(value)]


def _ip(value: str) -> GatewayStatusAddress:
    return GatewayStatusAddress(type=_IP, value=canonical(value))


def _published(addresses: Iterable[GatewayStatusAddress]) -> tuple[GatewayStatusAddress, ...]:
    distinct = {(one.type, one.value): one for one in addresses}
    return tuple(distinct.values())[:MAX_ADDRESSES]


def _not_assigned(message: str, *, waiting: bool) -> Addresses:
    return Addresses(published=(), rejection=Rejection(Reason.ADDRESS_NOT_ASSIGNED, message), waiting=waiting)
