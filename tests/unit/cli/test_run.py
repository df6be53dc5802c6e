"""The flags of run; what it does with them is in tests/integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.cli.main import app
from tidegate.errors import SettingsError, SourceError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--drain-time", "soon"], "--drain-time soon: expected a time"),
        (["--admin", "0.0.0.0:1"], "can be reached from other hosts"),
        (["--access-log", "xml"], "--access-log xml: expected off"),
        (["--name", "a/b"], "--name a/b: expected"),
        (["--dataplane", "magic"], "--dataplane magic: this build has envoy"),
        (["--backend", "nonsense"], "nonsense"),
    ],
)
def test_a_wrong_flag_is_named(arguments: list[str], message: str, tmp_path: Path) -> None:
    """Every value that cannot be used ends the command before anything starts."""
    (tmp_path / "x.yaml").write_text("")
    with pytest.raises(SettingsError, match=message):
        app(["run", str(tmp_path / "x.yaml"), "--log-format", "json", *arguments], standalone_mode=False)


def test_input_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A path without anything ends the command."""
    with pytest.raises(SourceError, match="missing"):
        app(["run", str(tmp_path / "missing"), "--log-format", "json"], standalone_mode=False)
