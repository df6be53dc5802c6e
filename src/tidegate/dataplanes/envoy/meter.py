"""Looks at the counters of all our Envoys and keeps them in the ledger: when to ask, and when to write down.

In: generations to ask, and whose each statistics prefix is. Out: ``Traffic`` of what is planned. How counters
add up is decided in ``traffic``, how Envoy is asked in ``stats``.

A look costs Envoy's main thread some 50 microseconds per listener in use, during which no change is applied.
So looks are seldom enough to take a small part of its time, however many listeners there are.
"""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tidegate.dataplanes import trafficfile
from tidegate.dataplanes.envoy import stats
from tidegate.dataplanes.envoy.generations import Generation
from tidegate.dataplanes.traffic import Series, TrafficLedger
from tidegate.errors import DataPlaneError
from tidegate.plan.outcome import Traffic
from tidegate.telemetry.logs import logger

PERIOD_SECONDS = 2.0
"""How often the counters are looked at when nobody asks for them."""

FRESH_SECONDS = 0.2
"""An answer this old still counts as the counters now."""

SAVE_SECONDS = 10.0
"""How often the ledger is written down."""

QUICK_SECONDS = 0.01
"""A look that takes no longer may be taken while a change is on its way."""

LAST_LOOK_SECONDS = 1.0
"""How long an Envoy that is about to end is waited for: one that hangs must not delay the end."""

_LEISURE = 50
"""After a look, this many times its duration must pass before the next."""

_log = logger("envoy")


class TrafficMeter:
    """The counters of one plane. ``generations`` gives the Envoys that run, ``owners`` whose each prefix is,
    ``former_owners`` whose those were that left the plan lately.
    """

    def __init__(
        self,
        path: Path,
        *,
        generations: Callable[[], Iterable[Generation]],
        owners: Callable[[], Mapping[str, Series]],
        former_owners: Callable[[], Mapping[str, Series]],
    ) -> None:
        self._path = path
        self._generations = generations
        self._owners = owners
        self._former_owners = former_owners
        self._ledger = TrafficLedger()
        self._looking = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._next_look = 0.0
        self._duration = 0.0
        self._changed = False
        self._final = False

    async def load(self) -> None:
        """Go on from what an earlier controller wrote down, except for Envoys that ended since."""
        try:
            self._ledger = TrafficLedger(await asyncio.to_thread(trafficfile.load, self._path))
        except DataPlaneError as error:
            _log.warning("traffic counters begin anew", reason=str(error))
        present = {one.name for one in self._generations()}
        for name in set(self._ledger.generations) - present:
            self._ledger.retire(name)

    async def run(self) -> None:
        """Look and write down again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        save_due = loop.time() + SAVE_SECONDS
        while True:
            await self._wait(PERIOD_SECONDS)
            if loop.time() >= self._next_look:
                await self.look()
            if loop.time() >= save_due or self._final:
                save_due = loop.time() + SAVE_SECONDS
                self._final = False
                await self.save()

    def look_soon(self) -> None:
        """Something that counts may be about to go: look, where that does not delay it noticeably."""
        if self._duration < QUICK_SECONDS:
            self._wanted.set()

    async def look(self) -> None:
        """Ask every Envoy now. One that does not answer is left for the next look."""
        for one in list(self._generations()):
            await self.observe(one)

    async def observe(self, generation: Generation) -> None:
        """Ask one Envoy now."""
        loop = asyncio.get_running_loop()
        async with self._looking:
            began = loop.time()
            try:
                counted = await stats.fetch(generation.admin)
            except DataPlaneError as error:
                _log.debug("envoy does not tell its counters", pid=generation.process.pid, reason=str(error))
                return
            self._ledger.observe(generation.name, counted, ChainMap(dict(self._owners()), dict(self._former_owners())))
            self._changed = True
            self._duration = loop.time() - began
            self._next_look = loop.time() + max(FRESH_SECONDS, _LEISURE * self._duration)

    async def last_look(self, generation: Generation) -> None:
        """Ask one Envoy that is about to be ended or left, with little patience."""
        try:
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                await self.observe(generation)
        except TimeoutError:
            _log.debug("envoy does not tell its last counters", pid=generation.process.pid)

    def retire(self, generation: Generation) -> None:
        """An Envoy has ended."""
        self._ledger.retire(generation.name)
        self._changed = True
        # Nobody can count these connections again: what is known of them is written down at once.
        self._final = True
        self._wanted.set()

    async def traffic(self) -> Sequence[Traffic]:
        """The counters now, or those of the last look when that was a moment ago."""
        if asyncio.get_running_loop().time() >= self._next_look:
            await self.look()
        return self._ledger.traffic(self._owners().values())

    async def save(self) -> None:
        """Write the ledger down, unless nothing happened."""
        if not self._changed:
            return
        self._changed = False
        try:
            await asyncio.to_thread(trafficfile.save, self._path, self._ledger.to_state())
        except DataPlaneError as error:
            self._changed = True
            _log.warning("traffic counters not written down", reason=str(error))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            return
        self._wanted.clear()
