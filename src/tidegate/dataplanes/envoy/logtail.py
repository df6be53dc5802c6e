"""Follows a file that Envoy appends to, relays its lines, and keeps the file small.

In: a path and, for a file that is ours to rotate, how. Out: complete lines, one call each. What a line
means is left to the receiver.

Envoy writes to files, never to pipes, because a pipe that nobody reads stops it. There are two kinds:

* Its own log is a descriptor that it got at its start, in append mode. Envoy cannot be told to open it anew,
  so the file is copied and then cut to nothing (``reopen`` None). What is written in the microseconds
  between the last copied byte and the cut is lost.
* The access log is opened by Envoy itself: the file is renamed, then ``reopen`` asks every Envoy that
  writes to it to open it anew. Nothing is lost, as the renamed file is followed until it has been still
  for ``STILL_SECONDS``.

Somebody else may rotate the file in either way as well. While nothing happens, following costs two status
requests every ``POLL_SECONDS``; reading is in pieces, so memory does not depend on the size of the file.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import msgspec

from tidegate.errors import DataPlaneError
from tidegate.telemetry.logs import logger

POLL_SECONDS = 0.2
"""How often the file is looked at."""

STILL_SECONDS = 15.0
"""How long a renamed file must have been still to be left; Envoy writes what it holds every ten seconds."""

LONGEST_LINE = 64 * 1024
"""In bytes. What a line has beyond that is left out."""

_PIECE = 64 * 1024
_LAST_PIECES = 64
_MOST_FORMER = 8
_RETRY_SECONDS = 5.0

_log = logger("envoy")

OnLine = Callable[[str], None]
"""Gets each line that is not empty, without its end. Bytes that are not UTF-8 are replaced. Returns at once."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file was relayed: all lines before ``offset`` bytes of the file with this inode."""

    inode: int
    offset: int


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """The file is rotated when it has ``max_bytes``; ``keep`` earlier ones, at least one, stay as ``NAME.1``,
    ``NAME.2`` and so on.

    ``reopen`` makes every writer open the file anew; when it raises DataPlaneError it is called again later.
    None: the writers cannot do that, and append (O_APPEND).
    """

    max_bytes: int = 16 * 1024 * 1024
    keep: int = 3
    reopen: Callable[[], Awaitable[None]] | None = None


