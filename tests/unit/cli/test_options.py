"""Shared flags."""

from __future__ import annotations

import tempfile

import pytest

from tidegate.cli.options import instance_names


def test_names_are_completed_from_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any instance there is nothing to complete, and no directory is made."""
    with tempfile.TemporaryDirectory(prefix="tg", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        assert instance_names() == []
