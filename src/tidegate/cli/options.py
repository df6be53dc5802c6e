"""The flags that several commands share, each with its help, declared once."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.output import Format
from tidegate.errors import SettingsError
from tidegate.settings import DATA_PLANES, ClusterChoice, SourceAddress


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


def cluster_choice(
    *, cluster: bool, kubeconfig: Path | None, context: str | None, **others: object
) -> ClusterChoice | None:
    """The cluster that a command is to ask, if one of its flags says so; None: an instance.

    ``others`` are flags that mean an instance, by their names. Raises SettingsError when one of them is given too.
    """
    if not cluster and kubeconfig is None and context is None:
        return None
    for name, value in others.items():
        if value:
            raise SettingsError(f"--{name.replace('_', '-')} is for what runs on this machine, not for a cluster")
    return ClusterChoice(kubeconfig=kubeconfig, context=context)


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
DataPlane = Annotated[
    str,
    typer.Option(
        "--dataplane",
        metavar="envoy|nftables",
        autocompletion=lambda: list(DATA_PLANES),
        help="What carries the traffic: a proxy, or the kernel (Linux, needs CAP_NET_ADMIN).",
    ),
]
SourceAddressOption = Annotated[
    SourceAddress,
    typer.Option(
        "--source-address",
        help="nftables: backends see this host's address (masquerade), or the client's (preserve): then they must "
        "route answers through this host.",
    ),
]
AllowRouteLocalnet = Annotated[
    bool,
    typer.Option(
        "--allow-route-localnet",
        help="nftables: bring other hosts to backends at 127.0.0.1, and 127.0.0.1 to other hosts, by a sysctl that is "
        "put back at the end.",
    ),
]
AllowShadow = Annotated[
    bool,
    typer.Option(
        "--allow-shadow", help="nftables: serve a port although a local process or another instance has it already."
    ),
]
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
Cluster = Annotated[bool, typer.Option("--cluster", help="Ask the Kubernetes cluster of the kubeconfig.")]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", metavar="PATH", help="The same, by another kubeconfig than kubectl's.")
]
Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="The same, in another context than the current one.")
]
Output = Annotated[Format, typer.Option("-o", "--output", help="Format of the output.")]
