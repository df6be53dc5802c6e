"""From the decision to the plan: who holds each socket, and where its connections go."""

from __future__ import annotations

import hashlib

import msgspec

from tidegate.core.attachment import SERVING
from tidegate.core.backends import BACKENDS, Resolved, backend_key
from tidegate.core.gateways import LISTENERS
from tidegate.core.incremental import Index, Unit, View
from tidegate.core.listeners import ListenerDecision
from tidegate.core.precedence import RankedListener
from tidegate.core.tables import ROUTES
from tidegate.names import ListenerKey, SocketKey, TargetKey
from tidegate.plan.types import Match, Socket, Target, WeightedBackend


def _claims(key: ListenerKey, decision: ListenerDecision) -> list[tuple[SocketKey, RankedListener]]:
    return [(socket, RankedListener(decision.age, decision.position, key)) for socket in decision.sockets]


CLAIMS: Index[SocketKey, RankedListener] = Index("socket claims", LISTENERS, _claims)


def _target(view: View, key: SocketKey) -> Target:
    """The holder's oldest route decides; without one every connection is refused."""
    holder = view.entries(CLAIMS, key)[0].listener
    serving = view.get(SERVING, holder)
    winner = serving.winner if serving is not None else None
    route = view.get(ROUTES, winner) if winner is not None else None
    backends = []
    if winner is not None and route is not None:
        for position, reference in enumerate(route.spec.rules[0].backend_refs):
            wanted = backend_key(winner, reference)
            backend = view.get(BACKENDS, wanted)
            backends.append(
                WeightedBackend(
                    ref=str(position),
                    weight=reference.weight,
                    pool=backend.pool if isinstance(backend, Resolved) else None,
                    label=wanted.label,
                )
            )
    return Target(key=TargetKey(key), route=winner, backends=tuple(backends))


def _socket(view: View, key: SocketKey) -> Socket:
    holder = view.entries(CLAIMS, key)[0].listener
    target = view.get(TARGETS, key)
    matches = (Match(target=TargetKey(key)),)
    content = msgspec.json.encode((key, holder, matches, target))
    return Socket(key=key, listener=holder, matches=matches, revision=hashlib.sha256(content).hexdigest()[:16])


TARGETS: Unit[SocketKey, Target] = Unit("targets", CLAIMS, _target)
SOCKETS: Unit[SocketKey, Socket] = Unit("sockets", CLAIMS, _socket)
