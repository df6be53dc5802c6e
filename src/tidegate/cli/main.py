"""The command line's entry: all commands, and the way each of them ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from tidegate._version import __version__
from tidegate.cli import check, controller, demo, doctor, get, manifests, proxy, run, status
from tidegate.cli.failures import guarded

HELP = """Layer 4 Kubernetes Gateway API from laptop to cluster, on Envoy or the Linux kernel.

Examples:

\b
  tidegate demo
  tidegate run gateway.yaml --backend my-service:6000=127.0.0.1:7001
  tidegate check gateway.yaml
  tidegate status
  tidegate get tcproutes -o yaml
  tidegate manifests | kubectl apply --server-side -f -
"""

app = typer.Typer(
    name="tidegate",
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  The signature that typer calls.
    if wanted:
        typer.echo(f"tidegate {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


_COMMANDS: tuple[tuple[Callable[..., None], str, str], ...] = (
    (run.run, "Forward traffic as manifests say.", run.HELP),
    (check.check, "Say what run would do.", check.HELP),
    (status.status, "Show a running instance.", status.HELP),
    (get.get, "Show objects with their status.", get.HELP),
    (doctor.doctor, "Say what on this host is in the way.", doctor.HELP),
    (demo.demo, "Run an example to play with.", demo.HELP),
    (controller.controller, "Serve the Gateways of a cluster.", controller.HELP),
    (manifests.manifests, "Print what installs it in a cluster.", manifests.HELP),
)

for _command, _summary, _help in _COMMANDS:
    app.command(short_help=_summary, help=_help)(_command)

app.add_typer(proxy.app, name="proxy", hidden=True)


def main() -> None:
    """Run the command that the arguments name, and end with its status."""
    sys.exit(guarded(app))
