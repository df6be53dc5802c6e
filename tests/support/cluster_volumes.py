"""Volumes of a pod whose content comes from the API, written as the kubelet writes them.

All keys change in one step: the files are links through ``..data``, which is itself a link that is replaced. So a
program that watches its files sees a rename, and never one file of the old version beside one of the new.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

DATA = "..data"


class Projection:
    """A directory that shows the keys of a ConfigMap or Secret as files."""

    def __init__(self, directory: Path, *, mode: int, group: int) -> None:
        self.directory = directory
        self._mode = mode
        self._group = group
        self._versions = itertools.count(1)
        self._written: dict[str, bytes] | None = None
        directory.mkdir(parents=True)

    def show(self, files: Mapping[str, bytes]) -> None:
        """Replace the content, if it is another one."""
        if dict(files) == self._written:
            return
        version = self.directory / f"..version-{next(self._versions)}"
        version.mkdir()
        for name, content in files.items():
            path = version / name
            path.write_bytes(content)
            path.chmod(self._mode)
            os.chown(path, -1, self._group)
        former = self._target()
        fresh = self.directory / f"{DATA}_tmp"
        fresh.symlink_to(version.name)
        fresh.replace(self.directory / DATA)
        self._link(files)
        if former is not None:
            shutil.rmtree(former)
        self._written = dict(files)

    def _target(self) -> Path | None:
        link = self.directory / DATA
        return self.directory / link.readlink() if link.is_symlink() else None

    def _link(self, files: Mapping[str, bytes]) -> None:
        for entry in self.directory.iterdir():
            if not entry.name.startswith("..") and entry.name not in files:
                entry.unlink()
        for name in files:
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(f"{DATA}/{name}")
