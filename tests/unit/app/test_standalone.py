"""The composition root: the dry run here, the running instance in ``tests/integration``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.manifests import backend, gateway, listener, parent, tcproute, write
from support.resources import gateway_key
from tidegate.app import standalone
from tidegate.errors import SettingsError, SourceError
from tidegate.names import ObjectKey
from tidegate.settings import AccessLog, AccessLogFormat, CheckSettings, RunSettings


def check(path: Path, *backends: str, controller_name: str | None = None) -> standalone.CheckResult:
    """What would happen with this input."""
    name = {} if controller_name is None else {"controller_name": controller_name}
    return standalone.check(CheckSettings(paths=(str(path),), backends=backends, **name))


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """One listener, one route, one backend."""
    path = tmp_path / "gateway.yaml"
    write(path, gateway("edge", [listener("db", 5432)]), tcproute("db", [parent("edge")], [backend("db")]))
    return path


def test_check_shows_what_a_running_instance_would(example: Path) -> None:
    """The dry run ends with the statuses and backends of a data plane that took everything."""
    result = check(example, "db:6000=127.0.0.1:7001,127.0.0.1:7002")
    (shown,) = result.state.listeners
    assert (shown.state, shown.route, shown.backends[0].endpoints) == ("Live", "default/db", 2)
    assert result.readable


def test_check_knows_where_objects_stand(example: Path) -> None:
    """File and line of an object and of its fields are known; of others they are not."""
    origin = check(example).origin
    whole, field = origin(gateway_key("edge"), ()), origin(gateway_key("edge"), ("spec", "listeners", 0))
    assert whole is not None
    assert field is not None
    assert (whole.file, whole.line < field.line) == (str(example), True)
    assert origin(ObjectKey("", "Service", "default", "nowhere"), ()) is None


def test_a_class_of_another_controller_is_not_served(tmp_path: Path) -> None:
    """An explicit GatewayClass decides; ``--controller-name`` takes it over."""
    path = tmp_path / "class.yaml"
    gateway_class = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "tidegate"},
        "spec": {"controllerName": "example.com/other"},
    }
    write(path, gateway_class, gateway("edge", [listener("db", 5432)]))
    assert check(path).state.listeners == ()
    assert len(check(path, controller_name="example.com/other").state.listeners) == 1


def test_unusable_flags_and_paths_are_said_before_anything_happens(example: Path, tmp_path: Path) -> None:
    """A bad flag is a SettingsError, a path that is not there a SourceError."""
    with pytest.raises(SettingsError):
        check(example, "nonsense")
    with pytest.raises(SourceError):
        check(tmp_path / "nothing.yaml")


def test_every_data_plane_has_features() -> None:
    """The table of data planes says what each can do."""
    assert {name: features.name for name, features in standalone.PLANES.items()} == {
        "envoy": "envoy",
        "nftables": "nftables",
    }


async def test_an_access_log_that_cannot_be_written_is_said_before_anything_happens(
    example: Path, tmp_path: Path
) -> None:
    """Otherwise Envoy would reject every listener."""
    log = AccessLog(AccessLogFormat.JSON, tmp_path / "nowhere" / "x.log")
    settings = RunSettings(paths=(str(example),), state_dir=tmp_path / "state", access_log=log)
    with pytest.raises(SettingsError, match="--access-log"):
        await standalone.run(settings, stop=asyncio.Event(), reread=asyncio.Event())
    assert not (tmp_path / "state").exists()


async def test_closed_standard_input_is_said_before_anything_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise Envoy would be left behind, as after an error of ours."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(SourceError, match="standard input is closed"):
        await standalone.run(
            RunSettings(paths=("-",), state_dir=tmp_path / "state"), stop=asyncio.Event(), reread=asyncio.Event()
        )
    assert not (tmp_path / "state").exists()
