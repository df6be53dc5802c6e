"""Follows a file that Envoy appends to, relays its lines, and keeps the file small.

In: a path and, for a file that is ours to rotate, how. Out: complete lines, one call each. What a line
means is left to the receiver.

Envoy writes to files, never to pipes, because a pipe that nobody reads stops it. Two kinds of files:

* its own log is a descriptor that it got at its start, in append mode. Envoy cannot be told to open it anew,
  so the file is copied and then cut to nothing (``reopen`` None). What is written between the two within
  microseconds is lost.
* the access log is opened by Envoy itself: the file is renamed, then ``reopen`` asks every Envoy that
  writes to it to open it anew. Nothing is lost, as the renamed file is followed until it has been still
  for ``STILL_SECONDS``.

Somebody else may rotate the file in either way as well. While nothing happens, following costs two status
requests every ``POLL_SECONDS``; reading is in pieces, so memory does not depend on the size of the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from tidegate.errors import DataPlaneError

POLL_SECONDS = 0.2
"""How often the file is looked at."""

STILL_SECONDS = 15.0
"""How long a renamed file must have been still to be left; Envoy writes what it holds every ten seconds."""

LONGEST_LINE = 64 * 1024
"""In bytes. What a line has beyond that is left out."""

_PIECE = 64 * 1024
_LAST_PIECES = 64

_log = structlog.get_logger(__name__)

OnLine = Callable[[str], None]
"""Gets each line without its end. Bytes that are not UTF-8 are replaced. Must return at once."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file was relayed: everything before ``offset`` bytes, in the file with this inode."""

    inode: int
    offset: int


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """The file is rotated when it has ``max_bytes``; ``keep`` earlier ones stay as ``NAME.1``, ``NAME.2``, ...

    ``reopen`` makes every writer open the file anew. None: the writers cannot, and append (O_APPEND).
    It may raise DataPlaneError; the file is then followed on, and cut when it is full again.
    """

    max_bytes: int = 16 * 1024 * 1024
    keep: int = 3
    reopen: Callable[[], Awaitable[None]] | None = None


class _Followed:
    """One open file: where we are in it, and the beginning of a line whose end is not written yet."""

    def __init__(self, descriptor: int, offset: int) -> None:
        status = os.fstat(descriptor)
        self.descriptor = descriptor
        self.inode = status.st_ino
        # A file that is shorter than what was read of it is another one.
        self.offset = offset if offset <= status.st_size else 0
        self._begun = bytearray()
        self._overlong = False

    @property
    def relayed(self) -> int:
        """Everything before this offset was relayed in whole lines."""
        return self.offset - len(self._begun)

    def read(self, on_line: OnLine) -> bool:
        """Relay what the next piece completes; False at the end of the file."""
        if os.fstat(self.descriptor).st_size < self.offset:
            self.offset = 0
            self._begun.clear()
        piece = os.pread(self.descriptor, _PIECE, self.offset)
        self.offset += len(piece)
        *complete, rest = piece.split(b"\n")
        for part in complete:
            self._append(part)
            self.finish(on_line)
        self._append(rest)
        return bool(piece)

    def finish(self, on_line: OnLine) -> None:
        """Relay the line that was begun as it is."""
        line = self._begun.decode(errors="replace").removesuffix("\r")
        self._begun.clear()
        if line:
            on_line(line)

    def close(self) -> None:
        os.close(self.descriptor)

    def _append(self, part: bytes) -> None:
        self._begun += part[: LONGEST_LINE - len(self._begun)]


class LogTail:
    """Follows one file. ``start``: where to begin in a file that exists already: its first line, its end,
    or where an earlier one was (``position``), which begins at the first line when it is another file now.
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

    @property
    def position(self) -> Position | None:
        """How far the present file was relayed; None when there is none yet."""
        current = self._current
        return Position(inode=current.inode, offset=current.relayed) if current is not None else None
