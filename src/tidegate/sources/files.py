"""The source of standalone mode: files, directories and standard input, followed as they change.

In: paths. Out: batches, by the seam of `base`; or everything at once, for dry runs, by the same code.
`fileset` does the work, in a thread; `watching` says where to look and `settling` when. Besides, a slow
sweep over names and times finds what no system told: changes on network mounts, links swapped above a
watched path, events lost in a flood.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tidegate.errors import SourceError
from tidegate.model.diagnostics import Diagnostic, Location
from tidegate.model.kinds import Resource, key_of
from tidegate.names import ObjectKey
from tidegate.sources import listing
from tidegate.sources.ages import Ages
from tidegate.sources.base import Batch, Change
from tidegate.sources.documents import Keys
from tidegate.sources.fileset import FileSet
from tidegate.sources.keeping import Keeper
from tidegate.sources.settling import Ready, Settling
from tidegate.sources.watching import Seen, Watcher

SWEEP_S: Final = 2.0
"""How often names and times of all files are compared, told or not."""

_SWEEP_SHARE: Final = 0.01
_STDIN_POLL_S: Final = 0.1


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """All of the input at one moment. ``readable``: every file could be read and every document was YAML."""

    resources: tuple[Resource, ...]
    diagnostics: tuple[Diagnostic, ...]
    readable: bool

    def as_batch(self) -> Batch:
        """The same as the first batch of a stream."""
        changes = tuple(Change(key=key_of(resource), resource=resource) for resource in self.resources)
        return Batch(changes=changes, diagnostics=self.diagnostics)


class FilesSource:
    """Delivers the objects of files; a `tidegate.sources.base.Source`.

    ``paths`` are files, directories with all below them, or ``-`` for standard input, read once.
    ``ages`` keeps ages and generations. ``watch`` False: input is read again only on `rescan`.
    ``keep`` is a directory for the last sound content of every file, for the next start.
    """

    def __init__(
        self, paths: Sequence[str], *, ages: Ages | None = None, watch: bool = True, keep: Path | None = None
    ) -> None:
        self._paths = tuple(paths)
        self._watch = watch
        self._stop = threading.Event()
        self._files = FileSet(
            paths,
            ages=ages if ages is not None else Ages(),
            read_stdin=self._read_stdin,
            keeper=Keeper(keep) if keep is not None else None,
        )
        self._settling = Settling(listing.signature)
        self._watcher = Watcher()
        self._rescan = False
        self._nudged = False

    def load(self) -> Loaded:
        """Reads everything now, blocking. Raises SourceError when a path has nothing there."""
        listing.require(self._paths)
        batch = self._files.load()
        return Loaded(
            resources=self._files.resources(), diagnostics=batch.diagnostics or (), readable=self._files.sound
        )

    def origin(self, key: ObjectKey, field_keys: Keys = ()) -> Location | None:
        """File and line of an object, or of a field of it or its nearest parent; None: not from a file."""
        return self._files.origin(key, field_keys)

    def rescan(self) -> None:
        """Reads everything that changed, soon, without waiting for writers. For the event loop's thread."""
        self._rescan = True
        self._watcher.wake()

    def nudge(self) -> None:
        """Has `batches` yield soon, be it an empty batch. For the event loop's thread."""
        self._nudged = True
        self._watcher.wake()

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """All there is, then changes, for ever. Raises SourceError when a path has nothing there."""
        listing.require(self._paths)
        try:
            if self._watch:
                await self._watcher.watch(listing.list_files(self._paths))
            yield await asyncio.to_thread(self._files.load)
            async for told in self._keep():
                yield told
            async with contextlib.aclosing(self._changes()) as changes:
                async for batch in changes:
                    if batch.changes or batch.diagnostics is not None or self._nudged:
                        self._nudged = False
                        yield batch
                    async for told in self._keep():
                        yield told
        finally:
            self._stop.set()
            await self._watcher.close()

    async def _keep(self) -> AsyncGenerator[Batch, None]:
        """Keeps what was read, after it was delivered; a batch only when there is something to say of it."""
        if self._files.to_keep:
            batch = await asyncio.to_thread(self._files.keep)
            if batch.diagnostics is not None:
                yield batch

    async def _changes(self) -> AsyncGenerator[Batch, None]:
        if self._watch:
            yield await self._survey()
        sweep_at = time.monotonic() + SWEEP_S
        while True:
            seen = await self._watcher.wait(self._pause(sweep_at))
            if self._rescan:
                self._rescan = False
                yield await asyncio.to_thread(self._files.load)
                sweep_at = 0.0
            if self._nudged:
                yield Batch(changes=())
            if not self._watch:
                continue
            if seen.names or time.monotonic() >= sweep_at:
                started = time.monotonic()
                yield await self._survey()
                now = time.monotonic()
                sweep_at = now + max(SWEEP_S, (now - started) / _SWEEP_SHARE)
            for batch in await asyncio.to_thread(self._settled, seen):
                yield batch

    def _pause(self, sweep_at: float) -> float:
        """How long nothing has to be done unless something happens, in seconds."""
        if self._rescan or self._nudged:
            return 0.0
        if not self._watch:
            return 3600.0
        due = self._settling.due()
        until = sweep_at if due is None else min(due, sweep_at)
        return max(0.0, until - time.monotonic())

    async def _survey(self) -> Batch:
        """Looks at names and times; what changed waits until it is whole."""
        survey = await asyncio.to_thread(self._files.survey)
        if await self._watcher.watch(survey.listing):
            survey = await asyncio.to_thread(self._files.survey)
        self._note(survey.changed)
        return survey.batch

    def _note(self, paths: Iterable[str]) -> None:
        now = time.monotonic()
        for path in paths:
            self._settling.changed(path, now)

    def _settled(self, seen: Seen) -> list[Batch]:
        """Reads the files that are whole."""
        now = time.monotonic()
        for path in seen.whole:
            self._settling.whole(path, now)
        for path in seen.writing:
            self._settling.writing(path, now)
        self._note(seen.changed)
        ready = self._settling.ready(now)
        return [batch for patient in (True, False) for batch in self._read(ready, patient=patient)]

    def _read(self, ready: list[Ready], *, patient: bool) -> Iterable[Batch]:
        paths = [file.path for file in ready if file.patient is patient]
        if paths:
            reading = self._files.read(paths, patient=patient)
            now = time.monotonic()
            for path in reading.unfinished:
                self._settling.unfinished(path, now)
            yield reading.batch

    def _read_stdin(self) -> bytes:
        """All of standard input. Gives up when the source is closed, so that nobody has to press keys."""
        descriptor = listing.standard_input()
        parts = []
        while True:
            if self._stop.is_set():
                raise SourceError("standard input was not read to its end")
            if select.select([descriptor], [], [], _STDIN_POLL_S)[0]:
                part = os.read(descriptor, 1 << 16)
                if not part:
                    break
                parts.append(part)
        return b"".join(parts)
