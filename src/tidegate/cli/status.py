"""``tidegate status``: the listeners of a running instance or of a cluster, and what is wrong with them."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Annotated

import typer

from tidegate.admin.client import AdminClient
from tidegate.admin.view import State
from tidegate.cli import options
from tidegate.cli.failures import log_only_errors
from tidegate.cli.hints.collect import hints_about
from tidegate.cli.listeners import listener_table, remarks
from tidegate.cli.output import Format, as_json, as_yaml, write
from tidegate.cli.tables import duration
from tidegate.instance import locate
from tidegate.settings import ClusterChoice

HELP = """Show the listeners of a running instance, with their routes, backends and connections.

With --cluster, those of a Kubernetes cluster, as its statuses say; connections are in the proxies' metrics.

Examples:

\b
  tidegate status
  tidegate status -o wide --watch
  tidegate status --name edge -o json
  tidegate status --cluster --context production
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
    cluster: options.Cluster = False,
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
) -> None:
    """Print the listeners of a running instance or of a cluster, once or again and again."""
    choice = options.cluster_choice(
        cluster=cluster, kubeconfig=kubeconfig, context=context, name=name, state_dir=state_dir, admin=admin
    )
    look = AdminClient(locate(name=name, state_dir=state_dir, admin=admin)).state if choice is None else _of(choice)
    while True:
        text = status_text(look(), output, now=dt.datetime.now(dt.UTC))
        write(_CLEAR + text if watch and sys.stdout.isatty() else text)
        if not watch:
            return
        time.sleep(WATCH_SECONDS)


def _of(choice: ClusterChoice) -> Callable[[], State]:
    from tidegate.app.cluster import state

    log_only_errors()
    return lambda: state(choice)


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
    lines = [_cluster_headline(state) if state.cluster else _headline(state, now), ""]
    if state.listeners:
        lines.append(listener_table(state.listeners, wide=wide, counters=not state.cluster).rstrip("\n"))
    else:
        lines.append(f"No listeners: the {'cluster' if state.cluster else 'input'} has no Gateway of ours.")
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


def _cluster_headline(state: State) -> str:
    gateways = len({listener.gateway for listener in state.listeners})
    states = Counter(listener.state for listener in state.listeners)
    told = ", ".join(f"{count} {name}" for name, count in sorted(states.items()))
    counted = f"{_count(gateways, 'Gateway')}, {_count(len(state.listeners), 'listener')}"
    return f"cluster: {counted}" + (f" ({told})" if told else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
