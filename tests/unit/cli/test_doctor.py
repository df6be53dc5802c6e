"""The command doctor: what it looks at, prints, and ends with."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.manifests import gateway, listener, write
from tidegate.cli.doctor import text_of
from tidegate.cli.main import app
from tidegate.dataplanes.diagnosis.facts import Finding, Level, Plane
from tidegate.errors import InstanceError, SettingsError


def test_a_port_that_is_held_is_a_problem(tmp_path: Path) -> None:
    """The listeners of the files are looked for; a problem ends with 1, and JSON has the same rows."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        write(tmp_path / "gateway.yaml", gateway("edge", [listener("web", port)]))
        command = ["doctor", str(tmp_path / "gateway.yaml"), "--dataplane", "envoy", "-o", "json"]
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    rows = json.loads(result.output)
    assert {row["plane"] for row in rows} == {"envoy"}
    [held] = [row for row in rows if row["about"] == "port"]
    assert held["level"] == "problem"
    assert held["found"].endswith(f"listens on {port}, which is that of default/edge/web")


def test_rows_are_aligned_and_explained() -> None:
    """What is not ok has the reason and the advice below it."""
    rows = [
        Finding(level=Level.OK, plane=Plane.ENVOY, about="Envoy", found="version 1.40.0"),
        Finding(level=Level.WARNING, plane=Plane.NFTABLES, about="forwarding", found="off", why="refused", advice="on"),
    ]
    assert text_of(rows).splitlines() == [
        "ok       envoy     Envoy       version 1.40.0",
        "warning  nftables  forwarding  off",
        "                               why: refused",
        "                               do: on",
    ]


def test_an_unknown_data_plane_is_refused() -> None:
    """The message names those that there are."""
    with pytest.raises(SettingsError, match="expected envoy or nftables"):
        CliRunner().invoke(app, ["doctor", "--dataplane", "ipvs"], catch_exceptions=False)


def test_an_instance_that_was_asked_for_must_run() -> None:
    """Without --name, no instance means no listeners; with it, that is an error."""
    with pytest.raises(InstanceError):
        CliRunner().invoke(app, ["doctor", "--name", "nobody-has-this"], catch_exceptions=False)
