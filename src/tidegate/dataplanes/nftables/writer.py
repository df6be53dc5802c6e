"""Brings the sockets of the plan into the kernel, and keeps them there: the plane's one task that writes.

In: which sockets are due, and which must wait. Out: what became of each, to the settlement; ``publish`` is called with
the sockets whose outcome may be another. How a socket is translated is left to ``catalog``, the table to ``keeper``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice

from tidegate.dataplanes.nftables import ruleset
from tidegate.dataplanes.nftables.catalog import Catalog
from tidegate.dataplanes.nftables.keeper import Keeper, Wanted
from tidegate.dataplanes.nftables.kernel import TableLostError
from tidegate.dataplanes.nftables.marks import Marks
from tidegate.dataplanes.nftables.meter import Meter
from tidegate.dataplanes.nftables.settlement import Settlement
from tidegate.dataplanes.retries import BindRetries
from tidegate.errors import DataPlaneError
from tidegate.names import SocketKey
from tidegate.telemetry.logs import logger

_ROUND = 1_000
"""How many sockets are written at a time: an urgent change passes between two rounds of a bulk load."""

_RETRY_SECONDS = 0.5
_TABLE_SECONDS = 1.0
_AFTER_ERROR_SECONDS = 1.0
_SWEEP_SECONDS = 5.0

_log = logger("nftables")


class Writer:
    """Writes what is due. A socket that ``wait`` was told of is not written before it is ``released``."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        keeper: Keeper,
        marks: Marks,
        meter: Meter,
        settlement: Settlement,
        publish: Callable[[Iterable[SocketKey]], None],
    ) -> None:
        self._catalog = catalog
        self._keeper = keeper
        self._marks = marks
        self._meter = meter
        self._settlement = settlement
        self._publish = publish
        self._due: dict[SocketKey, None] = {}
        self._waiting: set[SocketKey] = set()
        self._work = asyncio.Event()
        self._complete = False
        self._swept: frozenset[SocketKey] | None = None
        self._sweep_due = 0.0
        self._sweep_trouble = ""

    @property
    def complete(self) -> bool:
        """Whether all of the first plan has been handed over."""
        return self._complete

    def wait(self, keys: Iterable[SocketKey]) -> None:
        """Do not write these yet."""
        self._waiting.update(keys)

    def released(self, keys: Iterable[SocketKey]) -> None:
        """These wait no longer, and are due. With the first call, also without any, the first plan is complete."""
        keys = list(keys)
        self._complete = True
        self._waiting.difference_update(keys)
        self.due(keys)

    def waiting_of(self, keys: Collection[SocketKey]) -> list[SocketKey]:
        """Those of these that wait. Costs nothing while none does."""
        return [key for key in self._waiting if key in keys]

    def due(self, keys: Iterable[SocketKey]) -> None:
        """Write these soon, those that wait excepted."""
        self._due.update(dict.fromkeys(key for key in keys if key not in self._waiting))
        self._work.set()

    def forget(self, key: SocketKey) -> None:
        """The socket left the plan: it is removed without waiting for anything."""
        self._waiting.discard(key)
        self.due([key])

    def is_served(self, key: SocketKey) -> bool:
        """Whether the kernel takes connections to the socket."""
        return self._keeper.has(ruleset.entry_place(key))

    async def run(self) -> None:
        """Write what is due, again and again, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._due:
                keys = list(islice(self._due, _ROUND))
                for key in keys:
                    del self._due[key]
                # One that went and came again waits like any new one.
                await self._write([key for key in keys if key not in self._waiting])
            await self._sweep()

    async def retry(self) -> None:
        """Offer sockets again that the kernel refused, and removals, until cancelled."""
        retries, loop = BindRetries(), asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            self.due(retries.due(self._settlement.rejected(), loop.time()))
            if self._sweep_trouble:
                self._work.set()

    async def watch_table(self) -> None:
        """Notice when somebody removed the table, or changed what it holds, until cancelled."""
        while True:
            await asyncio.sleep(_TABLE_SECONDS)
            try:
                lost = await self._keeper.is_lost()
                changed = frozenset() if lost else await self._keeper.changed_by_others()
            except DataPlaneError as error:
                _log.debug("table not looked at", reason=str(error))
                continue
            if lost:
                await self._begin_again()
            elif changed or self._keeper.untidy:
                self.due(changed)

    async def _write(self, keys: Sequence[SocketKey]) -> None:
        present = self._catalog.sockets()
        revisions = {key: present[key].revision for key in keys if key in present}
        wanted, faults = self._translate(keys)
        try:
            faults |= await self._keeper.write(wanted)
        except TableLostError:
            await self._begin_again()
            return
        except DataPlaneError as error:
            _log.error("rules not written", reason=str(error))  # An expected failure, no bug.
            self.due(keys)
            await asyncio.sleep(_AFTER_ERROR_SECONDS)
            return
        for key in keys:
            if key in faults:
                self._settlement.reject(key, revisions.get(key, ""), faults[key])
                _log.warning("rules refused", socket=str(key), reason=faults[key])
                continue
            self._catalog.written(key)
            if key in revisions:
                self._settlement.written(key, revisions[key], self._catalog.limits(key))
        self._publish(keys)

    def _translate(self, keys: Iterable[SocketKey]) -> tuple[dict[SocketKey, Wanted], dict[SocketKey, str]]:
        """What sockets should have in the kernel, and those for which it has no room."""
        wanted: dict[SocketKey, Wanted] = {}
        faults: dict[SocketKey, str] = {}
        for key in keys:
            try:
                wanted[key] = Wanted(self._catalog.forwarding(key), self._is_admitted(key))
            except DataPlaneError as error:
                faults[key] = str(error)
        return wanted, faults

    def _is_admitted(self, key: SocketKey) -> bool:
        # What is served already is not given up because somebody else comes to listen there.
        free = not self._settlement.is_held(key) or self.is_served(key)
        return key in self._catalog.sockets() and free and not self._settlement.is_elsewhere(key)

    async def _sweep(self) -> None:
        """After the first plan: remove what an earlier controller left; later, what the kernel would not remove."""
        if not self._complete or self._waiting:
            return
        # Those that were refused keep what they had, until they are written.
        refused = frozenset(self._settlement.rejected()) if self._swept != frozenset() else frozenset()
        if self._swept == refused and not self._keeper.untidy:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._sweep_due:
            return
        try:
            needed = await self._keeper.sweep(refused)
        except DataPlaneError as error:
            if str(error) != self._sweep_trouble:
                _log.warning("leftovers not removed", reason=str(error))
            self._sweep_trouble, self._sweep_due = str(error), loop.time() + _SWEEP_SECONDS
            return
        self._sweep_trouble = ""
        self._marks.forget_the_rest(needed)
        self._meter.look_soon()
        self._swept = refused

    async def _begin_again(self) -> None:
        """Somebody removed the table: make it again, with everything that is planned."""
        message = "somebody removed the rules from the kernel; they are made again"
        _log.error("table lost", reason=message)
        self._settlement.down(message)
        self._publish(list(self._catalog.sockets()))
        try:
            await self._keeper.begin_again()
        except DataPlaneError as error:
            _log.error("table not made", reason=str(error))  # An expected failure, no bug.
            await asyncio.sleep(_AFTER_ERROR_SECONDS)
        else:
            self._settlement.up()
            await self._meter.begin_anew()
            self._swept = None
        self.due(self._catalog.sockets())
