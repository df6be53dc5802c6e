"""The command check, without sockets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from support.manifests import backend, gateway, listener, parent, tcproute, write
from tidegate.cli.main import app
from tidegate.errors import SourceError

FLAG = ["--backend", "svc:6000=127.0.0.1:7001"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A Gateway with a route."""
    file = tmp_path / "gateway.yaml"
    write(file, gateway("g", [listener("foo", 8080)]), tcproute("r", [parent("g")], [backend("svc")]))
    return file


def test_a_good_input_is_clean(path: Path) -> None:
    """The status is 0 and the summary says so."""
    result = CliRunner().invoke(app, ["check", str(path), *FLAG])
    assert result.exit_code == 0
    assert result.output.endswith("1 Gateway, 1 listener, 1 route: no problems\n")


def test_what_does_not_resolve_is_1_with_place_and_hint(path: Path) -> None:
    """The problem has file, line and path, and the hint shows the flag that would help."""
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    assert "gateway.yaml:" in result.output
    assert ": spec.rules[0].backendRefs: ResolvedRefs is False (BackendNotFound): " in result.output
    assert "hint: TCPRoute default/r: there is no Service svc" in result.output


def test_warnings_count_when_strict(path: Path) -> None:
    """An unknown field is pruned with a warning, which --strict does not forgive."""
    path.write_text(path.read_text().replace("port: 8080", "port: 8080\n    colour: red"))
    assert CliRunner().invoke(app, ["check", str(path), *FLAG]).exit_code == 0
    assert CliRunner().invoke(app, ["check", str(path), *FLAG, "--strict"]).exit_code == 1


def test_unreadable_input_is_2(path: Path) -> None:
    """A document that is no YAML cannot be judged."""
    path.write_text("a: [")
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 2
    assert f"{path}:1" in result.output


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    """Nothing there to check."""
    with pytest.raises(SourceError):
        app(["check", str(tmp_path / "none")], standalone_mode=False)


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_a_structure(path: Path, form: str, read: object) -> None:
    """Result, problems, hints, listeners and objects with their statuses."""
    assert callable(read)
    found = read(CliRunner().invoke(app, ["check", str(path), "-o", form]).output)
    assert (found["result"], found["problems"][0]["severity"]) == ("notAccepted", "error")
    assert found["hints"][0]["object"] == "TCPRoute default/r"
    assert found["listeners"][0]["port"] == 8080
    assert {item["kind"] for item in found["objects"]} >= {"Gateway", "TCPRoute"}
