"""The last sound content of every input file, kept across restarts.

In: contents, by the path of the input file. Out: the same at the next start, so that a file which is
broken by then has a last good version. One file per input file, named by a hash of its absolute path,
closed to other users. What cannot be kept is reported and harms nothing else. What counts as sound, and
when to write, is up to `fileset`; whose state directory this is in holds a lock, so one process writes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_MODE: Final = 0o600


class Keeper:
    """Keeps contents in a directory, which is made when the first one is written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._problem = ""

    @property
    def problem(self) -> str:
        """What is wrong with the last round of reading or writing, for people; empty when nothing is."""
        return self._problem

    @property
    def place(self) -> str:
        """The directory, as people see it."""
        return str(self._directory)

    def recall(self, path: str) -> bytes | None:
        """The content kept for an input file; None when there is none that can be read."""
        try:
            return self._file(path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._problem = f"the last good version of {path} cannot be read: {error.strerror or error}"
            return None

    def keep(self, contents: Iterable[tuple[str, bytes | None]]) -> None:
        """Keeps these contents from now on; None: the input file is gone, and nothing is kept for it."""
        self._problem = ""
        for path, content in contents:
            try:
                if content is None:
                    self._file(path).unlink(missing_ok=True)
                else:
                    self._directory.mkdir(mode=0o700, exist_ok=True)
                    replace_file(self._file(path), content)
            except OSError as error:
                self._problem = f"the last good version of {path} cannot be kept: {error.strerror or error}"

    def keep_only(self, paths: Iterable[str]) -> None:
        """Drops what is kept for every other input file."""
        names = {self._file(path).name for path in paths}
        try:
            for file in self._directory.iterdir():
                if file.name not in names:
                    file.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            self._problem = f"old versions of input files cannot be removed: {error.strerror or error}"

    def _file(self, path: str) -> Path:
        absolute = os.path.abspath(path)  # noqa: PTH100 - links are not followed: the path is what is named
        return self._directory / hashlib.blake2b(os.fsencode(absolute), digest_size=16).hexdigest()


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file as a whole or not at all, closed to other users. Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, _MODE), "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        os.fchmod(file.fileno(), _MODE)
        file.write(data)
    temporary.replace(path)
