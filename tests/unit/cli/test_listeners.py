"""Listeners in words."""

from __future__ import annotations

import pytest

from support.states import backend_view, instance, listener_view, problem, state
from tidegate.cli.listeners import backend_lines, listener_table, remarks, route_text, share_text, size_text


def test_a_listener_is_a_line_with_a_line_per_further_backend() -> None:
    """The first backend stands beside the listener, the others below, with their shares."""
    text = listener_table(
        [
            listener_view(
                backends=(
                    backend_view("default/a:1", weight=70),
                    backend_view(
                        "other/b:2", weight=30, endpoints=0, total=0, refused="Service other/b does not exist"
                    ),
                )
            )
        ]
    )
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["LISTENER", "PORT", "STATE", "ROUTE", "BACKENDS", "ACTIVE"]
    assert lines[1] == ["my-gateway/foo", "8080/TCP", "Live", "my-route", "70%", "1/1", "a:1", "0"]
    assert lines[2] == ["30%", "refused", "other/b:2"]


def test_wide_adds_the_counters() -> None:
    """Opened and refused connections, bytes and addresses come with -o wide."""
    text = listener_table([listener_view(opened=5, refused=1, received=2048, sent=10)], wide=True)
    assert text.splitlines()[1].split()[-8:] == ["0", "5", "1", "2", "KiB", "10", "B", "*"]


def test_routes_are_counted() -> None:
    """Further attached routes are counted behind the one that serves."""
    assert route_text(listener_view(route=None)) == "<none>"
    assert route_text(listener_view(route="other/r", attached_routes=3)) == "other/r (+2)"


def test_a_single_backend_needs_no_share() -> None:
    """Everything goes to it anyway."""
    assert backend_lines(listener_view(backends=(backend_view("default/a:1", weight=7, endpoints=1, total=3),))) == [
        "1/3 a:1"
    ]


@pytest.mark.parametrize(
    ("weight", "total", "text"),
    [
        (0, 0, "0%"),
        (0, 5, "0%"),
        (1, 1, "100%"),
        (1, 3, "33.3%"),
        (1, 200, "0.5%"),
        (1, 1_000_001, "<0.1%"),
        (70, 100, "70%"),
    ],
)
def test_shares_are_short_and_true(weight: int, total: int, text: str) -> None:
    """A share has few digits, and never looks like none when it is some."""
    assert share_text(weight, total) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1500, "1.46 KiB"), (1_048_575, "1024 KiB"), (5 * 2**30, "5 GiB")],
)
def test_sizes_are_short(count: int, text: str) -> None:
    """Bytes are shown in the unit that fits."""
    assert size_text(count) == text


def test_remarks_tell_what_is_not_well_once() -> None:
    """The plane, listeners that do not serve, refused shares, errors and warnings of the input are told, each once."""
    broken = listener_view("bar", state="Failed", message="port 8080 is taken")
    refused = listener_view(
        backends=(
            backend_view(refused="it has no endpoint"),
            backend_view("default/z:1", weight=0, refused="no matter"),
        )
    )
    found = remarks(
        state(
            broken,
            refused,
            instance=instance(message="Envoy is being restarted"),
            problems=(
                problem(path="spec.x"),
                problem(path="spec.x"),
                problem(severity="warning"),
                problem(severity="note"),
            ),
        )
    )
    assert found == [
        "Envoy is being restarted",
        "listener my-gateway/bar: port 8080 is taken",
        "listener my-gateway/foo: connections to my-service:6000 are refused: it has no endpoint",
        "gateway.yaml:3: spec.x: it is wrong",
        "gateway.yaml:3: it is wrong",
    ]


def test_nothing_to_remark() -> None:
    """When all is well nothing is said."""
    assert remarks(state(listener_view())) == []


def test_without_counters_none_are_shown() -> None:
    """Where nobody counted, there is no column of zeros; addresses are no counters."""
    shown = listener_view(addresses=("192.0.2.7",))
    assert listener_table([shown], counters=False).splitlines()[0].split()[-1] == "BACKENDS"
    wide = listener_table([shown], wide=True, counters=False).splitlines()
    assert wide[0].split()[-2:] == ["BACKENDS", "ADDRESSES"]
    assert wide[1].endswith("192.0.2.7")