class _Followed:
    """One open file: where we are in it, and the line whose end is not written yet."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.inode = os.fstat(descriptor).st_ino
        self.offset = 0
        self.line_start = 0
        self._begun = bytearray()

    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def go_to(self, offset: int) -> None:
        """Go on from there, which is the beginning of a line."""
        self.offset = self.line_start = offset
        self._begun.clear()

    def read(self, on_line: OnLine) -> bytes:
        """The next piece, empty at the end of the file; relays what it completes."""
        if self.size() < self.offset:
            self.go_to(0)  # Somebody cut it.
        piece = os.pread(self.descriptor, _PIECE, self.offset)
        *ends, rest = piece.split(b"\n")
        for part in ends:
            self._begin(part)
            self.finish(on_line)
        self._begin(rest)
        self.offset += len(piece)
        if ends:
            self.line_start = self.offset - len(rest)
        return piece

    def finish(self, on_line: OnLine) -> None:
        """Relay the line as far as it was read."""
        line = self._begun.decode(errors="replace").removesuffix("\r")
        self._begun.clear()
        self.line_start = self.offset
        if line:
            on_line(line)

    def close(self) -> None:
        os.close(self.descriptor)

    def _begin(self, part: bytes) -> None:
        self._begun += part[: LONGEST_LINE - len(self._begun)]


class LogTail:
    """Follows one file, which need not exist yet.

    ``start`` is where to begin in a file that exists already: at its first line, its end, or where an earlier
    one was (``position``); when that was in another file, at the first line. ``poll`` and ``still`` are seconds.
    """

    def __init__(
        self,
        path: Path,
        on_line: OnLine,
        *,
        start: Literal["first", "end"] | Position = "first",
        rotation: Rotation | None = None,
        poll: float = POLL_SECONDS,
        still: float = STILL_SECONDS,
    ) -> None:
        self._path = path
        self._on_line = on_line
        self._start: Literal["first", "end"] | Position = start
        self._rotation = rotation
        self._poll = poll
        self._still = still
        self._current: _Followed | None = None
        self._former: dict[_Followed, float] = {}
        self._reopen_at: float | None = None
        self._rotate_at = 0.0

    @property
    def position(self) -> Position | None:
        """How far the file was relayed, also after ``run``; None while there is none."""
        current = self._current
        return Position(inode=current.inode, offset=current.line_start) if current is not None else None

    async def run(self) -> None:
        """Follow until cancelled, then relay what is there, a line without its end included.

        Raises DataPlaneError when the file cannot be read.
        """
        try:
            await self._run()
        except OSError as error:
            raise DataPlaneError(f"cannot follow the log {self._path}: {error}") from error
        finally:
            for followed in self._open_files():
                followed.close()
            self._former = {}

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        self._begin(clock())
        try:
            while True:
                self._follow(clock())
                more = self._relay(clock())
                await self._rotate(clock())
                # Even behind a flood of lines others get their turn after every piece.
                await asyncio.sleep(0 if more else self._poll)
        except asyncio.CancelledError:
            self._relay_rest()
            raise

    def _follow(self, now: float) -> None:
        """Open what is at the path now, unless that is what we have."""
        followed = _open(self._path, unless=self._current)
        if followed is None:
            return  # The same, or not there yet, or renamed and not yet made anew.
        if self._current is not None:
            self._former[self._current] = now
        self._current = followed

    def _begin(self, now: float) -> None:
        """Open what is there, at the place to start from, which may be in a file that was renamed meanwhile."""
        start = self._start
        self._current = _open(self._path, unless=None)
        if start == "end" and self._current is not None:
            self._current.go_to(self._current.size())
        if not isinstance(start, Position):
            return
        if self._current is not None and self._current.inode == start.inode:
            self._current.go_to(start.offset)
            return
        renamed = _open(_numbered(self._path, 1), unless=None)
        if renamed is None:
            return
        if renamed.inode != start.inode:
            renamed.close()
            return
        renamed.go_to(start.offset)
        self._former[renamed] = now
        if self._current is None:
            self._reopen_at = now  # An earlier controller renamed it and came no further.

    def _relay(self, now: float) -> bool:
        """Relay one piece of each file; leave the former ones that are still. False when all were at their end."""
        more = bool(self._current.read(self._on_line)) if self._current is not None else False
        for former, moved in list(self._former.items()):
            if former.read(self._on_line):
                self._former[former] = now
                more = True
            elif now - moved > self._still or len(self._former) > _MOST_FORMER:
                former.finish(self._on_line)
                former.close()
                del self._former[former]
        return more

    async def _rotate(self, now: float) -> None:
        rotation, current = self._rotation, self._current
        if rotation is None:
            return
        if self._reopen_at is not None:
            if now >= self._reopen_at:
                await self._reopen(rotation, now)
            return
        if (
            current is None
            or current.size() < rotation.max_bytes
            or now < self._rotate_at
            or not self._is_at_path(current)
        ):
            return
        try:
            if rotation.reopen is None:
                await self._copy_and_cut(current, rotation)
            else:
                _shift(self._path, rotation.keep)
                self._path.rename(_numbered(self._path, 1))
                await self._reopen(rotation, now)
        except OSError as error:
            self._rotate_at = now + _RETRY_SECONDS
            _log.warning("log not rotated", path=str(self._path), reason=str(error))

    def _is_at_path(self, current: _Followed) -> bool:
        """Whether the path is that file still: what Envoy made anew since the last look is not ours to rename yet."""
        try:
            return self._path.stat().st_ino == current.inode
        except FileNotFoundError:
            return False

    async def _reopen(self, rotation: Rotation, now: float) -> None:
        if rotation.reopen is None:
            return
        try:
            await rotation.reopen()
            self._reopen_at = None
        except DataPlaneError as error:
            self._reopen_at = now + _RETRY_SECONDS
            _log.warning("log not opened anew", path=str(self._path), reason=str(error))

    async def _copy_and_cut(self, current: _Followed, rotation: Rotation) -> None:
        draft = self._path.with_name(self._path.name + ".new")
        done = current.offset
        await asyncio.to_thread(_copy, current.descriptor, done, draft)
        with draft.open("ab") as copy:
            # From here to the cut nothing else may run, so that as little as possible is written meanwhile.
            while (piece := current.read(self._on_line)) and copy.tell() < 2 * max(rotation.max_bytes, done):
                copy.write(piece)
            if piece:
                return  # Written faster than read: try again later rather than lose what was not read.
            os.truncate(self._path, 0)
        current.go_to(0)
        _shift(self._path, rotation.keep)
        draft.replace(_numbered(self._path, 1))

    def _relay_rest(self) -> None:
        """Relay what is there, within bounds."""
        for followed in self._open_files():
            for _ in range(_LAST_PIECES):
                if not followed.read(self._on_line):
                    followed.finish(self._on_line)
                    break

    def _open_files(self) -> list[_Followed]:
        return [*self._former, *([self._current] if self._current is not None else [])]


def _open(path: Path, *, unless: _Followed | None) -> _Followed | None:
    """The file at ``path``; None when there is none, or when it is the same as ``unless``."""
    try:
        if unless is not None and path.stat().st_ino == unless.inode:
            return None
        return _Followed(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        return None


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _shift(path: Path, keep: int) -> None:
    """Make room for a new ``NAME.1``; the oldest goes."""
    for number in range(max(1, keep) - 1, 0, -1):
        if _numbered(path, number).exists():
            _numbered(path, number).replace(_numbered(path, number + 1))


def _copy(descriptor: int, size: int, target: Path) -> None:
    """Copy the first ``size`` bytes."""
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as copy:
        offset = 0
        while offset < size and (piece := os.pread(descriptor, min(_PIECE, size - offset), offset)):
            copy.write(piece)
            offset += len(piece)
