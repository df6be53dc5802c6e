"""``tidegate status``: the listeners of a running instance, and what is wrong with them."""

from __future__ import annotations

import datetime as dt
import sys
import time
from typing import Annotated

import typer

from tidegate.admin.client import AdminClient
from tidegate.admin.view import State
from tidegate.cli import options
from tidegate.cli.hints.collect import hints_about
from tidegate.cli.listeners import listener_table, remarks
from tidegate.cli.output import Format, as_json, as_yaml, write
from tidegate.cli.tables import duration
from tidegate.instance import locate

HELP = """Show the listeners of a running instance, with their routes, backends and connections.

Examples:

\b
  tidegate status
  tidegate status -o wide --watch
  tidegate status --name edge -o json
"""

WATCH_SECONDS = 1.0
_CLEAR = "\x1b[H\x1b[2J"


def status(
    *,
    output: options.Output = Format.TABLE,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second.")] = False,
    name: options.Name = None,
    state_dir: options.StateDirectory = None,
    admin: options.Admin = None,
) -> None:
    """Print the listeners of a running instance, once or again and again."""
    client = AdminClient(locate(name=name, state_dir=state_dir, admin=admin))
    while True:
        text = status_text(client.state(), output, now=dt.datetime.now(dt.UTC))
        write(_CLEAR + text if watch and sys.stdout.isatty() else text)
        if not watch:
            return
        time.sleep(WATCH_SECONDS)


def status_text(state: State, output: Format, *, now: dt.datetime) -> str:
    """What ``status`` prints."""
    match output:
        case Format.JSON:
            return as_json(state)
        case Format.YAML:
            return as_yaml(state)
        case Format.TABLE | Format.WIDE:
            return _for_people(state, now, wide=output is Format.WIDE)


def _for_people(state: State, now: dt.datetime, *, wide: bool) -> str:
    lines = [_headline(state, now), ""]
    if state.listeners:
        lines.append(listener_table(state.listeners, wide=wide).rstrip("\n"))
    else:
        lines.append("No listeners: the input has no Gateway of ours.")
    notes = remarks(state)
    if notes:
        lines += ["", *(f"! {note}" for note in notes)]
    hints = hints_about(state)
    if hints:
        lines += ["", *(hint.text for hint in hints)]
    return "\n".join(lines) + "\n"


def _headline(state: State, now: dt.datetime) -> str:
    instance = state.instance
    ready = "ready" if instance.ready else "not ready"
    since = duration((now - instance.started_at).total_seconds())
    return (
        f"instance {instance.name}: {ready}, up {since}, process {instance.pid}, "
        f"data plane {instance.data_plane}, tidegate {instance.version}"
    )
