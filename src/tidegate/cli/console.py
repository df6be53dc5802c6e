"""The live view of ``run`` on a terminal: listeners above, what happened below.

Comes in: states and events of the instance that runs in this process. Goes out: a screen that is drawn
anew a few times a second, in place; what scrolls past stays readable after the end. Drawing is pure
(``screen``); only ``LiveConsole`` touches the terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from tidegate.telemetry.events import Event

FRAMES_PER_SECOND = 4
_EVENTS_KEPT = 200
_EVENTS_SHOWN = 6
_REMARKS_SHOWN = 4
_CHROME_LINES = 6

_HEADINGS = {"LISTENER": 0, "PORT": 1, "STATE": 2, "ROUTE": 3, "BACKENDS": 4, "ACTIVE": 5}
_ELASTIC = ("LISTENER", "ROUTE", "BACKENDS")
"""The columns that are cut when the terminal is narrow."""
_KEPT_WIDTH = 24
"""So much of a listener's name is always shown: its end tells it apart from the others."""

_STATE_STYLES = {"Live": "green", "Pending": "yellow", "Failed": "bold red", "Rejected": "red"}
_LEVEL_STYLES = {"debug": "dim", "info": "", "warning": "yellow", "error": "bold red", "critical": "bold red"}


class LiveConsole:
    """Shows an instance on a terminal while the ``with`` block lasts; an ``admin.observe.Observer``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state: State | None = None
        self._events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._drawn = 0.0
        self._next: asyncio.TimerHandle | None = None
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
        """Draw now, or once the last frame was on the screen for its time."""
        wait = self._drawn + 1 / FRAMES_PER_SECOND - time.monotonic()
        if self._next is not None:
            return
        if wait <= 0:
            self._draw()
            return
        with contextlib.suppress(RuntimeError):  # Outside an event loop the end of the block draws.
            self._next = asyncio.get_running_loop().call_later(wait, self._draw)

    def _draw(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = None
        self._drawn = time.monotonic()
        size = self._console.size
        view = screen(self._state, list(self._events), width=size.width, height=size.height)
        self._live.update(view, refresh=True)


def screen(state: State | None, events: Sequence[Event], *, width: int, height: int) -> RenderableType:
    """The whole view, fit for so many columns and lines; what does not fit is counted."""
    if state is None:
        return Group(Text("tidegate is starting", style="bold"), *map(_event, events[-_EVENTS_SHOWN:]))
    notes = remarks(state)
    room = max(height - _CHROME_LINES, 3)
    shown_notes = notes[: min(_REMARKS_SHOWN, room // 3)]
    shown_events = events[-min(_EVENTS_SHOWN, room // 3) :]
    room -= len(shown_notes) + len(shown_events)
    parts: list[RenderableType] = [_headline(state), _table(state.listeners, width=width, room=room)]
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


def _table(listeners: Sequence[ListenerView], *, width: int, room: int) -> RenderableType:
    shown = _that_fit(listeners, room)
    rows = [_cells(listener) for listener in shown]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", expand=_natural(rows) > width)
    for heading, index in _HEADINGS.items():
        widest = max([len(heading), *(_widest(row[index]) for row in rows)])
        table.add_column(
            heading,
            justify="right" if heading == "ACTIVE" else "left",
            overflow="ellipsis",
            no_wrap=True,
            ratio=widest if heading in _ELASTIC else None,
            min_width=min(widest, _KEPT_WIDTH) if heading == "LISTENER" else None,
        )
    for row in rows:
        table.add_row(*row)
    hidden = len(listeners) - len(shown)
    return Group(table, Text(f"and {hidden} more: tidegate status", style="dim")) if hidden else table


def _that_fit(listeners: Sequence[ListenerView], room: int) -> list[ListenerView]:
    """As many from the start as there are lines for; one at least, and a line is kept for the rest."""
    used = 0
    shown: list[ListenerView] = []
    for listener in listeners:
        used += max(1, len(listener.backends))
        if shown and used > room:
            break
        shown.append(listener)
    return shown


def _cells(listener: ListenerView) -> list[Text]:
    return [
        Text(listener_name(listener)),
        Text(port_text(listener)),
        Text(listener.state, style=_STATE_STYLES.get(listener.state, "")),
        Text(route_text(listener)),
        _backends(listener, backend_lines(listener)),
        Text(str(listener.active)),
    ]


def _natural(rows: Sequence[Sequence[Text]]) -> int:
    """How wide the table is when nothing is cut."""
    columns = (max([len(heading), *(_widest(row[index]) for row in rows)]) for heading, index in _HEADINGS.items())
    return sum(columns) + len(_HEADINGS)


def _widest(text: Text) -> int:
    return max(map(len, text.plain.split("\n")))


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
