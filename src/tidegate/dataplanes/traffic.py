"""Counters that only grow, from counters that begin anew. Pure: no clock, no files, no data plane.

In: what was counted by each *generation* of a data plane (``RawCounters`` per prefix), who owns a prefix, and
which generations are gone. Out: ``Traffic`` per listener, route and backend. A generation is what counts
until it is replaced: an Envoy process with its statistics prefixes, a table in the kernel with its marks. Asking
it and when to ask is left to the plane, keeping the ledger's state to ``trafficfile``.

How: for each generation and prefix the ledger remembers the raw counters of the last look, the *baseline*, and
adds to the totals what grew since. Counters of a prefix begin anew with a generation, and when the
prefix had vanished (its route was removed and its last connection ended). So

* a prefix without baseline counts from zero, a lower value than the baseline too;
* a prefix that is not in a look has vanished: its baseline is dropped;
* ``retire`` drops all baselines of a generation that ended;
* a look that failed is not reported at all, and changes nothing.

Two generations side by side (a replacement) have baselines of their own and are simply added up. Totals and
baselines are kept together, so a controller that starts again and adopts what runs goes on without a
gap or a double count.

What is lost: what a generation counted after the last look, when it ends or a prefix vanishes before the
next one. The owner of a prefix that is about to go (removed listener, other route) should therefore be
looked at once more right before; connections that stay open keep the prefix alive anyhow. And a prefix that
vanishes, comes back and passes its baseline all between two looks counts only what exceeds the baseline.

Bounds: a series that no longer has an owner keeps its totals, so that counters go on when a listener comes
back, until there are more than ``MAX_SERIES``; then those go first that did not grow for longest.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from tidegate.names import ListenerKey, ObjectKey
from tidegate.plan.outcome import Traffic

_FEW = 16
"""What is less than this part of what is there, is few."""

SLICE = 500
"""How many series are sorted at a time: some 2 ms."""

MAX_SERIES = 20_000
"""How many series are remembered at most; those that have an owner now are never dropped."""


class RawCounters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one generation has counted for one prefix: connections opened, refused and ended, and bytes
    received from and sent to clients. They begin anew with the generation, and when the prefix was gone.
    """

    opened: int = 0
    refused: int = 0
    ended: int = 0
    received: int = 0
    sent: int = 0


