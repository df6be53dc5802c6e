"""Options become Envoy's command line."""

from __future__ import annotations

from pathlib import Path

from tidegate.dataplanes.envoy.accesslog import AccessLogOptions
from tidegate.dataplanes.envoy.options import EnvoyOptions


def value_of(options: EnvoyOptions, flag: str) -> str | None:
    """What follows ``flag`` on the command line."""
    arguments = options.arguments()
    return arguments[arguments.index(flag) + 1] if flag in arguments else None


def test_the_default_never_ends_drained_connections() -> None:
    """By default a changed or removed listener's connections may go on for years."""
    drain = value_of(EnvoyOptions(), "--drain-time-s")
    assert drain is not None
    assert int(drain) >= 5 * 365 * 24 * 3600


def test_generations_never_share_memory() -> None:
    """Generations run side by side without Envoy's own hot restart."""
    assert "--disable-hot-restart" in EnvoyOptions().arguments()


def test_workers_are_envoys_choice_unless_given() -> None:
    """Without a number of workers Envoy is not told one."""
    assert value_of(EnvoyOptions(), "--concurrency") is None
    assert value_of(EnvoyOptions(concurrency=3), "--concurrency") == "3"


def test_chosen_values_reach_the_command_line() -> None:
    """Drain time and log level are passed on."""
    options = EnvoyOptions(drain_time=7, log_level="debug")
    assert value_of(options, "--drain-time-s") == "7"
    assert value_of(options, "--log-level") == "debug"


def test_the_access_log_replaces_no_envoy() -> None:
    """The access log travels by discovery: the command line is the same with and without it."""
    log = AccessLogOptions(format="json", path=Path("access.log"))
    assert EnvoyOptions(access_log=log).arguments() == EnvoyOptions().arguments()


def test_a_missing_controller_does_not_fill_the_log() -> None:
    """Envoy does not write several times a second that nobody tells it a configuration."""
    components = value_of(EnvoyOptions(), "--component-log-level")
    assert components is not None
    assert "config:error" in components.split(",")
