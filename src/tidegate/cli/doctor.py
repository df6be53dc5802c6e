"""``tidegate doctor``: what on this host stands in the way of a data plane, and what to do about it."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.admin.client import AdminClient
from tidegate.admin.view import ListenerView
from tidegate.cli import options
from tidegate.cli.output import as_json, write
from tidegate.errors import InstanceError, SettingsError
from tidegate.instance import locate
from tidegate.settings import DATA_PLANES, CheckSettings

if TYPE_CHECKING:
    from tidegate.dataplanes.diagnosis.facts import Finding

HELP = """Say what on this host stands in the way of a data plane, and what to do about it.

Looks at the listeners of the given files, else at those of the running instance, if there is one. Changes
nothing. Without root it says what it cannot see. Rules of other programs are understood as far as can be
seen. Ends with 0 when nothing is a problem, else with 1.

Examples:

\b
  sudo "$(command -v tidegate)" doctor gateway.yaml --dataplane nftables
  tidegate doctor gateway.yaml --dataplane envoy
  sudo "$(command -v tidegate)" doctor --name edge -o json
"""

_PROBLEM = 1
_UNSERVABLE = "Rejected"


class DoctorFormat(enum.Enum):
    """``-o`` of ``doctor``."""

    TEXT = "text"
    JSON = "json"


def doctor(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...", help="Files or directories whose listeners are looked at.", show_default=False
        ),
    ] = None,
    *,
    dataplane: Annotated[
        str | None,
        typer.Option(
            metavar="envoy|nftables",
            help="Look for this one only; without it for that of the running instance, else for both.",
            autocompletion=lambda: list(DATA_PLANES),
        ),
    ] = None,
    output: Annotated[DoctorFormat, typer.Option("-o", "--output", help="Format of the output.")] = DoctorFormat.TEXT,
    envoy: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The Envoy to look at, instead of the one installed along.")
    ] = None,
    name: options.Name = None,
    state_dir: options.StateDirectory = None,
    admin: options.Admin = None,
) -> None:
    """Look, judge, and print the findings."""
    from tidegate.dataplanes.diagnosis import looking
    from tidegate.dataplanes.diagnosis.facts import Level, Plane
    from tidegate.dataplanes.diagnosis.judging import judge

    if dataplane not in (None, *DATA_PLANES):
        raise SettingsError(f"--dataplane {dataplane}: expected {' or '.join(DATA_PLANES)}")
    running, views = ("", _listeners_of(paths)) if paths else _running(name, state_dir, admin)
    wanted = [
        looking.Wanted(name=f"{view.gateway}/{view.listener}", addresses=view.addresses, port=view.port)
        for view in views
        if view.state != _UNSERVABLE
    ]
    planes = [Plane(one) for one in DATA_PLANES if one == (dataplane or running or one)]
    kernel, proxy = looking.kernel(), looking.envoy(envoy)
    listeners = looking.listeners(wanted, served=running == Plane.ENVOY.value)
    findings = [one for plane in planes for one in judge(plane, kernel, proxy, listeners)]
    write(as_json(findings) if output is DoctorFormat.JSON else text_of(findings))
    raise typer.Exit(_PROBLEM if any(one.level is Level.PROBLEM for one in findings) else 0)


def text_of(findings: list[Finding]) -> str:
    """A row per finding, in columns; below it why it matters and what to do."""
    lines: list[str] = []
    width = max((len(one.about) for one in findings), default=0)
    for one in findings:
        lines.append(f"{one.level.value:<7}  {one.plane.value:<8}  {one.about:<{width}}  {one.found}")
        margin = " " * (7 + 2 + 8 + 2 + width + 2)
        lines += [f"{margin}{label}: {text}" for label, text in (("why", one.why), ("do", one.advice)) if text]
    return "".join(f"{line}\n" for line in lines)


def _listeners_of(paths: list[str]) -> tuple[ListenerView, ...]:
    """The listeners of files. Raises SettingsError and SourceError."""
    from tidegate.app import standalone

    return standalone.check(CheckSettings(paths=tuple(paths))).state.listeners


def _running(name: str | None, state_dir: Path | None, admin: str | None) -> tuple[str, tuple[ListenerView, ...]]:
    """The data plane and the listeners of the running instance; none is an error only when one was asked for."""
    try:
        state = AdminClient(locate(name=name, state_dir=state_dir, admin=admin)).state()
    except InstanceError:
        if name or state_dir or admin:
            raise
        return "", ()
    return state.instance.data_plane, state.listeners
