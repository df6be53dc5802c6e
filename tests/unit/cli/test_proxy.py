"""The commands of a proxy's container; what they do with an Envoy is in tests/integration/test_fleet_proxies.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.cli.main import app
from tidegate.errors import DataPlaneError, SettingsError


def test_it_is_not_in_the_overview() -> None:
    """People at a terminal have no use for it, so it is not listed, but it explains itself."""
    assert "proxy" not in CliRunner().invoke(app, ["--help"]).output
    shown = CliRunner().invoke(app, ["proxy", "--help"])
    assert shown.exit_code == 0
    assert "containers of proxies" in shown.output


def test_run_says_what_is_missing(tmp_path: Path) -> None:
    """A bootstrap that is not there ends the command before anything is started."""
    arguments = ["--bootstrap", str(tmp_path / "missing.json"), "--run-dir", str(tmp_path)]
    with pytest.raises(DataPlaneError, match=r"missing\.json"):
        app(["proxy", "run", *arguments, "--name", "x", "--address", "10.0.0.1"], standalone_mode=False)


def test_drain_says_what_is_missing(tmp_path: Path) -> None:
    """Where no Envoy runs there is nothing to drain."""
    with pytest.raises(DataPlaneError, match="does not answer"):
        app(["proxy", "drain", "--run-dir", str(tmp_path), "--time", "1s"], standalone_mode=False)


def test_drain_needs_a_time(tmp_path: Path) -> None:
    """A time that is none is named."""
    with pytest.raises(SettingsError, match="--time soon"):
        app(["proxy", "drain", "--run-dir", str(tmp_path), "--time", "soon"], standalone_mode=False)
