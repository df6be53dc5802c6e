"""From the decision to the plan: who holds each socket, and where its connections go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from tidegate.core.attachment import SERVING
from tidegate.core.backends import BACKENDS, Resolved, backend_key, pool_of
from tidegate.core.gateways import LISTENERS
from tidegate.core.incremental import Index, Unit, View
from tidegate.core.listeners import ListenerDecision
from tidegate.core.precedence import RankedClaim
from tidegate.core.tables import ROUTES
from tidegate.names import WILDCARD_ADDRESS, ListenerKey, PoolKey, SocketKey, TargetKey
from tidegate.plan.types import Match, Pool, Socket, Target, WeightedBackend


class PortKey(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """A port of a scope, whatever the address."""

    scope: str
    protocol: str
    port: int


def port_of(socket: SocketKey) -> PortKey:
    """The port that a socket is on."""
    return PortKey(socket.scope, socket.protocol, socket.port)


def _claims(key: ListenerKey, decision: ListenerDecision) -> list[tuple[PortKey, RankedClaim]]:
    claims = ((socket, RankedClaim(decision.age, decision.position, key, socket)) for socket in decision.sockets)
    return [(port_of(socket), claim) for socket, claim in claims]


CLAIMS: Index[PortKey, RankedClaim] = Index("socket claims", LISTENERS, _claims)


def _grants(view: View, key: PortKey) -> tuple[RankedClaim, ...]:
    """The claims that are granted: the older object holds a socket, and with it every address that overlaps."""
    granted: list[RankedClaim] = []
    for claim in view.entries(CLAIMS, key):
        if blocking(granted, claim.socket, claim.listener) is None:
            granted.append(claim)
    return tuple(granted)


def blocking(granted: Iterable[RankedClaim], socket: SocketKey, claimant: ListenerKey) -> RankedClaim | None:
    """The granted claim because of which ``claimant`` does not get a socket, or None.

    All addresses of the host overlap with each of them. Addresses of one object never block each other.
    """
    for claim in granted:
        same_owner = claim.listener.owner == claimant.owner
        addresses = {claim.socket.address, socket.address}
        if len(addresses) == 1 and claim.listener != claimant:
            return claim
        if not same_owner and (len(addresses) == 1 or WILDCARD_ADDRESS in addresses):
            return claim
    return None


GRANTS: Unit[PortKey, tuple[RankedClaim, ...]] = Unit("granted sockets", CLAIMS, _grants)
HOLDERS: Index[SocketKey, ListenerKey] = Index(
    "holders of sockets", GRANTS, lambda _, claims: [(claim.socket, claim.listener) for claim in claims]
)


def _target(view: View, key: SocketKey) -> Target:
    """The holder's oldest route decides; without one every connection is refused."""
    (holder,) = view.entries(HOLDERS, key)
    serving = view.get(SERVING, holder)
    winner = serving.winner if serving is not None else None
    route = view.get(ROUTES, winner) if winner is not None else None
    backends = []
    if winner is not None and route is not None:
        for position, reference in enumerate(route.spec.rules[0].backend_refs):
            wanted = backend_key(winner, reference)
            backend = view.get(BACKENDS, wanted)
            pool = backend.pool if isinstance(backend, Resolved) else None
            backends.append(_share(position, reference.weight, pool, wanted.label))
    return Target(key=TargetKey(key), route=winner, backends=_together(*backends))


@lru_cache(maxsize=1024)
def _share(position: int, weight: int, pool: PoolKey | None, label: str) -> WeightedBackend:
    """One share of a target. Where many listeners lead to few Services, equal ones are one object."""
    return WeightedBackend(ref=str(position), weight=weight, pool=pool, label=label)


@lru_cache(maxsize=1024)
def _together(*backends: WeightedBackend) -> tuple[WeightedBackend, ...]:
    return backends


def _socket(view: View, key: SocketKey) -> Socket:
    (holder,) = view.entries(HOLDERS, key)
    target = view.get(TARGETS, key)
    assert target is not None
    matches = (Match(target=target.key),)
    return Socket(key=key, listener=holder, matches=matches, revision=revision(key, holder, matches, target))


def revision(key: SocketKey, holder: ListenerKey, matches: tuple[Match, ...], target: Target) -> str:
    """The content hash of all that is planned for a socket, the endpoints of its pools excepted.

    Replicas of two versions, side by side during an upgrade, compare it: the same plan has to have the same revision
    in both. So fields count by their names, and not at all while they have their defaults.
    """
    content = msgspec.json.encode((key, holder, matches, target), order="sorted")
    return hashlib.sha256(content).hexdigest()[:16]


def _pool_keys(key: SocketKey, target: Target) -> list[tuple[PoolKey, SocketKey]]:
    """Only pools that a target names are planned: those of routes that serve nothing would only make work."""
    return [(backend.pool, key) for backend in target.backends if backend.pool is not None]


TARGETS: Unit[SocketKey, Target] = Unit("targets", HOLDERS, _target)
POOL_KEYS: Index[PoolKey, SocketKey] = Index("pools of targets", TARGETS, _pool_keys)
POOLS: Unit[PoolKey, Pool] = Unit("pools", POOL_KEYS, pool_of)
SOCKETS: Unit[SocketKey, Socket] = Unit("sockets", HOLDERS, _socket)
