"""``tidegate controller``: the flags; the work is done by ``tidegate.app.controller``."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from tidegate.admin.address import TcpAddress
from tidegate.cli import options
from tidegate.cli.options import LogFormat, parse_log_format
from tidegate.cli.signals import Wishes, run_until_signalled
from tidegate.errors import SettingsError
from tidegate.installation.options import ADMIN_PORT, NAME, SYSTEM_NAMESPACE, XDS_PORT, Options
from tidegate.names import CONTROLLER_NAME
from tidegate.settings import ControllerSettings, LeaseSettings, check_host_port, parse_duration

HELP = """Serve the Gateways of a Kubernetes cluster.

Watches the API server, runs a data plane for each Gateway of its classes, and writes statuses. Runs in the cluster,
as 'tidegate manifests' installs it; several replicas agree on the one that writes. SIGTERM ends it; the data planes
go on serving.

Examples:

\b
  tidegate manifests | kubectl apply --server-side -f -
  tidegate controller --kubeconfig ~/.kube/config --control-plane 192.0.2.1:18000
"""

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_LEASE = LeaseSettings()

Kubeconfig = Annotated[
    Path | None, typer.Option(metavar="PATH", help="The cluster, instead of the one that this runs in.")
]
Context = Annotated[str | None, typer.Option(metavar="NAME", help="The context of the kubeconfig.")]
Namespace = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Where Lease and certificate authority live; by default the Pod's own."),
]
ProxyImage = Annotated[
    str, typer.Option("--proxy-image", metavar="IMAGE", help="The image that data planes run.", show_default=False)
]
XdsPort = Annotated[
    int, typer.Option(metavar="PORT", min=0, max=65535, help="Where proxies and other replicas connect to.")
]
XdsService = Annotated[
    str, typer.Option(metavar="NAME", help="The Service, in that namespace, by which proxies find a controller.")
]
ControlPlane = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="What proxies dial instead of that Service.", show_default=False),
]
Admin = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help=f"Where health and metrics are served; by default port {ADMIN_PORT} of all addresses.",
        show_default=False,
    ),
]
LeaseName = Annotated[str, typer.Option(metavar="NAME", help="The Lease of the replica that writes.")]
LeaseDuration = Annotated[
    str, typer.Option(metavar="TIME", help="How long a replica that is gone keeps the others from writing.")
]
LogLines = Annotated[
    LogFormat,
    typer.Option(metavar="console|json", parser=parse_log_format, help="The format of the log on standard error."),
]


def controller(
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    image: ProxyImage = "",
    xds_port: XdsPort = XDS_PORT,
    xds_service: XdsService = NAME,
    control_plane: ControlPlane = None,
    admin: Admin = None,
    lease_name: LeaseName = _LEASE.name,
    lease_duration: LeaseDuration = "15s",
    controller_name: options.ControllerName = CONTROLLER_NAME,
    log_format: LogLines = LogFormat.JSON,
) -> None:
    """Serve a cluster's Gateways until told to stop."""
    own = namespace or os.environ.get("POD_NAMESPACE") or _own_namespace()
    address = os.environ.get("POD_IP") or "127.0.0.1"
    everywhere = "::" if ":" in address else "0.0.0.0"  # noqa: S104 - for all proxies, probes and scrapers
    settings = ControllerSettings(
        kubeconfig=kubeconfig,
        context=context,
        namespace=own,
        replica=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        address=str(TcpAddress(address, xds_port)),
        image=image or Options().data_plane_image,
        control_plane=control_plane or f"{xds_service}.{own}.svc:{xds_port}",
        xds_address=str(TcpAddress(everywhere, xds_port)),
        admin=_admin_address(admin) if admin is not None else TcpAddress(everywhere, ADMIN_PORT),
        controller_name=controller_name,
        lease=_lease(lease_name, parse_duration(lease_duration, "--lease-duration")),
    )
    raise typer.Exit(run_controller(settings, log_format))


def run_controller(settings: ControllerSettings, log_format: LogFormat) -> int:
    """Run with logs on standard error; returns the exit status."""
    from tidegate.telemetry import logs

    logs.log_to_stream(json=log_format is LogFormat.JSON)
    return run_until_signalled(lambda wishes: _serve(settings, wishes))


async def _serve(settings: ControllerSettings, wishes: Wishes) -> None:
    # Read when gRPC is imported: by default it writes lines of its own, for every handshake that fails, say.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from tidegate.app import controller as app

    await app.run(settings, stop=wishes.stop)


def _lease(name: str, duration: float) -> LeaseSettings:
    """The other times follow from the duration, in the proportion that Kubernetes' own components use."""
    return LeaseSettings(name=name, duration=duration, renew_deadline=duration * 2 / 3, retry=duration * 2 / 15)


def _own_namespace() -> str:
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except FileNotFoundError:
        return SYSTEM_NAMESPACE
    except OSError as error:
        raise SettingsError(f"{_NAMESPACE_FILE}: {error.strerror}; name the namespace with --namespace") from error


def _admin_address(text: str) -> TcpAddress:
    """Unlike an instance's, which has objects to show, it may be open to the network."""
    host, _, port = check_host_port(text, "--admin").rpartition(":")
    return TcpAddress(host.removeprefix("[").removesuffix("]"), int(port))
