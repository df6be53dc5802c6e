"""Linux' inotify, as far as directories of manifests need it: the only module that calls the C library.

In: directories. Out: events by path, with what happened; read without blocking, so that an event loop can
wait for the descriptor without a thread. inotify(7) is the reference for masks and layout. watchfiles does
not pass on that a writer closed a file, which is the moment when the file is whole.
"""

# Paths stay text, as events come by the thousand.
# ruff: noqa: PTH118

from __future__ import annotations

import ctypes
import enum
import errno
import os
import struct
from collections.abc import Iterable
from typing import Any, Final

import msgspec

_HEADER: Final = struct.Struct("iIII")
_READ_BYTES: Final = 1 << 18


class Mask(enum.IntFlag):
    """The bits of inotify(7) that are used here."""

    MODIFY = 0x002
    ATTRIB = 0x004
    CLOSE_WRITE = 0x008
    MOVED_FROM = 0x040
    MOVED_TO = 0x080
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x1000000
    ISDIR = 0x40000000


_WANTED: Final = (
    Mask.MODIFY
    | Mask.ATTRIB
    | Mask.CLOSE_WRITE
    | Mask.MOVED_FROM
    | Mask.MOVED_TO
    | Mask.CREATE
    | Mask.DELETE
    | Mask.DELETE_SELF
    | Mask.MOVE_SELF
    | Mask.ONLYDIR
)


class Event(msgspec.Struct, frozen=True):
    """Something happened at ``path``; empty when events were lost."""

    path: str
    mask: Mask


class Inotify:
    """Watches directories, not what is below them. Raises OSError when the system's limits are reached."""

    def __init__(self, directories: Iterable[str]) -> None:
        self._libc: Any = ctypes.CDLL(None, use_errno=True)
        self._directories: dict[int, str] = {}
        self.descriptor: int = self._call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            for directory in directories:
                self._add(directory)
        except OSError:
            self.close()
            raise

    def read(self) -> list[Event]:
        """What happened since the last call; never blocks."""
        try:
            data = os.read(self.descriptor, _READ_BYTES)
        except BlockingIOError:
            return []
        events, position = [], 0
        while position < len(data):
            watch, mask, _, length = _HEADER.unpack_from(data, position)
            position += _HEADER.size
            name = os.fsdecode(data[position : position + length].rstrip(b"\0"))
            position += length
            directory = self._directories.get(watch, "")
            events.append(Event(os.path.join(directory, name) if name else directory, Mask(mask)))
        return events

    def close(self) -> None:
        """Ends all watches."""
        os.close(self.descriptor)

    def _add(self, directory: str) -> None:
        """Watches a directory; one that vanished or is closed to us is passed over."""
        try:
            watch = self._call("inotify_add_watch", self.descriptor, os.fsencode(directory), int(_WANTED))
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EACCES}:
                return
            raise
        self._directories[watch] = directory

    def _call(self, name: str, *arguments: object) -> int:
        result: int = getattr(self._libc, name)(*arguments)
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
