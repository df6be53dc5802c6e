"""Watches the tables of other instances in this network namespace for doors at our ports.

In: new sockets, and the sockets of the plan. Out: for those whose connections another table takes, which one, at every
look; and new sockets once they were looked at. What follows is left to ``doors`` and the plane.

At rest a look asks for the generation of the kernel's tables, one number. Tables are read only when somebody else has
changed something since, and no more often than takes some 2 % of a processor, unless there are new sockets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from tidegate.dataplanes.nftables.adoption import origin_of
from tidegate.dataplanes.nftables.doors import Doors, Neighbour
from tidegate.dataplanes.nftables.kernel import Kernel
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.dataplanes.nftables.threads import to_the_end
from tidegate.errors import DataPlaneError
from tidegate.names import SocketKey
from tidegate.telemetry.logs import logger

PERIOD_SECONDS = 0.5

_LEISURE = 50
"""After other tables were read, this many times the processor time that it took passes before the next time."""

_log = logger("nftables")

OnLooked = Callable[[Mapping[SocketKey, Neighbour], Collection[SocketKey] | None], None]
"""Called with all sockets that other tables take, and those that were looked at for the first time, which may be none;
None when it was no look at new ones.
"""


class _Reading(msgspec.Struct, frozen=True):
    """What other tables had as doors, at a generation of the kernel's tables, and the doubts of the keeper then."""

    generation: int
    doubts: int
    doors: Doors
    seconds: float


class Neighbours:
    """``known`` is ``Keeper.known``. The look that reads is made in a thread."""

    def __init__(
        self,
        table: TableName,
        known: Callable[[], tuple[int, int]],
        sockets: Callable[[], Collection[SocketKey]],
        on_looked: OnLooked,
    ) -> None:
        self._table = str(table)
        self._known = known
        self._sockets = sockets
        self._on_looked = on_looked
        self._kernel = Kernel(table)
        self._reading: _Reading | None = None
        self._next_reading = 0.0
        self._taken: dict[SocketKey, Neighbour] = {}
        self._new: dict[SocketKey, None] = {}
        self._wake = asyncio.Event()
        self._trouble = ""

    def close(self) -> None:
        """Release the socket to the kernel."""
        self._kernel.close()

    def add(self, keys: Collection[SocketKey]) -> None:
        """Look at these at once; calls back even when there are none."""
        self._new.update(dict.fromkeys(keys))
        self._wake.set()

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            woken = await self._woken()
            self._wake.clear()
            new, self._new = self._new, {}
            try:
                await self._look(urgent=bool(new))
            except DataPlaneError as error:
                # What is known stays, and these have their turn again.
                if str(error) != self._trouble:
                    _log.warning("tables of other instances not looked at", reason=str(error))
                self._trouble = str(error)
                await asyncio.sleep(PERIOD_SECONDS)
                self._new = new | self._new
                if woken:
                    self._wake.set()
                continue
            self._trouble = ""
            self._tell(list(new), woken=woken)

    async def _look(self, *, urgent: bool) -> None:
        loop = asyncio.get_running_loop()
        if not urgent and loop.time() < self._next_reading:
            return
        before = self._reading
        reading = await to_the_end(self._read, before)
        if reading is before:
            return
        self._reading = reading
        self._next_reading = loop.time() + _LEISURE * reading.seconds
        self._taken = reading.doors.taken(self._sockets())

    def _tell(self, new: Sequence[SocketKey], *, woken: bool) -> None:
        doors = self._reading.doors if self._reading is not None else Doors()
        self._taken |= doors.taken(new)
        self._on_looked(self._taken, new if woken else None)

    def _read(self, before: _Reading | None) -> _Reading:
        """The doors as they are now; ``before`` when nobody but us can have changed any since."""
        known, doubts = self._known()
        generation = self._kernel.generation()
        if before is not None and (
            generation == before.generation or (generation == known and doubts == before.doubts)
        ):
            return before
        began = time.thread_time()
        tables = sorted(self._kernel.tables(), key=lambda one: one.handle, reverse=True)
        own = next((one.handle for one in tables if one.name == self._table), 0)
        # Handles grow: who has the greater one was made later.
        others = [one for one in tables if one.name != self._table and origin_of(one) is not None]
        doors = Doors((Neighbour(one.name, one.handle > own), self._kernel.doors(one.name)) for one in others)
        return _Reading(generation, doubts, doors, time.thread_time() - began)

    async def _woken(self) -> bool:
        try:
            async with asyncio.timeout(PERIOD_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True
