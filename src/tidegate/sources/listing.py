"""Which files a path stands for, and their bytes. The only module of the sources that opens input.

In: paths as the user gave them. Out: a listing, sorted, and the bytes of a file with a signature that
changes when the file does; what cannot be read is a value with its reason. Nothing here blocks on
pipes or devices: only regular files are read.
"""

# Paths stay the text that the user gave; thousands of them are looked at in one go.
# ruff: noqa: PTH100, PTH116, PTH118

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from tidegate.errors import SourceError

STDIN: Final = "-"
EXTENSIONS: Final = (".yaml", ".yml", ".json")
MAX_FILE_BYTES: Final = 256 * 1024 * 1024
"""Far beyond any manifest; a log file that ends in .yaml must not eat the memory."""


class Signature(msgspec.Struct, frozen=True):
    """What identifies one version of a file without reading it."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class Content(msgspec.Struct, frozen=True):
    """A file that was read."""

    data: bytes
    signature: Signature


class Unreadable(msgspec.Struct, frozen=True):
    """A path that is there and cannot be read; ``message`` is for people."""

    message: str


class Gone(msgspec.Struct, frozen=True):
    """A path with nothing there."""


class Listing(msgspec.Struct, frozen=True):
    """The files of some paths, sorted and each once; ``unreadable`` directories with the reason;
    ``missing`` are given paths with nothing there; ``empty`` are given directories without a file.
    """

    files: tuple[str, ...]
    directories: tuple[str, ...]
    unreadable: tuple[tuple[str, Unreadable], ...] = ()
    missing: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


def require(paths: Iterable[str]) -> None:
    """Raises SourceError when a path has nothing there, or is standard input and that is closed."""
    for path in paths:
        if path == STDIN:
            standard_input()
        elif not os.path.lexists(path):
            raise SourceError(f"{path}: there is no such file or directory")


def standard_input() -> int:
    """The descriptor of standard input. Raises SourceError when that is closed."""
    try:
        return sys.stdin.fileno()
    except (OSError, ValueError, AttributeError) as error:
        raise SourceError("standard input is closed, so - cannot be read") from error


def is_manifest(name: str) -> bool:
    """Whether a file of this name inside of a directory is read: neither hidden nor a backup."""
    return name.endswith(EXTENSIONS) and not name.startswith((".", "#"))


def list_files(paths: Iterable[str]) -> Listing:
    """What there is under the paths: files as given, directories with all below them.

    Inside of directories only manifests count, and what begins with a dot is not entered: that is
    hidden files, and the ``..data`` directories behind mounted ConfigMaps. Symbolic links to files
    are followed, those to directories only when given as a path.
    """
    files: dict[str, str] = {}
    directories: list[str] = []
    unreadable: list[tuple[str, Unreadable]] = []
    missing, empty = [], []
    for path in paths:
        if path == STDIN:
            files.setdefault(STDIN, STDIN)
        elif Path(path).is_dir():
            before = len(files)
            _walk(path, files, directories, unreadable)
            if len(files) == before and not unreadable:
                empty.append(path)
        elif os.path.lexists(path):
            files.setdefault(os.path.abspath(path), path)
        else:
            missing.append(path)
    return Listing(tuple(sorted(files.values())), tuple(directories), tuple(unreadable), tuple(missing), tuple(empty))


def _walk(root: str, files: dict[str, str], directories: list[str], unreadable: list[tuple[str, Unreadable]]) -> None:
    def note(error: OSError) -> None:
        unreadable.append((str(error.filename), _reason(error)))

    for directory, subdirectories, names in os.walk(root, onerror=note):
        directories.append(directory)
        subdirectories[:] = sorted(name for name in subdirectories if not name.startswith("."))
        for name in names:
            if is_manifest(name):
                path = os.path.join(directory, name)
                files.setdefault(os.path.abspath(path), path)


def signature(path: str) -> Signature | None:
    """The signature of what is at a path, links followed; None when nothing can be seen there."""
    try:
        return _signature(os.stat(path))
    except OSError:
        return None


def read(path: str) -> Content | Unreadable | Gone:
    """The bytes of a regular file. Never blocks on a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOCTTY", 0))
    except FileNotFoundError:
        if os.path.lexists(path):
            return Unreadable("a symbolic link that leads nowhere")
        return Gone()
    except OSError as error:
        return _reason(error)
    try:
        return _read_open(descriptor)
    finally:
        os.close(descriptor)


def _read_open(descriptor: int) -> Content | Unreadable:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return Unreadable(f"{_kind(status.st_mode)}, not a file; use - for standard input")
    if status.st_size > MAX_FILE_BYTES:
        return Unreadable(f"larger than {MAX_FILE_BYTES >> 20} MiB, which no manifest is")
    try:
        parts = []
        while part := os.read(descriptor, 1 << 20 if status.st_size > 1 << 16 else 1 << 17):
            parts.append(part)
    except OSError as error:
        return _reason(error)
    return Content(b"".join(parts), _signature(status))


def _kind(mode: int) -> str:
    names = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return names.get(stat.S_IFMT(mode), "something else")


def _signature(status: os.stat_result) -> Signature:
    return Signature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _reason(error: OSError) -> Unreadable:
    if error.errno == errno.ENXIO:
        return Unreadable("a socket, not a file")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Unreadable("cannot be read: permission denied")
    return Unreadable(f"cannot be read: {(error.strerror or str(error)).lower()}")
