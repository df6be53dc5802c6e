"""The live view."""

from __future__ import annotations

import datetime as dt
import io

import pytest
from rich.console import Console, ConsoleDimensions

from support.states import backend_view, listener_view, problem, state
from support.waiting import eventually
from tidegate.admin.view import State
from tidegate.cli.console import LiveConsole, screen
from tidegate.telemetry.events import Event


def event(message: str, level: str = "info") -> Event:
    return Event(at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), level=level, message=message)


def drawn(shown: State | None, *events: Event, width: int = 80, height: int = 24) -> list[str]:
    """The lines of the screen."""
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=False)
    with console.capture() as capture:
        console.print(screen(shown, events, width=width, height=height))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_it_is_readable_at_80_columns() -> None:
    """The guide's example shows in full: listener, port, state, endpoints and connections."""
    listeners = [
        listener_view(
            name,
            gateway="default/my-tcp-gateway",
            port=port,
            route=f"default/tcp-app-{number}",
            backends=(backend_view(f"default/my-{name}-service:6000"),),
            active=number,
        )
        for number, (name, port) in enumerate([("foo", 8080), ("bar", 8090)], start=1)
    ]
    lines = drawn(state(*listeners))
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["LISTENER", "PORT", "STATE", "ROUTE", "BACKENDS", "ACTIVE"]
    assert lines[2].split() == [
        "my-tcp-gateway/foo",
        "8080/TCP",
        "Live",
        "tcp-app-1",
        "1/1",
        "my-foo-service:6000",
        "1",
    ]
    assert "2 listeners  3 connections" in lines[0]


def test_long_names_are_cut_and_numbers_are_not() -> None:
    """On a narrow terminal the port, state, share and counts stay, and the end of names goes."""
    backends = (backend_view(f"default/{'b' * 60}:6000", weight=3), backend_view("default/c:1", weight=1))
    lines = drawn(state(listener_view(gateway=f"default/{'g' * 60}", backends=backends, active=12345)))
    assert max(map(len, lines)) <= 80
    assert "8080/TCP" in lines[2]
    assert "75% 1/1 b" in lines[2]
    assert lines[2].endswith("12345")
    assert "25% 1/1 c:1" in lines[3]


@pytest.mark.parametrize("height", [10, 12, 24, 50])
def test_the_screen_is_never_taller_than_the_terminal(height: int) -> None:
    """However many listeners, problems and events there are; what is left out is counted."""
    many = state(*(listener_view(f"l{i}", state="Failed", message=f"m{i}") for i in range(300)))
    lines = drawn(many, *(event(f"e{i}") for i in range(100)), height=height)
    assert len(lines) <= height
    assert any("more: tidegate status" in line for line in lines)
    assert "e99" in lines[-1] or height < 16


def test_what_is_wrong_stands_below_the_table() -> None:
    """Failures are sentences; the first few, and how many more there are."""
    lines = drawn(state(*(listener_view(f"l{i}", state="Failed", message=f"no {i}") for i in range(6))), height=40)
    assert "! listener my-gateway/l0: no 0" in lines
    assert "! and 2 more: tidegate check" in lines


def test_before_the_first_state_events_are_shown() -> None:
    """While it starts there is something to see."""
    assert drawn(None, event("envoy started")) == ["tidegate is starting", lines_of(event("envoy started"))]


def lines_of(shown: Event) -> str:
    return f"{shown.at.astimezone():%H:%M:%S} {shown.message}"


def test_markup_in_names_and_messages_is_text() -> None:
    """Brackets in user text are shown, not interpreted."""
    lines = drawn(state(listener_view(state="Failed", message="[red]x[/red]"), problems=(problem(path="a[0]"),)))
    assert "! listener my-gateway/foo: [red]x[/red]" in lines
    assert "! gateway.yaml:3: a[0]: it is wrong" in lines


async def test_a_frame_that_came_too_soon_is_drawn_a_little_later() -> None:
    """What happens last is shown without waiting for something else to happen."""
    file = io.StringIO()
    with LiveConsole(Console(file=file, width=80, height=24, force_terminal=True)) as console:
        console.on_event(event("first"))
        console.on_event(event("second"))
        assert "second" not in file.getvalue()

        async def drawn_text() -> str:
            return file.getvalue()

        await eventually(drawn_text, lambda text: "second" in text, what="the second event is drawn")


def test_the_last_state_and_events_stay_on_the_terminal() -> None:
    """At the end the newest picture is drawn once more, however soon after the one before."""
    file = io.StringIO()
    with LiveConsole(Console(file=file, width=80, height=24, force_terminal=True)) as console:
        console.on_state(state(listener_view("first")))
        console.on_state(state(listener_view("second")))
        console.on_event(event("done", "error"))
    last = file.getvalue().rpartition("LISTENER")[2]
    assert "my-gateway/second" in last
    assert "done" in last


@pytest.mark.parametrize("height", [6, 8, 12])
def test_a_small_terminal_keeps_the_table(height: int) -> None:
    """Events go first, then the sentences about problems; the listeners stay."""
    listeners = [listener_view(f"l{i}", state="Failed", message=f"m{i}") for i in range(3)]
    lines = drawn(state(*listeners), *(event(f"e{i}") for i in range(20)), width=60, height=height)
    assert len(lines) < height
    assert lines[1].startswith("LISTENER")
    assert sum(line.startswith("my-gateway/") for line in lines) == 3


def test_many_backends_of_one_listener_are_counted() -> None:
    """A listener that is taller than the terminal shows as many backends as there are lines for."""
    backends = tuple(backend_view(f"default/b{i}:1") for i in range(40))
    lines = drawn(state(listener_view(backends=backends)), width=60, height=12)
    assert len(lines) < 12
    assert "and 32 more" in lines[-1]


@pytest.mark.parametrize("line", ["2026-01-01T00:00:00.000Z listener=a", '{"time":"2026-01-01T00:00:00.000Z"}'])
def test_lines_of_the_access_log_keep_their_own_time(line: str) -> None:
    """They are shown as Envoy wrote them, without a second time."""
    assert line in drawn(state(listener_view()), event(line))


def test_a_resized_terminal_is_cleared() -> None:
    """What the terminal wrapped cannot be drawn over line by line."""
    file = io.StringIO()
    terminal = Console(file=file, width=80, height=24, force_terminal=True)
    with LiveConsole(terminal) as console:
        console.on_state(state(listener_view()))
        terminal.size = ConsoleDimensions(60, 12)
        assert "\x1b[2J" not in file.getvalue()
    assert "my-gateway" in file.getvalue().rpartition("\x1b[2J")[2]
