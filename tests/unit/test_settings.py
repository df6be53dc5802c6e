"""What the flags of `run` and `check` mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.errors import SettingsError
from tidegate.settings import (
    AccessLog,
    AccessLogFormat,
    CheckSettings,
    LeaseSettings,
    RunSettings,
    check_host_port,
    check_name,
    parse_access_log,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("2", 2), ("0", 0), ("0.25", 0.25), ("1h", 3600), ("1.5s", 1.5)],
)
def test_durations_have_units_or_mean_seconds(text: str, seconds: float) -> None:
    """A time is a number of seconds, or numbers with units that add up."""
    assert parse_duration(text, "--drain-time") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "10x", "-1s", "1m30", "10 s", "1,5s", "inf", "nan", "10s "])
def test_other_durations_are_refused_with_examples(text: str) -> None:
    """Anything else is refused, and the message shows what is right."""
    with pytest.raises(SettingsError, match=r"--drain-time .*: expected a time such as 10s"):
        parse_duration(text, "--drain-time")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("off", AccessLog()),
        ("text", AccessLog(AccessLogFormat.TEXT)),
        ("json=/var/log/x", AccessLog(AccessLogFormat.JSON, Path("/var/log/x"))),
        ("text=a=b", AccessLog(AccessLogFormat.TEXT, Path.cwd() / "a=b")),
    ],
)
def test_access_log_has_a_format_and_perhaps_a_path(text: str, expected: AccessLog) -> None:
    """The format comes first, a path after the first equals sign is made absolute."""
    assert parse_access_log(text) == expected


@pytest.mark.parametrize("text", ["", "xml", "json=", "off=/x", "JSON"])
def test_other_access_logs_are_refused(text: str) -> None:
    """A format that does not exist, a missing path, or a path for no log is refused."""
    with pytest.raises(SettingsError, match="--access-log"):
        parse_access_log(text)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 64, "a b", "ü"])
def test_names_of_instances_are_names_of_directories(name: str) -> None:
    """A name that could leave the base directory, or is hidden there, is refused."""
    with pytest.raises(SettingsError, match="--name"):
        check_name(name)


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({"paths": ()}, "no input"),
        ({"data_plane": "ebpf"}, "--dataplane ebpf: this build has envoy"),
        ({"controller_name": "no-path"}, "--controller-name"),
        ({"controller_name": "a.example/" + "x" * 250}, "--controller-name"),
    ],
)
def test_settings_say_which_flag_is_wrong(fields: dict[str, object], flag: str) -> None:
    """What can be seen without the system is refused at once, naming the flag."""
    with pytest.raises(SettingsError, match=flag):
        CheckSettings(**({"paths": ("x.yaml",)} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_the_drain_time_is_finite_and_not_negative(seconds: float) -> None:
    """A drain that never ends is refused."""
    with pytest.raises(SettingsError, match="--drain-time"):
        RunSettings(paths=("x.yaml",), drain_time=seconds)


@pytest.mark.parametrize("text", ["10.0.0.1:18000", "tidegate.tidegate-system.svc:18000", "[::1]:1", "0.0.0.0:0"])
def test_host_and_port_are_told_apart(text: str) -> None:
    """An IPv6 address stands in brackets."""
    assert check_host_port(text, "--xds") == text


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "::1:18000", "[10.0.0.1]:1", "host:x", "host:70000"])
def test_other_places_are_refused(text: str) -> None:
    """The message names the flag and what would be right."""
    with pytest.raises(SettingsError, match=r"--xds .*expected HOST:PORT"):
        check_host_port(text, "--xds")


@pytest.mark.parametrize("times", [(15, 10, 0), (15, 2, 2), (10, 10, 2), (1.9, 1.2, 0.2)])
def test_lease_times_never_let_two_replicas_write(times: tuple[float, float, float]) -> None:
    """A leader gives up before another may take over, who reads the duration in whole seconds."""
    duration, renew_deadline, retry = times
    with pytest.raises(SettingsError, match="lease times"):
        LeaseSettings(duration=duration, renew_deadline=renew_deadline, retry=retry)
