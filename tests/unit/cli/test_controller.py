"""The flags of ``tidegate controller``, and what is said of those that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.cli import controller as command
from tidegate.cli.failures import guarded
from tidegate.cli.main import app
from tidegate.cli.options import LogFormat
from tidegate.settings import ControllerSettings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ControllerSettings]:
    """The settings of every run; nothing runs."""
    found: list[ControllerSettings] = []

    def take(settings: ControllerSettings, _: LogFormat) -> int:
        found.append(settings)
        return 0

    monkeypatch.setattr(command, "run_controller", take)
    for name in ("POD_NAME", "POD_NAMESPACE", "POD_IP"):
        monkeypatch.delenv(name, raising=False)
    return found


def invoke(*arguments: str) -> int:
    """Run the command as the shell would, and give its exit status."""
    return guarded(lambda: app(["controller", *arguments], prog_name="tidegate"))


def test_a_pod_needs_no_flags(asked: list[ControllerSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, namespace and address are the Pod's; proxies dial the Service in that namespace."""
    monkeypatch.setenv("POD_NAME", "controller-x")
    monkeypatch.setenv("POD_NAMESPACE", "edge")
    monkeypatch.setenv("POD_IP", "10.1.2.3")
    assert invoke() == 0
    (settings,) = asked
    assert (settings.replica, settings.namespace, settings.address) == ("controller-x", "edge", "10.1.2.3:18000")
    assert settings.control_plane == "tidegate-controller.edge.svc:18000"
    assert (settings.xds_address, str(settings.admin)) == ("0.0.0.0:18000", "0.0.0.0:8080")


def test_a_pod_with_ipv6_listens_on_ipv6(asked: list[ControllerSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cluster that has nothing else, probes and proxies come by IPv6."""
    monkeypatch.setenv("POD_IP", "fd00::7")
    assert invoke() == 0
    (settings,) = asked
    assert (settings.address, settings.xds_address, str(settings.admin)) == (
        "[fd00::7]:18000", "[::]:18000", "[::]:8080",
    )  # fmt: skip


def test_times_of_the_lease_follow_its_duration(asked: list[ControllerSettings]) -> None:
    """A leader steps down well before another may take over."""
    assert invoke("--lease-duration", "30s", "--lease-name", "mine") == 0
    lease = asked[0].lease
    assert (lease.name, lease.duration, lease.renew_deadline, lease.retry) == ("mine", 30.0, 20.0, 4.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--control-plane", "nowhere"], "--control-plane nowhere: expected HOST:PORT"),
        (["--admin", "8080"], "--admin 8080: expected HOST:PORT"),
        (["--lease-duration", "soon"], "--lease-duration soon: expected a time"),
        (["--controller-name", "me"], "--controller-name me: expected a domain and a path"),
    ],
)
def test_what_cannot_be_used_is_said_with_what_can(
    arguments: list[str], said: str, asked: list[ControllerSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    """One message on standard error, exit status 2, and nothing runs."""
    assert invoke(*arguments) == 2
    assert said in capsys.readouterr().err
    assert asked == []


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, but the path."""
    assert invoke("--kubeconfig", str(tmp_path / "none"), "--admin", "127.0.0.1:0") == 2
    assert f"there is no kubeconfig at {tmp_path / 'none'}" in capsys.readouterr().err


@pytest.mark.parametrize("library", ["cryptography", "kubernetes"])
def test_without_the_extra_it_says_what_to_install(library: str, tmp_path: Path) -> None:
    """Who installed tidegate without what a cluster needs is told how to get it."""
    program = f"import sys; sys.modules[{library!r}] = None; from tidegate.cli.main import main; main()"
    arguments = ["controller", "--admin", "127.0.0.1:0", "--xds-port", "0", "--kubeconfig", str(tmp_path)]
    ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("tidegate: speaking to a cluster needs the extra kubernetes: pip install ")
    assert ended.stderr.count("\n") == 1
