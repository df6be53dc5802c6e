"""Keeps the kernel's table as it should be: makes or adopts it, writes sockets, notices when somebody removed it.

In: the ``Forwarding`` of sockets, as the plan goes on. Out: which of them the kernel has now, and which are not as they
were written any more. The one owner of the image of the table; its methods are used by one task at a time, and whatever
blocks runs in a thread.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

import msgspec

from tidegate.dataplanes.nftables import marks, structure
from tidegate.dataplanes.nftables.adoption import Adoption, Contents, Origin, adoption, free_slot, origin_of
from tidegate.dataplanes.nftables.image import Difference, Expected, Image, Steps
from tidegate.dataplanes.nftables.kernel import Kernel
from tidegate.dataplanes.nftables.nft import Nft
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.ruleset import (
    LANES,
    NOTHING,
    Forwarding,
    Place,
    Removable,
    Rung,
    entry_place,
    mark_bytes,
)
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.dataplanes.nftables.threads import to_the_end
from tidegate.errors import DataPlaneError
from tidegate.names import SocketKey
from tidegate.telemetry.logs import logger

_LEISURE = 50
"""After the whole table was read, this many times the processor time that it took must pass before the next time."""

_log = logger("nftables")

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


class Wanted(msgspec.Struct, frozen=True):
    """What a socket should have in the kernel. Not ``admitted``: without its entry, so that it gets no connection."""

    forwarding: Forwarding
    admitted: bool


class Keeper:
    """The table of one instance."""

    def __init__(self, table: TableName, options: NftablesOptions) -> None:
        self.origin = Origin(0, "")
        self._table = table
        self._options = options
        self._nft = Nft()
        self._kernel = Kernel(table)
        # Apart, so that no change waits while everything is read.
        self._reader = Kernel(table)
        self._image = Image()
        self._present: dict[SocketKey, tuple[Removable, ...]] = {}
        self._rungs: set[Rung] = set()
        self._generation = 0
        self._doubts = 0
        self._shape: tuple[int, Mapping[str, int]] = (0, {})
        self._untidy = False
        self._suspect = False
        self._disturbed: set[SocketKey] = set()
        self._next_comparison = self._last_comparison = 0.0
        self._working = asyncio.Lock()

    def close(self) -> None:
        """Let go of the table; it stays as it is."""
        self._kernel.close()
        self._reader.close()

    async def begin(self) -> Adoption:
        """Adopt the table that is there, or make one. Raises DataPlaneError when that cannot be; nothing is changed
        then.
        """
        async with self._working:
            found = await to_the_end(self._begin, None)
        self._take(found)
        return found

    async def begin_again(self) -> None:
        """Somebody removed the table or parts of it: make it again. Raises as ``begin``."""
        async with self._working:
            found = await to_the_end(self._begin, self.origin.slot)
        self._take(found)

    async def write(self, wanted: Mapping[SocketKey, Wanted]) -> dict[SocketKey, str]:
        """Bring sockets into the kernel. Returns those that it refuses, with the reason; they stay as they were.

        Raises DataPlaneError when nothing could be written, TableLostError when the table is gone.
        """
        async with self._working:
            await self._climb({rung for one in wanted.values() for rung in one.forwarding.rungs})
            work = {
                key: self._image.steps(self._present.get(key, ()), one.forwarding, admitted=one.admitted)
                for key, one in wanted.items()
            }
            done = await to_the_end(self._counting, self._kernel.commit, work)
            faults = dict(done.faults)
            actual = await to_the_end(self._kernel.read) if faults else None
        for key, one in wanted.items():
            self._image.claim(one.forwarding)
            if key in faults:
                continue
            self._image.entered(work[key])
            self._image.swept(work[key], done.kept)
            if one.forwarding is NOTHING:
                self._present.pop(key, None)
            else:
                self._present[key] = one.forwarding.removable
        if actual is not None:
            # Perhaps the kernel refused because something is there that the image does not show.
            self._disturbed |= self._owners(self._image.correct(actual.elements, adoption(actual, ()).choices))
        self._untidy = self._untidy or bool(done.kept)
        return faults

    @property
    def untidy(self) -> bool:
        """Whether the kernel kept something that was to be removed: it is left for ``sweep``."""
        return self._untidy

    async def sweep(self, refused: Collection[SocketKey] = ()) -> frozenset[int]:
        """The plan is complete: remove what nobody wanted, but leave what sockets that are ``refused`` have from an
        earlier plan. Returns the marks that those need.

        Raises as ``write``, also when the kernel keeps some of it, which is left for the next time.
        """
        entries = frozenset(map(entry_place, refused))
        async with self._working:
            needed = self._image.marks_behind(entries)
            steps = self._image.leftovers(entries)
            if steps != Steps():
                _log.info("removing what is not in the plan", entries=len(steps.ended))
            kept = await to_the_end(self._counting, self._kernel.sweep, steps)
            self._image.entered(Steps(ended=tuple(place for place in steps.ended if place not in kept)))
            self._image.swept(steps, kept)
            self._untidy = bool(kept)
            if idle := self._idle_rungs():
                await self._have_rungs(self._rungs - idle)
        if kept:
            what, why = next(iter(kept.items()))
            name = what if isinstance(what, str) else f"an element of {what.map}"
            raise DataPlaneError(f"the kernel keeps {name} ({len(kept)} in all): {why}")
        return needed

    def has(self, place: Place) -> bool:
        """Whether the kernel has an element there."""
        return self._image.has(place)

    async def remove_lanes(self, lanes: Collection[int], counters: Mapping[str, Collection[bytes]]) -> None:
        """Forget lanes that no connection has any more, and by set what was counted for them. Raises as ``write``."""
        places = [place for place in (Place(LANES, mark_bytes(lane)) for lane in lanes) if self._image.has(place)]
        elements = {**counters, LANES: [place.key for place in places]}
        async with self._working:
            await to_the_end(self._counting, self._kernel.remove_elements, elements)
        self._image.forget(places)

    async def is_lost(self) -> bool:
        """Whether somebody removed the table or emptied it. Cheap as long as nobody but us changes anything."""
        async with self._working:
            return await to_the_end(self._is_lost)

    async def changed_by_others(self) -> frozenset[SocketKey]:
        """The sockets of which the kernel lacks something, or has it otherwise than it was written; they are to be
        written again. What somebody added is left for ``sweep``. Does nothing unless somebody else changed some table
        since the last time, or while that is too soon: it reads all that there is.

        Raises as ``write``.
        """
        loop = asyncio.get_running_loop()
        if self._suspect and loop.time() >= self._next_comparison:
            try:
                await self._look_for_changes()
            finally:
                self._next_comparison = loop.time() + _LEISURE * self._last_comparison
        found, self._disturbed = frozenset(self._disturbed), set()
        return found

    async def _look_for_changes(self) -> None:
        """Compare the table with what it should hold."""
        async with self._working:
            # Not afterwards: what changes from now on is seen as another change.
            self._suspect = False
            image, expected = self._image, self._image.expected()
        difference = None
        try:
            difference = await to_the_end(self._compare, expected)
        finally:
            self._suspect = self._suspect or difference is None
            async with self._working:
                changed = image.put_right(difference)
        if changed:
            _log.warning("rules changed by somebody else", table=str(self._table), elements=len(changed))
            self._untidy = True
            self._disturbed |= self._owners(changed)

    def _owners(self, changed: frozenset[Removable]) -> set[SocketKey]:
        """The sockets that need something of this."""
        return {key for key, has in self._present.items() if not changed.isdisjoint(has)} if changed else set()

    @property
    def known(self) -> tuple[int, int]:
        """The generation of the kernel's tables up to which nobody but us changed any; and a number that is another
        one after each time when somebody else may have, and the generation was taken as it was. May be asked in any
        thread: whoever finds another generation in the kernel has to look.
        """
        return self._generation, self._doubts

    async def end_entries(self) -> None:
        """Translate no new connection any more. Raises as ``write``."""
        async with self._working:
            await to_the_end(self._counting, self._kernel.close_entries, None)

    def delete(self) -> None:
        """Remove the table with all that it holds. Blocks for an instant. Raises DataPlaneError."""
        self._kernel.delete()

    def _compare(self, expected: Expected) -> Difference:
        began = time.thread_time()
        try:
            return expected.compared(self._reader.elements(), self._reader.choices())
        finally:
            # One that fails, as the rules change too fast to be read, has taken as much.
            self._last_comparison = time.thread_time() - began

    def _take(self, found: Adoption) -> None:
        self._image, self._present = Image(found.elements, found.choices), {}
        self._rungs = set(found.rungs)
        self._untidy = self._suspect = False
        self._disturbed.clear()

    def _begin(self, slot: int | None) -> Adoption:
        tables = self._kernel.tables()
        present = next((one for one in tables if one.name == str(self._table)), None)
        origin = origin_of(present) if present is not None else None
        if origin is None or slot not in {None, origin.slot}:
            if present is not None:
                # One with other marks is somebody else's, or an older one that was put back.
                why = "it does not say where it comes from" if origin is None else "its marks are not ours"
                _log.warning("table not adopted", table=str(self._table), reason=why)
                self._kernel.delete()
            self.origin = Origin(
                free_slot(self._table.instance, tables) if slot is None else slot, secrets.token_hex(4)
            )
            self._structure(Adoption())
            self._look()
            _log.info("table made", table=str(self._table))
            return Adoption()
        self.origin = origin
        contents = self._kernel.read()
        found = adoption(contents, structure.chains(self._options))
        if found.obsolete or not self._stands(contents, found):
            self._structure(found)
        elif found.idle:
            self._nft.run(structure.ladders(self._table, found.rungs, found.idle))
        self._look()
        _log.info("table adopted", table=str(self._table), elements=len(found.elements))
        return found

    def _stands(self, contents: Contents, found: Adoption) -> bool:
        """Whether what does not depend on the plan is already as it would be written."""
        return structure.stands(
            contents.sets,
            contents.chains,
            contents.digests.get(structure.SEALED, ()),
            marks.prefix(self.origin.slot),
            self._options,
            rungs=found.rungs | found.idle,
        )

    def _structure(self, found: Adoption) -> None:
        """Write everything that does not depend on the plan: a new table, or the same into an existing one."""
        self._nft.run(
            structure.table(
                self._table,
                self.origin.comment,
                marks.prefix(self.origin.slot),
                self._options,
                rungs=found.rungs,
                idle=found.idle,
                obsolete=found.obsolete,
            )
        )

    async def _climb(self, needed: set[Rung]) -> None:
        """Have a rung for every number of endpoints: the ladders are written anew when one is missing, and lose those
        that nobody uses any more on that occasion.
        """
        if not needed <= self._rungs:
            await self._have_rungs((self._rungs - self._idle_rungs()) | needed)

    def _idle_rungs(self) -> set[Rung]:
        return {rung for rung in self._rungs if self._image.is_empty(rung.map)}

    async def _have_rungs(self, rungs: set[Rung]) -> None:
        script = structure.ladders(self._table, rungs, self._rungs - rungs)
        await to_the_end(self._nft.run, script)
        await to_the_end(self._look)
        self._rungs = rungs

    def _counting(self, change: Callable[[_Argument], _Result], argument: _Argument) -> _Result:
        """Change the table, and tell our own changes from those of others."""
        before = self._kernel.commits
        result = change(argument)
        ours = self._kernel.commits - before
        if self._kernel.generation() == self._generation + ours:
            self._generation += ours
        return result

    def _look(self) -> None:
        """Remember how the table looks, to see whether somebody else changes it."""
        # Before the generation: who reads the new one has to see that it may be somebody else's.
        self._doubts += 1
        self._generation = self._kernel.generation()
        self._shape = self._present_shape()

    def _present_shape(self) -> tuple[int, dict[str, int]]:
        """Which table it is, as one that was put back from a file looks the same; and its chains, with their rules."""
        fact, ours = self._kernel.fact(), structure.chains(self._options)
        shape = {name: use for name, use in self._kernel.chains().items() if name in ours}
        return fact.handle if fact is not None else 0, shape

    def _is_lost(self) -> bool:
        generation = self._kernel.generation()
        if generation == self._generation:
            return False
        self._doubts += 1
        if self._present_shape() != self._shape:
            # Not forgotten before it is made again, which may fail.
            return True
        self._generation, self._suspect = generation, True
        return False
