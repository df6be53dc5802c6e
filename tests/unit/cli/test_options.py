"""Shared flags."""

from __future__ import annotations

import tempfile

import pytest

from tidegate.cli.options import LogFormat, instance_names, parse_log_format
from tidegate.errors import SettingsError


def test_names_are_completed_from_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any instance there is nothing to complete, and no directory is made."""
    with tempfile.TemporaryDirectory(prefix="tg", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        assert instance_names() == []


def test_a_log_format_is_read_or_refused() -> None:
    """The message has the form of those about other flags."""
    assert parse_log_format("json") is LogFormat.JSON
    with pytest.raises(SettingsError, match=r"^--log-format foo: expected console or json$"):
        parse_log_format("foo")
