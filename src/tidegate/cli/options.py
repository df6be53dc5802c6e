"""The flags that several commands share, each with its help, declared once."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.output import Format
from tidegate.errors import SettingsError


class LogFormat(enum.Enum):
    """Lines for people, or one JSON object per line."""

    CONSOLE = "console"
    JSON = "json"


def parse_log_format(text: str) -> LogFormat:
    """Read ``console`` or ``json``. Raises SettingsError for anything else."""
    try:
        return LogFormat(text)
    except ValueError as error:
        known = " or ".join(item.value for item in LogFormat)
        raise SettingsError(f"--log-format {text}: expected {known}") from error


def instance_names() -> list[str]:
    """The names of the running instances, for completion."""
    from tidegate.instance import running_instances

    return [record.name for record in running_instances()]


Paths = Annotated[
    list[str],
    typer.Argument(metavar="PATH", help="Files or directories of YAML or JSON, or - for standard input."),
]
Backends = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        metavar="NAME[.NAMESPACE][:PORT]=HOST:PORT[,...]",
        help="Where a Service runs; may be given several times.",
    ),
]
Dns = Annotated[bool, typer.Option("--dns", help="Resolve Services without endpoints by their own names.")]
DataPlane = Annotated[str, typer.Option("--dataplane", metavar="NAME", help="What carries the traffic.")]
ControllerName = Annotated[
    str, typer.Option("--controller-name", metavar="NAME", help="Serve the GatewayClasses of this controller.")
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="NAME", help="Name of the instance; without it, default.", autocompletion=instance_names
    ),
]
StateDirectory = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="Directory of the instance, instead of the one of its name."),
]
Admin = Annotated[
    str | None,
    typer.Option("--admin", metavar="ADDR", help="Address of the admin API: 127.0.0.1:PORT, [::1]:PORT or unix:PATH."),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="Format of the output.")]
