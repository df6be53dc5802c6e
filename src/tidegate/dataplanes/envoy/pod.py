"""What the container of a proxy runs in a cluster: the arguments of ``tidegate proxy``, and the files they read.

In: the plan of a Gateway's data plane, and where the control plane is. Out: a ``ProxyContainer``, for the fleet, which
makes the Pod around it. Certificates come from the fleet alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tidegate.dataplanes.envoy.features import STATUS_PORT
from tidegate.dataplanes.envoy.podbootstrap import BOOTSTRAP_FILE, PodOptions, files
from tidegate.plan.infrastructure import Infrastructure, ProxyContainer

DEFAULT_CONCURRENCY = 2
"""Workers of a proxy whose processor time has no limit: not one per processor of a node of any size."""


class Directories(msgspec.Struct, frozen=True, kw_only=True):
    """Where things lie in the container."""

    configuration: str = "/etc/tidegate/proxy"
    certificates: str = "/etc/tidegate/certificates"
    run: str = "/run/tidegate"


def container(
    infrastructure: Infrastructure,
    *,
    control_plane: str,
    server_name: str,
    directories: Directories = Directories(),  # noqa: B008  It is frozen.
    status_port: int = STATUS_PORT,
) -> ProxyContainer:
    """The container of a Gateway's proxies.

    ``control_plane`` is ``host:port`` of the controller's Service, ``server_name`` a DNS name in its certificate.
    """
    parameters = infrastructure.parameters
    options = PodOptions(
        scope=infrastructure.scope,
        control_plane=control_plane,
        server_name=server_name,
        configuration=directories.configuration,
        certificates=directories.certificates,
        status_port=status_port,
    )
    start = ("proxy", "run", "--bootstrap", f"{directories.configuration}/{BOOTSTRAP_FILE}")
    where = ("--run-dir", directories.run)
    who = ("--name", "$(POD_NAME)", "--address", "$(POD_IPS)")
    workers = ("--concurrency", str(_concurrency(parameters.resources)))
    # A node's ports belong to everybody on it; a Pod's to nobody else.
    ports = ("--exclusive-ports",) if parameters.host_network else ()
    return ProxyContainer(
        arguments=(*start, *where, *who, *workers, *ports),
        drain_arguments=("proxy", "drain", *where, "--time", f"{parameters.drain_time}s"),
        files=files(options),
        configuration_directory=directories.configuration,
        certificates_directory=directories.certificates,
        run_directory=directories.run,
        status_port=status_port,
    )


def _concurrency(resources: Mapping[str, Any]) -> int:
    """A worker for each processor, or part of one, that the container may use."""
    limits = resources.get("limits")
    quantity = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", str(limits.get("cpu", ""))) if isinstance(limits, Mapping) else None
    if quantity is None:
        return DEFAULT_CONCURRENCY
    return max(1, math.ceil(float(quantity[1]) / (1000 if quantity[2] else 1)))
