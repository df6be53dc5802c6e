"""The plan as it is now, and who uses what in it: a pool knows its targets, a target the socket that leads to it. Pure.

In: changes of the plan. Out: its values, and what a change touches: as much as depends on it, not as much as there is.
What a data plane makes of the values is left to its catalog.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar, assert_never

import msgspec

from tidegate.dataplanes.entries import put
from tidegate.names import PoolKey, SocketKey, TargetKey
from tidegate.plan.types import Endpoint, PlanChange, PlanValue, Pool, Socket, Target


class Touched(msgspec.Struct, frozen=True):
    """What there is to look at again after a change, in its order.

    ``sockets`` came, changed or went; ``targets`` did, or the sockets that lead to them did; ``pools`` have other
    endpoints.
    """

    sockets: list[SocketKey]
    targets: dict[TargetKey, None]
    pools: list[PoolKey]


class PlanIndex:
    """All sockets, targets and pools of one plan."""

    def __init__(self) -> None:
        self._sockets: dict[SocketKey, Socket] = {}
        self._targets: dict[TargetKey, Target] = {}
        self._pools: dict[PoolKey, Pool] = {}
        self._leading: dict[TargetKey, Socket] = {}
        self._using: dict[PoolKey, set[TargetKey]] = {}

    @property
    def sockets(self) -> Mapping[SocketKey, Socket]:
        """The sockets of the plan."""
        return self._sockets

    @property
    def pools(self) -> Mapping[PoolKey, Pool]:
        """The pools of the plan."""
        return self._pools

    def target(self, key: TargetKey) -> Target:
        """The value of a target. One that the plan does not have refuses everything."""
        return self._targets.get(key) or Target(key=key, route=None, backends=())

    def endpoints(self, key: PoolKey) -> tuple[Endpoint, ...]:
        """The endpoints of a pool. One that the plan does not have has none."""
        pool = self._pools.get(key)
        return pool.endpoints if pool is not None else ()

    def leading_to(self, key: TargetKey) -> Socket | None:
        """The socket that leads to a target, if any does."""
        return self._leading.get(key)

    def users(self, key: PoolKey) -> Iterator[tuple[TargetKey, Socket]]:
        """The targets that use a pool, sorted, each with the socket that leads to it; the others are left out."""
        for target in sorted(self._using.get(key, ())):
            socket = self._leading.get(target)
            if socket is not None:
                yield target, socket

    def apply(self, change: PlanChange) -> Touched:
        """Take a change of the plan. Raises TypeError when a value is of another type than its key."""
        touched = Touched([], {}, [])
        for key, value in change.items():
            match key:
                case SocketKey():
                    touched.sockets.append(key)
                    touched.targets.update(dict.fromkeys(self._set_socket(key, _typed(value, Socket))))
                case TargetKey():
                    touched.targets[key] = None
                    self._set_target(key, _typed(value, Target))
                case PoolKey():
                    if self._set_pool(key, _typed(value, Pool)):
                        touched.pools.append(key)
                case _:
                    assert_never(key)
        return touched

    def _set_socket(self, key: SocketKey, value: Socket | None) -> list[TargetKey]:
        """Returns the targets to which it led and leads."""
        old = self._sockets.pop(key, None)
        if old is not None:
            self._leading.pop(target_key(old), None)
        if value is not None:
            self._sockets[key] = value
            self._leading[target_key(value)] = value
        return [target_key(socket) for socket in (old, value) if socket is not None]

    def _set_target(self, key: TargetKey, value: Target | None) -> None:
        for pool in _pools_of(self._targets.pop(key, None)):
            users = self._using[pool]
            users.discard(key)
            if not users:
                del self._using[pool]
        if value is not None:
            self._targets[key] = value
            for pool in _pools_of(value):
                self._using.setdefault(pool, set()).add(key)

    def _set_pool(self, key: PoolKey, value: Pool | None) -> bool:
        """Returns whether its endpoints are others now."""
        before = self.endpoints(key)
        put(self._pools, key, value)
        return self.endpoints(key) != before


def target_key(socket: Socket) -> TargetKey:
    """The target of a TCP socket's one match; a socket without a match refuses, by a target of its own."""
    return socket.matches[0].target if socket.matches else TargetKey(socket.key)


_Value = TypeVar("_Value")


def _typed(value: PlanValue | None, expected: type[_Value]) -> _Value | None:
    """The value of a key, which a plan never gives another type than the key's."""
    if value is not None and not isinstance(value, expected):
        raise TypeError(f"{value!r} is not a {expected.__name__}")
    return value


def _pools_of(target: Target | None) -> set[PoolKey]:
    if target is None:
        return set()
    return {backend.pool for backend in target.backends if backend.pool is not None}
