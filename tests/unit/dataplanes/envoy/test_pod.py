"""The container of a proxy: arguments that our own command takes, and all the files that they name."""

from __future__ import annotations

from typing import Any

import pytest

from support.infrastructures import infrastructure
from tidegate.dataplanes.envoy.pod import DEFAULT_CONCURRENCY, STATUS_PORT, Directories, container
from tidegate.plan.infrastructure import ProxyContainer


def made(**parameters: Any) -> ProxyContainer:
    """The container of a Gateway with these parameters."""
    return container(
        infrastructure(parameters=parameters),
        control_plane="tidegate.system.svc:15010",
        server_name="tidegate.system.svc",
    )


def value(arguments: tuple[str, ...], flag: str) -> str:
    """What follows a flag."""
    return arguments[arguments.index(flag) + 1]


def test_runs_our_own_command() -> None:
    """Starting and draining are commands of the image, which know where everything lies."""
    one = made(drain_time=90)
    assert one.arguments[:2] == ("proxy", "run")
    assert one.drain_arguments[:2] == ("proxy", "drain")
    directory, _, file = value(one.arguments, "--bootstrap").rpartition("/")
    assert directory == one.configuration_directory
    assert file in one.files
    assert value(one.arguments, "--run-dir") == value(one.drain_arguments, "--run-dir") == one.run_directory
    assert value(one.drain_arguments, "--time") == "90s"
    assert value(one.arguments, "--name") == "$(POD_NAME)"
    assert value(one.arguments, "--address") == "$(POD_IPS)"


def test_files_know_where_things_are() -> None:
    """Directories and ports can be others, and the files say so."""
    directories = Directories(configuration="/c", certificates="/s", run="/r")
    one = container(infrastructure(), control_plane="x:1", server_name="x", directories=directories, status_port=9999)
    assert (one.configuration_directory, one.certificates_directory, one.run_directory) == ("/c", "/s", "/r")
    assert one.status_port == 9999
    everything = "".join(one.files.values())
    assert '"/s/tls.crt"' in everything
    assert '"/c/certificate.json"' in everything
    assert "9999" in everything
    assert made().status_port == STATUS_PORT


def test_the_hosts_network_shares_no_port() -> None:
    """On a node's network a port that somebody has must not be shared silently."""
    assert "--exclusive-ports" in made(host_network=True).arguments
    assert "--exclusive-ports" not in made().arguments


@pytest.mark.parametrize(
    ("resources", "workers"),
    [
        ({}, DEFAULT_CONCURRENCY),
        ({"requests": {"cpu": "4"}}, DEFAULT_CONCURRENCY),
        ({"limits": {"memory": "1Gi"}}, DEFAULT_CONCURRENCY),
        ({"limits": {"cpu": "4"}}, 4),
        ({"limits": {"cpu": 3}}, 3),
        ({"limits": {"cpu": "1.5"}}, 2),
        ({"limits": {"cpu": "200m"}}, 1),
        ({"limits": {"cpu": "2500m"}}, 3),
        ({"limits": {"cpu": "0"}}, 1),
        ({"limits": {"cpu": "1e3m"}}, DEFAULT_CONCURRENCY),
        ({"limits": "none"}, DEFAULT_CONCURRENCY),
    ],
)
def test_a_worker_per_processor(resources: dict[str, Any], workers: int) -> None:
    """As many workers as the container may use processors; a moderate number where nothing says so."""
    assert value(made(resources=resources).arguments, "--concurrency") == str(workers)


def test_nothing_of_one_pod_is_in_the_files() -> None:
    """The files are the Gateway's; what concerns one Pod is in the arguments."""
    assert not any("$(" in text for text in made().files.values())
