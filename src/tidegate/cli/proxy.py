"""``tidegate proxy``: what the containers of a data plane in a cluster run. Not for people at a terminal.

``run`` becomes Envoy, ``drain`` lets its clients go before the container ends. The arguments come from
``dataplanes.envoy.pod``, the work is done by its neighbours ``podstart`` and ``poddrain``; Pods come to the latter by
``cli.drain``, past this module.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="For the containers of proxies in a cluster: these commands are started by their Pods.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RunDirectory = Annotated[Path, typer.Option("--run-dir", metavar="DIR", help="Where Envoy's sockets are.")]


@app.command()
def run(
    *,
    bootstrap: Annotated[Path, typer.Option(metavar="FILE", help="The configuration that Envoy starts with.")],
    run_dir: RunDirectory,
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the Pod.")],
    address: Annotated[
        str, typer.Option(metavar="IP[,IP]", help="Addresses of the Pod, by which it is known to be ready.")
    ],
    concurrency: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Worker threads; without it, one per processor.")
    ] = None,
    exclusive_ports: Annotated[
        bool, typer.Option("--exclusive-ports", help="Share no port with another process: for the host's network.")
    ] = False,
    log_level: Annotated[str, typer.Option(metavar="LEVEL", help="What Envoy logs.")] = "warning",
) -> None:
    """Become the Envoy of a Pod."""
    from tidegate.dataplanes.envoy import podstart, proxynode
    from tidegate.dataplanes.envoy.options import EnvoyOptions
    from tidegate.dataplanes.envoy.translate import TranslateOptions
    from tidegate.dataplanes.hostaddresses import wildcard_address

    node = proxynode.ProxyNode(
        name=name,
        instance=secrets.token_hex(8),
        addresses=tuple(proxynode.canonical(address.split(","))),
        surroundings=TranslateOptions(wildcard=wildcard_address(), shared_ports=not exclusive_ports),
    )
    prepared = podstart.prepare(bootstrap, run_dir, node)
    podstart.become(prepared, EnvoyOptions(concurrency=concurrency, log_level=log_level))


@app.command()
def drain(
    *,
    run_dir: RunDirectory,
    time: Annotated[str, typer.Option(metavar="TIME", help="How long connections may take to end: 60s, 10m.")],
) -> None:
    """Stop being ready, and wait until no connection is open."""
    from tidegate.cli.drain import drain as drain_proxy

    raise typer.Exit(drain_proxy(run_dir, time))
