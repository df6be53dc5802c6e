"""Told by the system that something in a directory changed.

In: a listing of files and directories. Out: which of the files changed and whether their writers are
done, or that names changed and the listing has to be made again. On Linux the kernel is asked directly,
as it alone tells when a writer closes a file; elsewhere watchfiles is. Lost events, errors of the watch
and systems that tell nothing (network mounts, links above a watched path) are covered by a sweep: see
`files`. When a changed file is to be read is decided in `settling`.
"""

# Paths stay the text that the user gave; thousands of them are looked at in one go.
# ruff: noqa: PTH100, PTH112, PTH116, PTH114, PTH118, PTH119, PTH120

from __future__ import annotations

import asyncio
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import msgspec
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from tidegate.sources.inotify import Event, Inotify, Mask
from tidegate.sources.listing import STDIN, Listing, is_manifest

STEP_MS: Final = 5
DEBOUNCE_MS: Final = 50

_Identity = tuple[int, int] | None
_LOST: Final = Mask.OVERFLOW | Mask.IGNORED

_Changes = set[tuple[int, str]] | str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was noticed of the listing's files: ``whole`` ones have no writer any more, ``writing`` ones
    will be heard of again, of ``changed`` ones nothing is known. ``names``: make the listing again.
    """

    whole: frozenset[str] = frozenset()
    writing: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    names: bool = False


NOTHING: Final = Seen()
EVERYTHING: Final = Seen(names=True)


class News(Protocol):
    """A system's way to tell of changes in directories."""

    async def wait(self, wake: asyncio.Future[None], timeout: float) -> list[Event] | None:
        """What happened; empty when nothing did before ``wake`` or ``timeout``; None: the watch is lost."""
        ...

    async def close(self) -> None:
        """Ends the watch; nothing runs after it."""
        ...


class InotifyNews:
    """Linux. Raises OSError when the system's limits are reached."""

    def __init__(self, directories: Iterable[str]) -> None:
        self._inotify = Inotify(directories)

    async def wait(self, wake: asyncio.Future[None], timeout: float) -> list[Event] | None:
        """See `News`."""
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._inotify.descriptor, _fulfil, readable)
        try:
            await asyncio.wait({wake, readable}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(self._inotify.descriptor)
        return self._inotify.read()

    async def close(self) -> None:
        """See `News`."""
        self._inotify.close()


class WatchfilesNews:
    """Other systems, by watchfiles in a thread: it tells that a file changed, not that its writer is done."""

    def __init__(self, directories: Iterable[str]) -> None:
        there = [directory for directory in directories if os.path.isdir(directory)]
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="tidegate-watch")
        self._stop = threading.Event()
        self._next: asyncio.Future[_Changes] | None = None
        self._notify = RustNotify(
            there, debug=False, force_polling=False, poll_delay_ms=300, recursive=False, ignore_permission_denied=True
        )

    async def wait(self, wake: asyncio.Future[None], timeout: float) -> list[Event] | None:
        """See `News`."""
        if self._next is None:
            run = functools.partial(self._notify.watch, DEBOUNCE_MS, STEP_MS, 0, self._stop)
            self._next = asyncio.get_running_loop().run_in_executor(self._executor, run)
        either: set[asyncio.Future[Any]] = {wake, self._next}
        await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not self._next.done():
            return []
        done, self._next = self._next, None
        try:
            changes = done.result()
        except WatchfilesRustInternalError:
            return None
        return [] if isinstance(changes, str) else [Event(path, Mask.ATTRIB) for _, path in changes]

    async def close(self) -> None:
        """See `News`."""
        self._stop.set()
        if self._next is not None:
            await asyncio.wait({self._next})
        self._notify.close()
        self._executor.shutdown(wait=False)


def _fulfil(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def system_news(directories: Iterable[str]) -> News | None:
    """The system's own way; None where it refuses (limits on watches): the sweep has to do."""
    try:
        return InotifyNews(directories) if sys.platform == "linux" else WatchfilesNews(directories)
    except (OSError, WatchfilesRustInternalError):
        return None


class Watcher:
    """Watches the directories of a listing. ``open_news`` is how the system tells.

    `close` has to be awaited; nothing runs after it.
    """

    def __init__(self, open_news: Callable[[Iterable[str]], News | None] = system_news) -> None:
        self._open_news = open_news
        self._known: dict[str, str] = {}
        self._directories: dict[str, _Identity] = {}
        self._news: News | None = None
        self._lost = True
        self._wake: asyncio.Future[None] | None = None

    async def watch(self, listing: Listing) -> bool:
        """Watches this listing from now on. True when the watch is a new one: what happened in its
        directories until now was not seen.
        """
        self._known, directories = await asyncio.to_thread(_watched, listing)
        if directories == self._directories and not self._lost:
            return False
        await self.close()
        self._news = await asyncio.to_thread(self._open_news, sorted(directories))
        self._directories = directories
        self._lost = False
        return True

    async def wait(self, timeout: float) -> Seen:
        """What happens next; NOTHING after ``timeout`` seconds or when woken."""
        self._wake = asyncio.get_running_loop().create_future()
        try:
            if self._news is None:
                await asyncio.wait({self._wake}, timeout=timeout)
                return NOTHING
            events = await self._news.wait(self._wake, timeout)
        finally:
            self._wake = None
        if events is None:
            self._lost = True
            return EVERYTHING
        return self._sort(events) if events else NOTHING

    def wake(self) -> None:
        """Ends a wait now. To be called in the event loop's thread."""
        if self._wake is not None:
            _fulfil(self._wake)

    async def close(self) -> None:
        """Ends the watch; returns when nothing of it runs any more."""
        self._lost = True
        news, self._news = self._news, None
        if news is not None:
            await news.close()

    def _sort(self, events: list[Event]) -> Seen:
        """What the events mean for the listing; the last one of a file counts."""
        last: dict[str, Mask] = {}
        names = False
        for event in events:
            known = self._known.get(event.path)
            if known is not None:
                last[known] = event.mask
            else:
                names = names or bool(event.mask & _LOST) or self._may_be_input(event.path)
        whole = frozenset(path for path, mask in last.items() if mask & (Mask.CLOSE_WRITE | Mask.MOVED_TO))
        writing = frozenset(path for path, mask in last.items() if mask & Mask.MODIFY)
        return Seen(whole=whole, writing=writing, changed=frozenset(last) - whole - writing, names=names)

    def _may_be_input(self, path: str) -> bool:
        """Whether an unknown path can change the listing: a manifest, a directory, a mount's link swap."""
        name = os.path.basename(path)
        if name.startswith(".") and not name.startswith(".."):
            return path in self._directories
        return is_manifest(name) or name.startswith("..") or path in self._directories or os.path.isdir(path)


def _watched(listing: Listing) -> tuple[dict[str, str], dict[str, _Identity]]:
    """The names under which events may speak of the listing's files, and the directories to watch.

    Directories have an identity, as another one may have been put in the place of a watched one.
    """
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
    directories.update(_nearest(path) for path in listing.missing)
    return known, {directory: _identity(directory) for directory in directories}


def _identity(directory: str) -> _Identity:
    try:
        status = os.stat(directory)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _nearest(path: str) -> str:
    """The nearest directory above that is there."""
    directory = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
