"""Looks at what the kernel counts for each lane, and keeps it in the ledger: when, and for how long a lane is kept.

In: the table's counters, and the open connections from connection tracking. Out: ``Traffic`` of what is planned, and
lanes that nothing needs any more. How counters add up is decided in ``traffic``.

A look costs some 10 microseconds for each lane in use and for each connection that the kernel remembers, so looks are
seldom enough to take a small part of a processor, however many there are. The counters themselves stay in the kernel,
whatever happens to this process.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tidegate.dataplanes import trafficfile
from tidegate.dataplanes.nftables import conntrack, ruleset
from tidegate.dataplanes.nftables.conntrack import Connections
from tidegate.dataplanes.nftables.keeper import Keeper
from tidegate.dataplanes.nftables.kernel import Counts, Kernel, TableLostError
from tidegate.dataplanes.nftables.marks import Marks, SeriesOfMarks
from tidegate.dataplanes.nftables.netlink import Netlink
from tidegate.dataplanes.nftables.ruleset import mark_of
from tidegate.dataplanes.nftables.silence import Silence
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.dataplanes.nftables.threads import to_the_end
from tidegate.dataplanes.traffic import RawCounters, Series, TrafficLedger
from tidegate.errors import DataPlaneError
from tidegate.plan.outcome import Traffic
from tidegate.telemetry.logs import logger

PERIOD_SECONDS = 2.0
"""How often the counters are looked at when nobody asks for them."""

FRESH_SECONDS = 0.2
"""An answer this old still counts as the counters now."""

SAVE_SECONDS = 10.0
"""How often the ledger is written down."""

_LEISURE = 50
"""After a look, this many times the processor time that it took must pass before the next."""

_ORIGINAL = 0
"""The direction of packets from the client, in keys of the set of traffic."""

_log = logger("nftables")


class Look(msgspec.Struct, frozen=True):
    """What one look saw: counts, open connections, the lanes that had left the plan before, and the processor time
    that it took; and what that is worth for everything planned.
    """

    retired: frozenset[int]
    counts: Counts
    connections: Connections
    traffic: Sequence[Traffic]
    seconds: float


class Meter:
    """The counters of one plane, in a file at ``path`` beside the kernel's.

    ``advice`` is for who reads that connections are not answered.
    """

    def __init__(self, path: Path, table: TableName, keeper: Keeper, marks: Marks, *, advice: str) -> None:
        self._path = path
        self._advice = advice
        self._silence = Silence()
        self._keeper = keeper
        self._marks = marks
        # Apart from the keeper's, so that a look never waits for a change, nor the other way round.
        self._kernel = Kernel(table)
        self._netlink = Netlink()
        self._ledger = TrafficLedger()
        self._looking = asyncio.Lock()
        self._next_look = 0.0
        self._last: Look | None = None
        self._told: Sequence[Traffic] = ()
        self._told_of = -1
        self._saved = 0
        self._trouble = ""

    def close(self) -> None:
        """Release what is held."""
        self._kernel.close()
        self._netlink.close()

    async def load(self) -> dict[int, Series]:
        """Go on from what an earlier controller wrote down, where its table still counts. Returns whose its lanes were,
        by mark.
        """
        try:
            self._ledger = TrafficLedger(await asyncio.to_thread(trafficfile.load, self._path))
        except DataPlaneError as error:
            _log.warning("traffic counters begin anew", reason=str(error))
        await self.begin_anew()
        return {int(mark): series for mark, series in self._ledger.owners(self._keeper.origin.generation).items()}

    async def begin_anew(self) -> None:
        """The table is another one: what earlier ones counted stays, and grows no more."""
        # Not while a thread adds up or writes down.
        async with self._looking:
            for generation in set(self._ledger.generations) - {self._keeper.origin.generation}:
                self._ledger.retire(generation)

    async def run(self) -> None:
        """Look, free lanes and write down, again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        save_due = loop.time() + SAVE_SECONDS
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            if loop.time() >= self._next_look:
                await self.look()
            if self._last is not None:
                await self._free_lanes(self._last)
            if loop.time() >= save_due:
                save_due = loop.time() + SAVE_SECONDS
                await self.save()

    async def connections(self) -> Connections:
        """The open connections of this instance now. Raises DataPlaneError."""
        async with self._looking:
            return await to_the_end(conntrack.connections, self._netlink, self._marks.prefix)

    async def look(self) -> None:
        """Look now. What cannot be read is left for the next look."""
        marks = self._marks
        async with self._looking:
            changes = marks.changes
            try:
                look = await to_the_end(
                    self._look, self._keeper.origin.generation, marks.series(), frozenset(marks.retired)
                )
            except DataPlaneError as error:
                _log.debug("counters not read", reason=str(error))
                return
            self._last, self._told, self._told_of = look, look.traffic, changes
            self._tell_silence(look.connections)
            self._next_look = asyncio.get_running_loop().time() + max(FRESH_SECONDS, _LEISURE * look.seconds)

    def _tell_silence(self, connections: Connections) -> None:
        """Say whose connections hang."""
        if not (connections.unanswered or self._silence):
            return
        owners = self._marks.series().owners()
        unanswered, answered = (
            {owners[mark] for mark in seen if mark in owners} for seen in (connections.unanswered, connections.open)
        )
        for series in self._silence.look(asyncio.get_running_loop().time(), unanswered, answered):
            where = {"listener": str(series.listener), "backend": series.backend}
            _log.warning("connections are not answered", **where, advice=self._advice)

    def look_soon(self) -> None:
        """There is something new to count: the next who asks gets a look."""
        self._next_look = 0.0

    async def traffic(self) -> Sequence[Traffic]:
        """The counters now, or those of the last look when that was a moment ago."""
        marks = self._marks
        if asyncio.get_running_loop().time() >= self._next_look:
            await self.look()
        if self._told_of != marks.changes and self._last is not None:
            async with self._looking:
                changes = marks.changes
                self._told = await to_the_end(self._add_up, marks.series(), self._last.connections)
                self._told_of = changes
        return self._told

    async def save(self) -> None:
        """Write the ledger down, unless nothing happened."""
        changes = self._ledger.changes
        if changes == self._saved:
            return
        try:
            async with self._looking:
                await to_the_end(self._save)
        except DataPlaneError as error:
            _log.warning("traffic counters not written down", reason=str(error))
        else:
            self._saved = changes

    def _save(self) -> None:
        trafficfile.save(self._path, self._ledger.to_state())

    def _look(self, generation: str, series: SeriesOfMarks, retired: frozenset[int]) -> Look:
        began = time.thread_time()
        connections = conntrack.connections(self._netlink, self._marks.prefix)
        counts = self._kernel.count()
        # A set that grows while it is read may lack some of its elements.
        owners = {str(mark): one for mark, one in series.owners().items()}
        self._ledger.observe(generation, counted(counts), owners, complete=False)
        self._ledger.expect(generation, owners)
        traffic = self._add_up(series, connections)
        return Look(retired, counts, connections, traffic, time.thread_time() - began)

    def _add_up(self, series: SeriesOfMarks, connections: Connections) -> Sequence[Traffic]:
        owners = series.owners()
        active: Counter[Series] = Counter()
        for mark, count in connections.open.items():
            if mark in owners:
                active[owners[mark]] += count
        return self._ledger.traffic(series.planned(), active)

    async def _free_lanes(self, look: Look) -> None:
        """Give back the marks of lanes that left the plan and have no connection any more."""
        marks = self._marks
        idle = (marks.retired.keys() & look.retired) - look.connections.remembered
        if not idle:
            return
        counters = {
            name: [one.key for one in elements if mark_of(one.key) in idle]
            for name, elements in (
                (ruleset.OPENED, look.counts.opened),
                (ruleset.REFUSED, look.counts.refused),
                (ruleset.TRAFFIC, look.counts.traffic),
            )
        }
        try:
            await self._keeper.remove_lanes(idle, counters)
        except TableLostError:
            return  # They are gone with it, or come back; it is made again soon.
        except DataPlaneError as error:
            if str(error) != self._trouble:
                _log.warning("lanes not freed", reason=str(error))
            self._trouble = str(error)
            return
        self._trouble = ""
        # Not while a look adds up in its thread.
        async with self._looking:
            self._ledger.vanish(self._keeper.origin.generation, map(str, idle))
        for mark in idle:
            marks.free(mark)


def counted(counts: Counts) -> dict[str, RawCounters]:
    """What was counted per lane, by the text of its mark."""
    opened = {mark_of(one.key): one.packets for one in counts.opened}
    refused = {mark_of(one.key): one.packets for one in counts.refused}
    received: Counter[int] = Counter()
    sent: Counter[int] = Counter()
    for one in counts.traffic:
        (received if one.key[4] == _ORIGINAL else sent)[mark_of(one.key)] += one.bytes
    return {
        str(mark): RawCounters(
            opened=opened.get(mark, 0), refused=refused.get(mark, 0), received=received[mark], sent=sent[mark]
        )
        for mark in opened.keys() | refused.keys() | received.keys() | sent.keys()
    }
