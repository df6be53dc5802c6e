"""What a listener is worth: protocol, supported kinds, conflicts (Gateway API, Listener).

A listener's verdict does not depend on routes; a listener without a route is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import msgspec

from tidegate.core.config import CoreConfig
from tidegate.core.precedence import Age, age_of
from tidegate.core.protocols import PROTOCOLS, clash, is_served
from tidegate.core.reasons import Reason
from tidegate.core.rejection import Rejection
from tidegate.core.routes.table import kinds_for
from tidegate.model.gateway import Gateway, Listener, RouteGroupKind
from tidegate.names import ListenerKey, ObjectKey, SocketKey

FIRST_UNPRIVILEGED_PORT = 1024
"""Those below are for privileged processes, and proxies are none (``net.ipv4.ip_unprivileged_port_start``)."""


class ListenerDecision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A listener of a Gateway of ours.

    ``rejection`` None: accepted. ``conflict``: the rejection is a clash with another listener. One that is rejected
    for its port alone still takes routes. ``gateway_accepted``: nothing is wrong with its Gateway, listeners aside.
    ``unresolved`` None: all its references resolve. ``sockets`` are those that it wants; none when it is
    not to be served. ``age`` and ``position`` rank it among the claims to one socket.
    """

    key: ListenerKey
    spec: Listener
    age: Age
    position: int
    supported_kinds: tuple[RouteGroupKind, ...]
    rejection: Rejection | None
    conflict: bool
    gateway_accepted: bool
    unresolved: Rejection | None
    sockets: tuple[SocketKey, ...]


def evaluate_listeners(
    owner: ObjectKey,
    gateway: Gateway,
    addresses: tuple[str, ...],
    config: CoreConfig,
    *,
    accepted: bool = True,
    host_network: bool = False,
) -> tuple[ListenerDecision, ...]:
    """Judge all listeners of a Gateway; ``addresses`` empty means that nothing of it is to be served.

    ``accepted``: nothing is wrong with the Gateway itself. ``host_network``: its proxies are to open their ports in
    the network of their node.
    """
    served = [listener for listener in gateway.spec.listeners if is_served(listener.protocol, config.features)]
    conflicts = _conflicts(served)
    age = age_of(gateway.metadata)
    decisions = []
    for position, listener in enumerate(gateway.spec.listeners):
        conflict = conflicts.get(listener.name)
        refused = conflict or _protocol_rejection(listener, config)
        kinds, unresolved = supported_kinds(listener) if refused is None else ((), None)
        rejection = refused or _port_rejection(listener, config, host_network=host_network)
        decisions.append(
            ListenerDecision(
                key=ListenerKey(owner, listener.name),
                spec=listener,
                age=age,
                position=position,
                supported_kinds=kinds,
                rejection=rejection,
                conflict=conflict is not None,
                gateway_accepted=accepted,
                unresolved=unresolved,
                sockets=_sockets(owner, listener, addresses, config) if rejection is None else (),
            )
        )
    return tuple(decisions)


def supported_kinds(listener: Listener) -> tuple[tuple[RouteGroupKind, ...], Rejection | None]:
    """The route kinds that a listener takes, and what is wrong with those that it names."""
    implemented = _implemented(listener.protocol)
    wanted = list(dict.fromkeys(listener.allowed_routes.kinds))
    if not wanted:
        return implemented, None
    kept = tuple(kind for kind in wanted if kind in implemented)
    dropped = [kind for kind in wanted if kind not in implemented]
    if not dropped:
        return kept, None
    names = ", ".join(f"{kind.group or 'core'}/{kind.kind}" for kind in dropped)
    fitting = ", ".join(kind.kind for kind in implemented)
    message = f"allowedRoutes.kinds of listener {listener.name}: {names} cannot attach to {listener.protocol}"
    return kept, Rejection(Reason.INVALID_ROUTE_KINDS, f"{message} listeners; possible: {fitting}")


@cache
def _implemented(protocol: str) -> tuple[RouteGroupKind, ...]:
    return tuple(RouteGroupKind(group=row.group, kind=row.kind) for row in kinds_for(protocol))


def _protocol_rejection(listener: Listener, config: CoreConfig) -> Rejection | None:
    if is_served(listener.protocol, config.features):
        return None
    served = ", ".join(name for name in PROTOCOLS if is_served(name, config.features))
    message = f"listener {listener.name}: protocol {listener.protocol} is not served here; served: {served}"
    return Rejection(Reason.UNSUPPORTED_PROTOCOL, message)


def _port_rejection(listener: Listener, config: CoreConfig, *, host_network: bool) -> Rejection | None:
    """Why a port is not to be had, as far as that is known without a data plane.

    In a network of their own, Pods may open every port; in that of their node, the first are for who has privileges.
    """
    if listener.port in config.features.reserved_ports:
        message = f"port {listener.port} is one that the data plane keeps for itself: choose another"
        return Rejection(Reason.PORT_UNAVAILABLE, message)
    if not (config.scope_per_gateway and host_network and listener.port < FIRST_UNPRIVILEGED_PORT):
        return None
    message = f"port {listener.port} cannot be opened in the network of a node, which has ports below"
    advice = f"{FIRST_UNPRIVILEGED_PORT} for privileged processes: choose another port, or do without hostNetwork"
    return Rejection(Reason.PORT_UNAVAILABLE, f"{message} {advice}")


def _conflicts(listeners: Iterable[Listener]) -> dict[str, Rejection]:
    """Every listener that clashes with another one of the same object: no winner among them."""
    by_port: dict[int, list[Listener]] = {}
    for listener in listeners:
        by_port.setdefault(listener.port, []).append(listener)
    found: dict[str, Rejection] = {}
    for group in by_port.values():
        for listener in group:
            reasons = {other.name: clash(listener, other) for other in group if other is not listener}
            clashing = {name: reason for name, reason in reasons.items() if reason is not None}
            if clashing:
                reason = max(clashing.values())  # ProtocolConflict before HostnameConflict
                message = f"listener {listener.name} on port {listener.port} clashes with {', '.join(clashing)}"
                found[listener.name] = Rejection(reason, message)
    return found


def _sockets(
    owner: ObjectKey, listener: Listener, addresses: tuple[str, ...], config: CoreConfig
) -> tuple[SocketKey, ...]:
    transport = PROTOCOLS[listener.protocol].transport
    scope = config.scope_of(owner)
    return tuple(SocketKey(scope, address, transport, listener.port) for address in addresses)
