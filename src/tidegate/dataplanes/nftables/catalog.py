"""The plan as the kernel needs it, one change at a time. Pure.

In: plan changes, facts of the host. Out: which sockets must be written again, and for each its ``Forwarding``. The
cost of a change depends on what it touches, which ``planindex`` knows. Writing is left to ``keeper``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tidegate.dataplanes.nftables import translate
from tidegate.dataplanes.nftables.marks import MarkKey, Marks
from tidegate.dataplanes.nftables.reach import HostFacts, Reach
from tidegate.dataplanes.nftables.ruleset import NOTHING, Forwarding
from tidegate.dataplanes.nftables.translate import Offers
from tidegate.dataplanes.planindex import PlanIndex, target_key
from tidegate.names import WILDCARD_ADDRESS, PoolKey, SocketKey
from tidegate.plan.types import PlanChange, Socket


class Catalog:
    """All sockets, targets and pools of one plan. ``hairpins``: clients keep their source address."""

    def __init__(self, marks: Marks, facts: HostFacts, *, hairpins: bool) -> None:
        self._marks = marks
        self._reach = Reach(facts)
        self._hairpins = hairpins
        self._plan = PlanIndex()
        self._offers: dict[PoolKey, Offers] = {}
        self._wanted: dict[SocketKey, tuple[MarkKey, ...]] = {}
        self._given: dict[SocketKey, tuple[MarkKey, ...]] = {}
        self._addressed: dict[str, set[SocketKey]] = {}

    def sockets(self) -> Mapping[SocketKey, Socket]:
        """The sockets of the plan."""
        return self._plan.sockets

    def addressed(self) -> Mapping[str, Collection[SocketKey]]:
        """The sockets on one address, by address."""
        return self._addressed

    def apply(self, change: PlanChange) -> dict[SocketKey, None]:
        """Take a change of the plan; returns the sockets to write again, in order."""
        touched = self._plan.apply(change)
        for key in touched.sockets:
            if key.address != WILDCARD_ADDRESS:
                self._set_addressed(key)
        leading = (self._plan.leading_to(target) for target in touched.targets)
        sockets = self._with_other_offers(touched.pools)
        sockets |= {socket.key: None for socket in leading if socket is not None}
        return sockets | dict.fromkeys(touched.sockets)

    def set_facts(self, facts: HostFacts) -> list[SocketKey]:
        """The host has changed; returns the sockets to write again: those to which that matters."""
        before = self._reach
        if facts == before.facts:
            return []
        self._reach = Reach(facts)
        pools = [key for key, pool in self._plan.pools.items() if self._reach.differs(before, pool.endpoints)]
        touched = self._with_other_offers(pools)
        if self._reach.audiences(WILDCARD_ADDRESS) != before.audiences(WILDCARD_ADDRESS):
            # Not what they do is another thing then, but what there is to say about their clients.
            touched |= dict.fromkeys(key for key in self._plan.sockets if key.address == WILDCARD_ADDRESS)
        return list(touched)

    def forwarding(self, key: SocketKey) -> Forwarding:
        """What the kernel needs for a socket; ``NOTHING`` when the plan has none. Raises DataPlaneError."""
        socket = self._plan.sockets.get(key)
        if socket is None:
            self._wanted.pop(key, None)
            return NOTHING
        target = self._plan.target(target_key(socket))
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
        socket = self._plan.sockets.get(key)
        if socket is None:
            return ""
        backends = [
            (backend.label, offers.kinds)
            for backend in translate.shares(self._plan.target(target_key(socket)))
            if backend.pool is not None and (offers := self._offers_of(backend.pool)).known
        ]
        return self._reach.limits(key.address, backends)

    def _set_addressed(self, key: SocketKey) -> None:
        keys = self._addressed.setdefault(key.address, set())
        if key in self._plan.sockets:
            keys.add(key)
        else:
            keys.discard(key)
        if not keys:
            del self._addressed[key.address]

    def _offers_of(self, key: PoolKey) -> Offers:
        found = self._offers.get(key)
        if found is None:
            ways = self._reach.ways(self._plan.endpoints(key))
            found = self._offers[key] = translate.offers(ways, hairpins=self._hairpins)
        return found

    def _with_other_offers(self, pools: Sequence[PoolKey]) -> dict[SocketKey, None]:
        """Forget what these pools offered; returns the sockets to write again."""
        for pool in pools:
            self._offers.pop(pool, None)
        return {socket.key: None for pool in pools for _, socket in self._plan.users(pool)}
