"""``tidegate run``: the flags, the view, and the signals; the work is done by ``tidegate.app``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tidegate.admin.address import parse_admin_address
from tidegate.admin.observe import Observer
from tidegate.cli import options
from tidegate.cli.options import LogFormat, parse_log_format
from tidegate.cli.signals import Wishes, run_until_signalled
from tidegate.names import CONTROLLER_NAME
from tidegate.settings import (
    DEFAULT_NAME,
    KernelSettings,
    OnExit,
    RunSettings,
    SourceAddress,
    parse_access_log,
    parse_duration,
)

HELP = """Forward traffic as the manifests say, and follow their changes.

On a terminal a live view is shown, else structured logs on standard error. SIGTERM or Ctrl-C stops
accepting and lets connections end; a second Ctrl-C ends at once; SIGHUP reads the input again.

Prometheus finds /metrics at the address of --admin; without it, at a Unix socket in the state directory.

Examples:

\b
  tidegate run gateway.yaml --backend my-service:6000=127.0.0.1:7001
  tidegate run manifests/ --dns --name edge
  tidegate run gateway.yaml --on-exit keep --access-log json=/var/log/tcp.json
  sudo tidegate run gateway.yaml --dataplane nftables
  kubectl get gateways,tcproutes,services,endpointslices -o yaml | tidegate run -
"""


_OnExit = Annotated[
    OnExit, typer.Option(help="At the end: let connections end (drain), or leave everything serving (keep).")
]
_DrainTime = Annotated[str, typer.Option(metavar="TIME", help="How long connections may take to end: 10s, 1m, 500ms.")]
_NoWatch = Annotated[bool, typer.Option("--no-watch", help="Do not follow changes of the files.")]
_LogFormat = Annotated[
    LogFormat | None,
    typer.Option(
        metavar="console|json",
        parser=parse_log_format,
        autocompletion=lambda: [item.value for item in LogFormat],
        help="Structured logs instead of the live view.",
        show_default=False,
    ),
]
_AccessLog = Annotated[
    str,
    typer.Option(
        metavar="off|text|json[=PATH]",
        help="One line per connection, to standard output or PATH; off: none.",
    ),
]
_Envoy = Annotated[
    Path | None, typer.Option(metavar="PATH", help="The Envoy to run, instead of the one installed along.")
]


def run(
    paths: options.Paths,
    *,
    backend: options.Backends = None,
    dns: options.Dns = False,
    dataplane: options.DataPlane = "envoy",
    name: options.Name = None,
    state_dir: options.StateDirectory = None,
    admin: options.Admin = None,
    on_exit: _OnExit = OnExit.DRAIN,
    drain_time: _DrainTime = "10s",
    no_watch: _NoWatch = False,
    log_format: _LogFormat = None,
    access_log: _AccessLog = "off",
    controller_name: options.ControllerName = CONTROLLER_NAME,
    envoy: _Envoy = None,
    source_address: options.SourceAddressOption = SourceAddress.MASQUERADE,
    allow_route_localnet: options.AllowRouteLocalnet = False,
    allow_shadow: options.AllowShadow = False,
) -> None:
    """Run an instance until it is told to stop."""
    kernel = KernelSettings(
        source_address=source_address, allow_route_localnet=allow_route_localnet, allow_shadow=allow_shadow
    )
    settings = RunSettings(
        paths=tuple(paths),
        backends=tuple(backend or ()),
        dns=dns,
        data_plane=dataplane,
        controller_name=controller_name,
        name=name or DEFAULT_NAME,
        state_dir=state_dir,
        admin=parse_admin_address(admin) if admin is not None else None,
        on_exit=on_exit,
        drain_time=parse_duration(drain_time, "--drain-time"),
        watch=not no_watch,
        access_log=parse_access_log(access_log),
        envoy=envoy,
        kernel=kernel,
    )
    raise typer.Exit(run_instance(settings, log_format))


def run_instance(settings: RunSettings, log_format: LogFormat | None) -> int:
    """Run with the live view where it makes sense, else with logs; returns the exit status."""
    from tidegate.telemetry import logs

    if log_format is None and sys.stdout.isatty() and sys.stderr.isatty():
        return _run_with_console(settings)
    logs.log_to_stream(json=log_format is LogFormat.JSON)
    return run_until_signalled(lambda wishes: _serve(settings, wishes, None))


def _run_with_console(settings: RunSettings) -> int:
    from rich.console import Console

    from tidegate.cli.console import LiveConsole
    from tidegate.telemetry import logs

    with LiveConsole(Console()) as console:
        logs.log_to_sink(console.on_event)
        return run_until_signalled(lambda wishes: _serve(settings, wishes, console))


async def _serve(settings: RunSettings, wishes: Wishes, observer: Observer | None) -> None:
    from tidegate.app import standalone

    await standalone.run(settings, stop=wishes.stop, reread=wishes.reread, observer=observer)
