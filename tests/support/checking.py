"""Deciding about manifests of a test, as `check` does: real decisions without any socket."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from support.manifests import Manifest, write
from tidegate.app import standalone
from tidegate.settings import CheckSettings


def checked(
    folder: Path, *documents: Manifest | list[Manifest], backends: Iterable[str] = (), controller_name: str = ""
) -> standalone.CheckResult:
    """The decision about documents, which are written to ``gateway.yaml`` in the folder."""
    path = folder / "gateway.yaml"
    write(path, *documents)
    settings = CheckSettings(paths=(str(path),), backends=tuple(backends))
    return standalone.check(settings if not controller_name else _with_controller(settings, controller_name))


def _with_controller(settings: CheckSettings, name: str) -> CheckSettings:
    return CheckSettings(paths=settings.paths, backends=settings.backends, controller_name=name)
