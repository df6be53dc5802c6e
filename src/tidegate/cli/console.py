"""The live view of ``run`` on a terminal: listeners above, what happened below.

Comes in: states and events of the instance that runs in this process. Goes out: a screen that is drawn
anew a few times a second, in place; what scrolls past stays readable after the end. Drawing is pure
(``screen``); only ``LiveConsole`` touches the terminal.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tidegate.admin.view import ListenerView, State
from tidegate.cli.listeners import backend_lines, listener_name, port_text, remarks, route_text
from tidegate.telemetry.logs import Event

FRAMES_PER_SECOND = 4
_EVENTS_KEPT = 200
_EVENTS_SHOWN = 6
_REMARKS_SHOWN = 4
_CHROME_LINES = 6

_STATE_STYLES = {"Live": "green", "Pending": "yellow", "Failed": "bold red", "Rejected": "red"}
_LEVEL_STYLES = {"debug": "dim", "info": "", "warning": "yellow", "error": "bold red", "critical": "bold red"}


class LiveConsole:
    """Shows an instance on a terminal while the ``with`` block lasts; an ``admin.observe.Observer``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state: State | None = None
        self._events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._drawn = 0.0
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draw()
        self._live.stop()

    def on_state(self, state: State) -> None:
        """Show the newest state."""
        self._state = state
        self._draw_soon()

    def on_event(self, event: Event) -> None:
        """Add an event; the oldest scroll away."""
        self._events.append(event)
        self._draw_soon()

    def _draw_soon(self) -> None:
        """Skip a frame that would come too soon; states come several times a second, so none is lost."""
        if time.monotonic() - self._drawn >= 1 / FRAMES_PER_SECOND:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._live.update(screen(self._state, list(self._events), height=self._console.height), refresh=True)


def screen(state: State | None, events: Sequence[Event], *, height: int) -> RenderableType:
    """The whole view, no taller than ``height`` lines; what does not fit is counted."""
    if state is None:
        return Group(Text("tidegate is starting", style="bold"), *map(_event, events[-_EVENTS_SHOWN:]))
    notes = remarks(state)
    shown_notes = notes[:_REMARKS_SHOWN]
    shown_events = events[-_EVENTS_SHOWN:]
    room = height - _CHROME_LINES - len(shown_notes) - len(shown_events)
    parts: list[RenderableType] = [_headline(state), _table(state.listeners, max(room, 1))]
    parts.extend(Text(f"! {note}", style="yellow", overflow="ellipsis", no_wrap=True) for note in shown_notes)
    if len(notes) > len(shown_notes):
        parts.append(Text(f"! and {len(notes) - len(shown_notes)} more: tidegate check", style="yellow"))
    if shown_events:
        parts.append(Text(""))
        parts.extend(map(_event, shown_events))
    return Group(*parts)


def _headline(state: State) -> Text:
    instance = state.instance
    active = sum(listener.active for listener in state.listeners)
    text = Text(overflow="ellipsis", no_wrap=True)
    text.append("tidegate", style="bold")
    text.append(f" {instance.version}  ")
    text.append(*(("ready", "green") if instance.ready else ("starting", "yellow")))
    text.append(f"  {instance.data_plane}  {len(state.listeners)} listeners  {active} connections")
    text.append("  Ctrl-C ends", style="dim")
    return text


def _table(listeners: Sequence[ListenerView], room: int) -> RenderableType:
    table = Table(box=None, pad_edge=False, expand=False, header_style="bold")
    table.add_column("LISTENER", overflow="ellipsis", no_wrap=True, ratio=3)
    table.add_column("PORT", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    table.add_column("ROUTE", overflow="ellipsis", no_wrap=True, ratio=2)
    table.add_column("BACKENDS", overflow="ellipsis", no_wrap=True, ratio=4)
    table.add_column("ACTIVE", justify="right", no_wrap=True)
    used, shown = 0, 0
    for listener in listeners:
        backends = backend_lines(listener)
        used += max(1, len(backends))
        if used > room:
            break
        shown += 1
        table.add_row(
            listener_name(listener),
            port_text(listener),
            Text(listener.state, style=_STATE_STYLES.get(listener.state, "")),
            route_text(listener),
            _backends(listener, backends),
            str(listener.active),
        )
    hidden = len(listeners) - shown
    return Group(table, Text(f"and {hidden} more: tidegate status", style="dim")) if hidden else table


def _backends(listener: ListenerView, lines: Sequence[str]) -> Text:
    text = Text("\n").join(
        Text(line, style="yellow" if backend.refused and backend.weight else "")
        for line, backend in zip(lines, listener.backends, strict=True)
    )
    return text if lines else Text("<none>", style="dim")


def _event(event: Event) -> Text:
    text = Text(overflow="ellipsis", no_wrap=True)
    text.append(f"{event.at.astimezone():%H:%M:%S} ", style="dim")
    text.append(str(event), style=_LEVEL_STYLES.get(event.level, ""))
    return text