class Series(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """What counters are kept for: one route on one listener, or a listener without a route; where the data plane
    counts backends apart, one backend (its label) of those.
    """

    listener: ListenerKey
    route: ObjectKey | None
    backend: str = ""


class Totals(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was counted for a series, by all generations that ever were."""

    opened: int = 0
    refused: int = 0
    received: int = 0
    sent: int = 0


class SeriesState(msgspec.Struct, frozen=True, kw_only=True):
    """A series in the ledger's state."""

    series: Series
    totals: Totals


class PrefixState(msgspec.Struct, frozen=True, kw_only=True):
    """The baseline of a prefix in one generation, in the ledger's state."""

    generation: str
    prefix: str
    series: Series
    baseline: RawCounters


class LedgerState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a ledger knows. ``totals`` are in the order in which they last grew."""

    totals: tuple[SeriesState, ...] = ()
    prefixes: tuple[PrefixState, ...] = ()


_EMPTY = LedgerState()
_NONE = Totals()
_NOTHING = RawCounters()


class _Watched(msgspec.Struct, frozen=True, gc=False):
    series: Series
    baseline: RawCounters


class TrafficLedger:
    """Adds up what the generations of one plane count, going on where ``state`` was.

    ``generation`` identifies one for good: a new one has another name, an adopted one keeps its own.
    Those of ``state`` that are gone by now must be retired. ``changes`` grows with whatever changes that state.
    """

    def __init__(self, state: LedgerState = _EMPTY, *, max_series: int = MAX_SERIES) -> None:
        self.changes = 0
        self._max_series = max_series
        # In the order in which they last grew; the plan's own come to the end whenever they are looked at.
        self._totals: dict[Series, Totals] = {entry.series: entry.totals for entry in state.totals}
        self._watched: dict[str, dict[str, _Watched]] = {}
        self._told: dict[Series, Traffic | None] = {}
        for entry in state.prefixes:
            self._watched.setdefault(entry.generation, {})[entry.prefix] = _Watched(entry.series, entry.baseline)

    @property
    def generations(self) -> Collection[str]:
        """Those that have baselines."""
        return tuple(self._watched)

    def observe(
        self,
        generation: str,
        counted: Mapping[str, RawCounters],
        owners: Mapping[str, Series],
        *,
        complete: bool = True,
    ) -> None:
        """Take one look at one generation.

        ``owners`` says whose each prefix is now. A prefix that is not in there any more still counts for
        its last owner, as connections that outlive their route do; one that never was is ignored. A look that is not
        ``complete`` may lack some: they are not gone before ``vanish`` says so.
        """
        before = self._watched.get(generation, {})
        after: dict[str, _Watched] = {} if complete else dict(before)
        for prefix, raw in counted.items():
            known = before.get(prefix)
            series = owners.get(prefix) or (known.series if known is not None else None)
            if series is None:
                continue
            if known is not None and known.baseline == raw and known.series == series:
                after[prefix] = known
                continue
            self._add(series, _growth(known.baseline if known is not None else _NOTHING, raw))
            after[prefix] = _Watched(series, raw)
            self.changes += 1
        self.changes += len(before) > len(after)
        self._watched[generation] = after
        self._bound(owners.values())

    def expect(self, generation: str, owners: Mapping[str, Series]) -> None:
        """These may be counted later, perhaps when nobody is there any more who knows whose they are."""
        watched = self._watched.setdefault(generation, {})
        for prefix in owners.keys() - watched.keys():
            watched[prefix] = _Watched(owners[prefix], _NOTHING)
            self.changes += 1

    def owners(self, generation: str) -> dict[str, Series]:
        """Whose each prefix of a generation was at the last look."""
        return {prefix: watched.series for prefix, watched in self._watched.get(generation, {}).items()}

    def vanish(self, generation: str, prefixes: Iterable[str]) -> None:
        """These are gone, and begin anew if they come again."""
        watched = self._watched.get(generation, {})
        for prefix in prefixes:
            self.changes += watched.pop(prefix, None) is not None

    def retire(self, generation: str) -> None:
        """It has ended. Its totals stay; it has no active connections any more."""
        self.changes += self._watched.pop(generation, None) is not None

    def traffic(self, present: Iterable[Series], active: Mapping[Series, int] | None = None) -> list[Traffic]:
        """The counters now: of ``present``, what is planned, and of whatever else has connections open, sorted.

        What former backends of a route counted is told without a name, so that the sum of the route never falls.
        ``active``: the open connections, from a data plane that knows them; else, those opened and not ended.
        What has not changed since the last time is the same object, so that comparing thousands costs nothing.
        """
        active = self._active() if active is None else active
        shown = {*present, *(series for series, count in active.items() if count)}
        totals = {series: self._totals.get(series, _NONE) for series in shown}
        routes = {(series.listener, series.route) for series in shown if series.backend}
        for series, former in self._totals.items():
            if series not in shown and (series.listener, series.route) in routes:
                rest = Series(series.listener, series.route)
                totals[rest] = _sum(totals.get(rest, _NONE), former)
        self._order_told(totals.keys())
        for series, told in self._told.items():
            now = _traffic(series, totals[series], active.get(series, 0))
            if now != told:
                self._told[series] = now
        return [told for told in self._told.values() if told is not None]

    def to_state(self) -> LedgerState:
        """All that this ledger knows, for a later one."""
        return LedgerState(
            totals=tuple(SeriesState(series=series, totals=totals) for series, totals in self._totals.items()),
            prefixes=tuple(
                PrefixState(generation=generation, prefix=prefix, series=watched.series, baseline=watched.baseline)
                for generation, prefixes in self._watched.items()
                for prefix, watched in prefixes.items()
            ),
        )

    def _order_told(self, shown: AbstractSet[Series]) -> None:
        """Have a place for each, sorted. Mostly they are those of the last time, or nearly: few new ones are put in
        their places.
        """
        known = self._told
        new = [series for series in shown if series not in known]
        if not new and len(shown) == len(known):
            return
        if len(new) > len(known) // _FEW:
            ordered = _sorted(list(shown))
        else:
            ordered = [series for series in known if series in shown]
            for series in new:
                bisect.insort(ordered, series, key=_order)
        self._told = {series: known.get(series) for series in ordered}

    def _add(self, series: Series, growth: RawCounters) -> None:
        totals = self._totals.get(series, Totals())
        if growth.opened or growth.refused or growth.received or growth.sent:
            self._totals.pop(series, None)
            totals = _sum(totals, growth)
        self._totals[series] = totals

    def _active(self) -> dict[Series, int]:
        """Open connections. The two counters of a pair are read a moment apart, so never less than none."""
        active: dict[Series, int] = {}
        for prefixes in self._watched.values():
            for watched in prefixes.values():
                count = max(0, watched.baseline.opened - watched.baseline.ended)
                active[watched.series] = active.get(watched.series, 0) + count
        return active

    def _bound(self, owned: Iterable[Series]) -> None:
        excess = len(self._totals) - self._max_series
        if excess <= 0:
            return
        keep = {*owned, *(watched.series for prefixes in self._watched.values() for watched in prefixes.values())}
        for series in [series for series in self._totals if series not in keep][:excess]:
            del self._totals[series]
            self.changes += 1


def _sorted(many: Sequence[Series]) -> list[Series]:
    """In order. Sorted in slices, as no other thread gets its turn while one is sorted."""
    slices = [sorted(many[start : start + SLICE], key=_order) for start in range(0, len(many), SLICE)]
    return list(heapq.merge(*slices, key=_order))


def _growth(before: RawCounters, now: RawCounters) -> RawCounters:
    """What was counted since ``before``. Counters of a prefix begin anew all at once."""
    again = now.opened < before.opened or now.ended < before.ended or now.refused < before.refused
    if again or now.received < before.received or now.sent < before.sent:
        return now
    return RawCounters(
        opened=now.opened - before.opened,
        refused=now.refused - before.refused,
        ended=now.ended - before.ended,
        received=now.received - before.received,
        sent=now.sent - before.sent,
    )


def _traffic(series: Series, totals: Totals, active: int) -> Traffic:
    return Traffic(
        listener=series.listener,
        route=series.route,
        backend=series.backend,
        opened=totals.opened,
        refused=totals.refused,
        active=active,
        received=totals.received,
        sent=totals.sent,
    )


def _sum(totals: Totals, more: Totals | RawCounters) -> Totals:
    return Totals(
        opened=totals.opened + more.opened,
        refused=totals.refused + more.refused,
        received=totals.received + more.received,
        sent=totals.sent + more.sent,
    )


def _order(series: Series) -> tuple[ListenerKey, tuple[ObjectKey, ...], str]:
    """Listeners in order, without a route first."""
    return (series.listener, (series.route,) if series.route is not None else (), series.backend)
