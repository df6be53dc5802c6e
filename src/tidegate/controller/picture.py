"""The picture of a running instance for people: the admin API's ``State``, from what is decided."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from tidegate.admin.view import BackendTraffic, BackendView, Instance, ListenerView, State, problem_of
from tidegate.core.attachment import SERVING
from tidegate.core.backends import BACKENDS, Resolved, backend_key
from tidegate.core.compile import POOLS
from tidegate.core.decision import Decision
from tidegate.core.gateways import DECISIONS
from tidegate.core.listeners import ListenerDecision
from tidegate.core.programmed import SERVED
from tidegate.core.reasons import ConditionType, Reason
from tidegate.core.tables import ROUTES
from tidegate.model.diagnostics import Diagnostic
from tidegate.model.encode import to_mapping
from tidegate.model.kinds import key_of
from tidegate.model.meta import Condition
from tidegate.model.status import GatewayStatus, Status
from tidegate.names import ListenerKey, ObjectKey
from tidegate.plan.outcome import Traffic

SLICE = 32
"""After how many listeners or objects others have their turn: some 2 ms."""

_T = TypeVar("_T")


def picture(
    decision: Decision,
    statuses: Mapping[ObjectKey, Status],
    diagnostics: Sequence[Diagnostic],
    traffic: Iterable[Traffic],
    instance: Instance,
    *,
    objects: bool = True,
) -> State:
    """Everything there is to show; without ``objects`` only what the console needs."""
    return State(
        instance=instance,
        listeners=tuple(_listeners(decision, statuses, _by_listener(traffic))),
        objects=tuple(_objects(decision, statuses)) if objects else (),
        problems=tuple(map(problem_of, diagnostics)),
    )


async def picture_in_slices(
    decision: Decision,
    statuses: Mapping[ObjectKey, Status],
    diagnostics: Sequence[Diagnostic],
    traffic: Iterable[Traffic],
    instance: Instance,
    *,
    objects: bool = True,
) -> State:
    """The same, made so that nothing else waits for all of it; what changes meanwhile is in it or is not."""
    return State(
        instance=instance,
        listeners=await _in_slices(_listeners(decision, statuses, _by_listener(traffic))),
        objects=await _in_slices(_objects(decision, statuses)) if objects else (),
        problems=await _in_slices(map(problem_of, diagnostics)),
    )


async def _in_slices(values: Iterator[_T]) -> tuple[_T, ...]:
    found: list[_T] = []
    while part := list(islice(values, SLICE)):
        found += part
        await asyncio.sleep(0)
    return tuple(found)


def _objects(decision: Decision, statuses: Mapping[ObjectKey, Status]) -> Iterator[dict[str, Any]]:
    # Others may change them between two slices.
    for resource in tuple(decision.resources()):
        yield to_mapping(resource, status=statuses.get(key_of(resource)))


def _by_listener(traffic: Iterable[Traffic]) -> dict[ListenerKey, list[Traffic]]:
    found: dict[ListenerKey, list[Traffic]] = {}
    for one in traffic:
        found.setdefault(one.listener, []).append(one)
    return found


def _listeners(
    decision: Decision, statuses: Mapping[ObjectKey, Status], traffic: Mapping[ListenerKey, list[Traffic]]
) -> Iterator[ListenerView]:
    gateways = sorted(decision.graph.items(DECISIONS))
    for key, gateway in gateways:
        status = statuses.get(key)
        conditions = {one.name: one.conditions for one in status.listeners} if isinstance(status, GatewayStatus) else {}
        for listener in gateway.listeners:
            state, message = _state(conditions.get(listener.spec.name, ()))
            yield _listener(decision, listener, state, message, gateway.addresses, traffic.get(listener.key, []))


def _listener(
    decision: Decision,
    listener: ListenerDecision,
    state: str,
    message: str,
    addresses: tuple[str, ...],
    traffic: list[Traffic],
) -> ListenerView:
    serving = decision.graph.get(SERVING, listener.key)
    winner = serving.winner if serving is not None else None
    return ListenerView(
        gateway=listener.key.owner.path,
        listener=listener.spec.name,
        protocol=listener.spec.protocol,
        port=listener.spec.port,
        addresses=addresses,
        state=state,
        message=message,
        route=winner.path if winner is not None else None,
        route_kind=winner.kind if winner is not None else None,
        attached_routes=serving.attached if serving is not None else 0,
        backends=tuple(_backends(decision, winner, traffic)) if winner is not None else (),
        opened=sum(one.opened for one in traffic),
        refused=sum(one.refused for one in traffic),
        active=sum(one.active for one in traffic),
        received=sum(one.received for one in traffic),
        sent=sum(one.sent for one in traffic),
    )


def _state(conditions: Iterable[Condition]) -> tuple[str, str]:
    found = {condition.type: condition for condition in conditions}
    accepted, programmed = found.get(ConditionType.ACCEPTED), found.get(ConditionType.PROGRAMMED)
    if accepted is None or programmed is None:
        return "Pending", "waiting for the data plane"
    if accepted.status != "True":
        return "Rejected", accepted.message
    if programmed.status == "True":
        return "Live", programmed.message.removeprefix(SERVED).removeprefix("; ")
    return "Pending" if programmed.reason == Reason.PENDING else "Failed", programmed.message


def _backends(decision: Decision, winner: ObjectKey, traffic: Iterable[Traffic]) -> Iterator[BackendView]:
    route = decision.graph.get(ROUTES, winner)
    counted = {one.backend: one for one in traffic if one.route == winner and one.backend}
    for reference in route.spec.rules[0].backend_refs if route is not None else ():
        key = backend_key(winner, reference)
        backend = decision.graph.get(BACKENDS, key)
        pool = decision.graph.get(POOLS, backend.pool) if isinstance(backend, Resolved) else None
        usable = len(pool.endpoints) if pool is not None else 0
        refused = "" if usable else "it has no endpoint"
        if backend is not None and not isinstance(backend, Resolved):
            refused = backend.message
        yield BackendView(
            name=key.label,
            weight=reference.weight,
            endpoints=usable,
            total=pool.total if pool is not None else 0,
            refused=refused,
            traffic=_backend_traffic(counted.get(key.label)),
        )


def _backend_traffic(counted: Traffic | None) -> BackendTraffic | None:
    if counted is None:
        return None
    return BackendTraffic(
        opened=counted.opened,
        refused=counted.refused,
        active=counted.active,
        received=counted.received,
        sent=counted.sent,
    )
