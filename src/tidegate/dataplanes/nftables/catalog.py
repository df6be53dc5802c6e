"""The plan as the kernel needs it, one change at a time. Pure.

In: plan changes, facts of the host. Out: which sockets must be written again, and for each its ``Forwarding``. The
cost of a change depends on what it touches: a pool knows the sockets that use it. Writing is left to ``keeper``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, assert_never

from tidegate.dataplanes.nftables import translate
from tidegate.dataplanes.nftables.marks import MarkKey, Marks
from tidegate.dataplanes.nftables.reach import HostFacts, Reach
from tidegate.dataplanes.nftables.ruleset import NOTHING, Forwarding
from tidegate.dataplanes.nftables.translate import Offers
from tidegate.names import WILDCARD_ADDRESS, PoolKey, SocketKey, TargetKey
from tidegate.plan.types import PlanChange, PlanValue, Pool, Socket, Target


class Catalog:
    """All sockets, targets and pools of one plan. ``hairpins``: clients keep their source address."""

    def __init__(self, marks: Marks, facts: HostFacts, *, hairpins: bool) -> None:
        self._marks = marks
        self._reach = Reach(facts)
        self._hairpins = hairpins
        self._sockets: dict[SocketKey, Socket] = {}
        self._targets: dict[TargetKey, Target] = {}
        self._pools: dict[PoolKey, Pool] = {}
        self._pool_users: dict[PoolKey, set[TargetKey]] = {}
        self._target_users: dict[TargetKey, SocketKey] = {}
        self._offers: dict[PoolKey, Offers] = {}
        self._wanted: dict[SocketKey, tuple[MarkKey, ...]] = {}
        self._given: dict[SocketKey, tuple[MarkKey, ...]] = {}

    def sockets(self) -> Mapping[SocketKey, Socket]:
        """The sockets of the plan."""
        return self._sockets

    def apply(self, change: PlanChange) -> dict[SocketKey, None]:
        """Take a change of the plan; returns the sockets to write again, in order."""
        touched: dict[SocketKey, None] = {}
        for key, value in change.items():
            match key:
                case SocketKey():
                    self._set_socket(key, _typed(value, Socket))
                    touched[key] = None
                case TargetKey():
                    self._set_target(key, _typed(value, Target))
                    user = self._target_users.get(key)
                    if user is not None:
                        touched[user] = None
                case PoolKey():
                    touched.update(dict.fromkeys(self._set_pool(key, _typed(value, Pool))))
                case _:
                    assert_never(key)
        return touched

    def set_facts(self, facts: HostFacts) -> list[SocketKey]:
        """The host has changed; returns the sockets to write again: those to which that matters."""
        before = self._reach
        if facts == before.facts:
            return []
        self._reach = Reach(facts)
        pools = [key for key, pool in self._pools.items() if self._reach.differs(before, pool.endpoints)]
        for key in pools:
            self._offers.pop(key, None)
        touched = {user: None for key in pools for user in self._users(key)}
        if self._reach.audiences(WILDCARD_ADDRESS) != before.audiences(WILDCARD_ADDRESS):
            # Not what they do is another thing then, but what there is to say about their clients.
            touched |= dict.fromkeys(key for key in self._sockets if key.address == WILDCARD_ADDRESS)
        return list(touched)

    def forwarding(self, key: SocketKey) -> Forwarding:
        """What the kernel needs for a socket; ``NOTHING`` when the plan has none. Raises DataPlaneError."""
        socket = self._sockets.get(key)
        if socket is None:
            self._wanted.pop(key, None)
            return NOTHING
        target = self._target(socket)
        keys = translate.mark_keys(socket, target)
        self._wanted[key] = keys
        given = self._given.get(key)
        # Before it is tried: when there is no mark for one of them, the others have theirs.
        self._given[key] = keys if given is None else tuple(dict.fromkeys((*given, *keys)))
        return translate.translation(socket, target, keys, self._offers_of, self._marks)

    def written(self, key: SocketKey) -> None:
        """The kernel has what ``forwarding`` gave last; marks that it used for something else before are retired."""
        wanted = self._wanted.get(key, ())
        for mark_key in self._given.pop(key, ()):
            if mark_key not in wanted:
                self._marks.retire(mark_key)
        if wanted:
            self._given[key] = wanted

    def limits(self, key: SocketKey) -> str:
        """What there is to say about clients that a socket refuses because the kernel cannot bring them across."""
        socket = self._sockets.get(key)
        if socket is None:
            return ""
        backends = [
            (backend.label, offers.kinds)
            for backend in translate.shares(self._target(socket))
            if backend.pool is not None and (offers := self._offers_of(backend.pool)).known
        ]
        return self._reach.limits(key.address, backends)

    def _target(self, socket: Socket) -> Target:
        """Where a socket's connections go. A socket without a match or a target refuses all of them."""
        key = _target_key(socket)
        return self._targets.get(key) or Target(key=key, route=None, backends=())

    def _offers_of(self, key: PoolKey) -> Offers:
        found = self._offers.get(key)
        if found is None:
            pool = self._pools.get(key)
            ways = self._reach.ways(pool.endpoints if pool is not None else ())
            found = self._offers[key] = translate.offers(ways, hairpins=self._hairpins)
        return found

    def _set_socket(self, key: SocketKey, value: Socket | None) -> None:
        old = self._sockets.pop(key, None)
        if old is not None:
            self._target_users.pop(_target_key(old), None)
        if value is not None:
            self._sockets[key] = value
            self._target_users[_target_key(value)] = key

    def _set_target(self, key: TargetKey, value: Target | None) -> None:
        for pool in _pools_of(self._targets.pop(key, None)):
            users = self._pool_users[pool]
            users.discard(key)
            if not users:
                del self._pool_users[pool]
        if value is not None:
            self._targets[key] = value
            for pool in _pools_of(value):
                self._pool_users.setdefault(pool, set()).add(key)

    def _set_pool(self, key: PoolKey, value: Pool | None) -> list[SocketKey]:
        """Returns the sockets to write again."""
        old = self._pools.pop(key, None)
        if value is not None:
            self._pools[key] = value
        before, after = (pool.endpoints if pool is not None else () for pool in (old, value))
        if before == after:
            return []
        self._offers.pop(key, None)
        return self._users(key)

    def _users(self, pool: PoolKey) -> list[SocketKey]:
        users = sorted(self._pool_users.get(pool, ()))
        return [self._target_users[target] for target in users if target in self._target_users]


_Value = TypeVar("_Value")


def _typed(value: PlanValue | None, expected: type[_Value]) -> _Value | None:
    """The value of a key, which a plan never gives another type than the key's."""
    if value is not None and not isinstance(value, expected):
        raise TypeError(f"{value!r} is not a {expected.__name__}")
    return value


def _target_key(socket: Socket) -> TargetKey:
    """The target of a TCP socket's one match; a socket without a match refuses, by a target of its own."""
    return socket.matches[0].target if socket.matches else TargetKey(socket.key)


def _pools_of(target: Target | None) -> set[PoolKey]:
    if target is None:
        return set()
    return {backend.pool for backend in target.backends if backend.pool is not None}
