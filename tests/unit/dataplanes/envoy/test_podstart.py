"""A Gateway's bootstrap becomes that of one Pod, and the Pod's process becomes Envoy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tidegate.dataplanes.envoy import binary, podstart
from tidegate.dataplanes.envoy.bootstrap import ADMIN_SOCKET
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.dataplanes.envoy.podbootstrap import BOOTSTRAP_FILE, PodOptions, files
from tidegate.dataplanes.envoy.podstart import become, localised, prepare
from tidegate.dataplanes.envoy.proxynode import ProxyNode
from tidegate.dataplanes.envoy.translate import REFUSE_SOCKET, TranslateOptions
from tidegate.errors import DataPlaneError

OPTIONS = PodOptions(
    scope="team-a/gw",
    control_plane="tidegate:15010",
    server_name="tidegate",
    configuration="/etc/proxy",
    certificates="/etc/certificates",
    status_port=15021,
)
GIVEN = files(OPTIONS)[BOOTSTRAP_FILE].encode()


def node(wildcard: str = "::") -> ProxyNode:
    """A Pod's proxy."""
    surroundings = TranslateOptions(wildcard=wildcard)
    return ProxyNode(name="pod-1", instance="5f", addresses=("10.0.0.7",), surroundings=surroundings)


def addresses(document: Any) -> list[Any]:
    """Where the static listeners listen."""
    return [listener["address"] for listener in document["static_resources"]["listeners"]]


def test_the_pod_is_named() -> None:
    """What only the Pod knows is added, and nothing else is changed."""
    found = json.loads(localised(GIVEN, node()))
    assert found["node"]["id"] == "pod-1"
    assert found["node"]["metadata"]["addresses"] == ["10.0.0.7"]
    del found["node"]["id"], found["node"]["metadata"]
    assert found == json.loads(GIVEN)


def test_without_ipv6_it_listens_on_ipv4() -> None:
    """Where there is no IPv6, the status port has to be opened without."""
    refusing, status = addresses(json.loads(localised(GIVEN, node("0.0.0.0"))))
    assert status["socket_address"] == {"address": "0.0.0.0", "port_value": 15021}
    assert "pipe" in refusing


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"node": {}}', b'{"node": {}, "static_resources": []}'])
def test_something_else_is_an_error(text: bytes) -> None:
    """A file that is no bootstrap is named as that."""
    with pytest.raises(DataPlaneError, match="no bootstrap"):
        localised(text, node())


def test_prepares_the_run_directory(tmp_path: Path) -> None:
    """The Pod's own bootstrap is written there, and sockets of an Envoy that was killed are gone."""
    source, directory = tmp_path / "given.json", tmp_path / "run"
    source.write_bytes(GIVEN)
    for _ in range(2):
        target = prepare(source, directory, node())
        assert target.parent == directory
        assert target.read_bytes() == localised(GIVEN, node())
        for name in (ADMIN_SOCKET, REFUSE_SOCKET):
            assert not (directory / name).exists()
            (directory / name).touch()


def test_what_cannot_be_read_or_written_is_an_error(tmp_path: Path) -> None:
    """Without a bootstrap, or a directory to write to, it ends and says why."""
    with pytest.raises(DataPlaneError, match="cannot read the bootstrap"):
        prepare(tmp_path / "missing.json", tmp_path, node())
    source = tmp_path / "given.json"
    source.write_bytes(GIVEN)
    with pytest.raises(DataPlaneError, match="cannot use the run directory"):
        prepare(source, source / "run", node())


def test_a_program_that_does_not_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this process cannot become Envoy, it says so instead of going on as something else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(podstart, "_restore_process", lambda: None)
    monkeypatch.setattr(binary, "_packaged", lambda: tmp_path / "envoy")
    with pytest.raises(DataPlaneError, match="no Envoy program"):
        become(tmp_path / "envoy.json", EnvoyOptions())
    (tmp_path / "envoy").write_text("no program\n")
    (tmp_path / "envoy").chmod(0o755)
    with pytest.raises(DataPlaneError, match="cannot start"):
        become(tmp_path / "envoy.json", EnvoyOptions())
