"""Told by the system that something in a directory changed. The only module that speaks to watchfiles.

In: a listing of files and directories. Out: which of the files changed, or that names changed and the
listing has to be made again. Lost events, errors of the watch and systems that tell nothing (network
mounts, links above a watched path) are covered by a sweep: see `files`. Whether a changed file is
whole is decided in `settling`.
"""

# Paths stay the text that the user gave; thousands of them are looked at in one go.
# ruff: noqa: PTH100, PTH112, PTH114, PTH118, PTH119, PTH120

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from tidegate.sources.listing import STDIN, Listing, is_manifest

STEP_MS: Final = 5
DEBOUNCE_MS: Final = 50

_Changes = set[tuple[int, str]] | str


class Seen(msgspec.Struct, frozen=True):
    """What was noticed: files of the listing that changed, and whether to make the listing again."""

    files: frozenset[str]
    names: bool


NOTHING: Final = Seen(frozenset(), names=False)
EVERYTHING: Final = Seen(frozenset(), names=True)


class Watcher:
    """Watches the directories of a listing. `close` has to be awaited; nothing runs after it."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="tidegate-watch")
        self._known: dict[str, str] = {}
        self._directories: frozenset[str] = frozenset()
        self._notify: Any = None
        self._stop = threading.Event()
        self._next: asyncio.Future[_Changes] | None = None
        self._wake: asyncio.Future[None] | None = None

    async def watch(self, listing: Listing, missing: Iterable[str] = ()) -> bool:
        """Watches this listing from now on. True when other directories are watched than before: what
        happened in them until now was not seen.
        """
        known, directories = await asyncio.to_thread(_watched, listing, tuple(missing))
        self._known = known
        if directories == self._directories and self._notify is not None:
            return False
        await self._end()
        self._stop = threading.Event()
        self._notify = await asyncio.to_thread(_open, sorted(directories))
        self._directories = directories
        return True

    async def wait(self, timeout: float) -> Seen:
        """What happens next; NOTHING after ``timeout`` seconds or when woken."""
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        waiting: set[asyncio.Future[Any]] = {self._wake}
        if self._notify is not None:
            if self._next is None:
                run = self._notify.watch
                self._next = loop.run_in_executor(self._executor, run, DEBOUNCE_MS, STEP_MS, 0, self._stop)
            waiting.add(self._next)
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        self._wake = None
        if self._next is None or not self._next.done():
            return NOTHING
        done, self._next = self._next, None
        return await self._sort(done)

    def wake(self) -> None:
        """Ends a wait now. To be called in the event loop's thread."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def close(self) -> None:
        """Ends the watch and its thread; returns when both are gone."""
        await self._end()
        self._executor.shutdown(wait=False)

    async def _end(self) -> None:
        self._stop.set()
        if self._next is not None:
            await asyncio.wait({self._next})
            self._next = None
        if self._notify is not None:
            self._notify.close()
            self._notify = None

    async def _sort(self, done: asyncio.Future[_Changes]) -> Seen:
        """Translates the system's news. After an error the watch begins anew and everything counts as changed."""
        try:
            changes = done.result()
        except WatchfilesRustInternalError:
            self._notify.close()
            self._notify = None
            return EVERYTHING
        if isinstance(changes, str):
            return NOTHING
        files, names = set(), False
        for _, path in changes:
            known = self._known.get(path)
            if known is not None:
                files.add(known)
            else:
                names = names or self._may_be_input(path)
        return Seen(frozenset(files), names=names)

    def _may_be_input(self, path: str) -> bool:
        """Whether an unknown path can change the listing: a manifest, a directory, a mount's link swap."""
        name = os.path.basename(path)
        if name.startswith(".") and not name.startswith(".."):
            return path in self._directories
        return is_manifest(name) or name.startswith("..") or path in self._directories or os.path.isdir(path)


def _open(directories: list[str]) -> Any:
    """A watch on these directories, not on those below; without those that vanished meanwhile.

    None where the system refuses (limits on watches): the sweep has to do.
    """
    there = [directory for directory in directories if os.path.isdir(directory)]
    try:
        return RustNotify(
            there, debug=False, force_polling=False, poll_delay_ms=300, recursive=False, ignore_permission_denied=True
        )
    except (OSError, WatchfilesRustInternalError):
        return None


def _watched(listing: Listing, missing: tuple[str, ...]) -> tuple[dict[str, str], frozenset[str]]:
    """The names under which events may speak of the listing's files, and the directories to watch."""
    known: dict[str, str] = {}
    real: dict[str, str] = {}
    directories = {os.path.abspath(directory) for directory in listing.directories}
    for path in listing.files:
        if path == STDIN:
            continue
        absolute = os.path.abspath(path)
        directory, name = os.path.split(absolute)
        if directory not in real:
            real[directory] = os.path.realpath(directory)
        known[absolute] = known[os.path.join(real[directory], name)] = path
        directories.add(directory)
        if os.path.islink(absolute):
            target = os.path.realpath(absolute)
            known[target] = path
            directories.add(os.path.dirname(target))
    directories.update(_nearest(path) for path in (*listing.missing, *missing))
    return known, frozenset(directories)


def _nearest(path: str) -> str:
    """The nearest directory above that is there."""
    directory = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
