"""The live view of ``run`` on a terminal: listeners above, what happened below.

Comes in: states and events of the instance that runs in this process. Goes out: a screen that is drawn
anew a few times a second, in place; what scrolls past stays readable after the end. Drawing is pure
(``screen``); only ``LiveConsole`` touches the terminal.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import re
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
_FIXED_LINES = 2
"""The headline, and the line on which the cursor stands."""
_SMALL_HEIGHT = 16
"""Below so many lines the table takes all it needs; from there on, problems and events have half of the lines."""
_OWN_TIME = re.compile(r'(\{.*"time":")?\d{4}-\d\d-\d\dT\d\d:')
"""What a line of the access log, text or JSON, begins with: it has a time of its own."""

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
        self._size = console.size
        self._live = self._new_live()

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
        if size != self._size:
            self._start_anew()
            self._size = size
        view = screen(self._state, list(self._events), width=size.width, height=size.height)
        self._live.update(view, refresh=True)

    def _new_live(self) -> Live:
        return Live(console=self._console, auto_refresh=False, vertical_overflow="crop")

    def _start_anew(self) -> None:
        """After a resize the terminal has wrapped what was drawn, and nobody knows how many lines it takes."""
        self._live.stop()
        self._console.clear()
        self._live = self._new_live()
        self._live.start()


def screen(state: State | None, events: Sequence[Event], *, width: int, height: int) -> RenderableType:
    """The whole view, fit for so many columns and lines; what does not fit is counted."""
    if state is None:
        room = max(min(_EVENTS_SHOWN, height - _FIXED_LINES), 1)
        return Group(Text("tidegate is starting", style="bold"), *map(_event, events[-room:]))
    notes = remarks(state)
    lines = height - _FIXED_LINES
    below = min(len(notes), _REMARKS_SHOWN + 1) + min(len(events), _EVENTS_SHOWN) + 1
    reserved = 0 if height < _SMALL_HEIGHT else min(below, lines // 2)
    table, used = _table(state.listeners, width=width, room=lines - reserved)
    below_table = _notes(notes, room=lines - used)
    parts: list[RenderableType] = [_headline(state), table, *below_table]
    left = min(_EVENTS_SHOWN, lines - used - len(below_table) - 1)
    if left > 0 and events:
        parts.append(Text(""))
        parts.extend(map(_event, events[-left:]))
    return Group(*parts)


def _notes(notes: Sequence[str], *, room: int) -> list[Text]:
    """The first few notes in so many lines; one of the lines counts the others."""
    room = min(room, len(notes), _REMARKS_SHOWN + 1)
    if room <= 0:
        return []
    shown = notes if len(notes) <= min(room, _REMARKS_SHOWN) else notes[: room - 1]
    lines = [Text(f"! {note}", style="yellow", overflow="ellipsis", no_wrap=True) for note in shown]
    if len(notes) > len(shown):
        lines.append(Text(f"! and {len(notes) - len(shown)} more: tidegate check", style="yellow"))
    return lines


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


def _table(listeners: Sequence[ListenerView], *, width: int, room: int) -> tuple[RenderableType, int]:
    """The table in so many lines, heading and count of the others included, and how many it takes."""
    room = max(room - 1, 1)
    shown = _that_fit(listeners, room)
    hidden = len(listeners) - len(shown)
    rows = [_cells(listener, max(room - (hidden > 0), 1)) for listener in shown]
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
    used = 1 + sum(row[_HEADINGS["BACKENDS"]].plain.count("\n") + 1 for row in rows)
    if not hidden:
        return table, used
    return Group(table, Text(f"and {hidden} more: tidegate status", style="dim")), used + 1


def _that_fit(listeners: Sequence[ListenerView], room: int) -> list[ListenerView]:
    """As many from the start as there are lines for; one at least, and a line is kept for the rest if any."""
    heights = [max(1, len(listener.backends)) for listener in listeners]
    if sum(heights) <= room:
        return list(listeners)
    ends = list(itertools.accumulate(heights))
    return list(listeners[: max(1, bisect.bisect_right(ends, room - 1))])


def _cells(listener: ListenerView, room: int) -> list[Text]:
    return [
        Text(listener_name(listener)),
        Text(port_text(listener)),
        Text(listener.state, style=_STATE_STYLES.get(listener.state, "")),
        Text(route_text(listener)),
        _backends(listener, backend_lines(listener), room),
        Text(str(listener.active)),
    ]


def _natural(rows: Sequence[Sequence[Text]]) -> int:
    """How wide the table is when nothing is cut."""
    columns = (max([len(heading), *(_widest(row[index]) for row in rows)]) for heading, index in _HEADINGS.items())
    return sum(columns) + len(_HEADINGS)


def _widest(text: Text) -> int:
    return max(map(len, text.plain.split("\n")))


def _backends(listener: ListenerView, lines: Sequence[str], room: int) -> Text:
    rows = [
        Text(line, style="yellow" if backend.refused and backend.weight else "")
        for line, backend in zip(lines, listener.backends, strict=True)
    ]
    if len(rows) > room:
        rows[max(room - 1, 0) :] = [Text(f"and {len(rows) - room + 1} more", style="dim")]
    return Text("\n").join(rows) if rows else Text("<none>", style="dim")


def _event(event: Event) -> Text:
    text = Text(overflow="ellipsis", no_wrap=True)
    if not _OWN_TIME.match(event.message):
        text.append(f"{event.at.astimezone():%H:%M:%S} ", style="dim")
    text.append(str(event), style=_LEVEL_STYLES.get(event.level, ""))
    return text
