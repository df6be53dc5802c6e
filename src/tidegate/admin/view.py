"""What the admin API shows of a running instance: one typed picture, served as JSON.

``GET /api/v1/state`` answers a ``State``. The console, ``tidegate status`` and ``tidegate get`` render
the same value.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from tidegate.model.diagnostics import Diagnostic


class ViewStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of the API's types: camelCase on the wire."""


class Instance(ViewStruct, frozen=True, kw_only=True):
    """Which instance this is. ``data_plane`` is the plane's name, ``message`` its condition if not well."""

    name: str
    version: str
    pid: int
    started_at: dt.datetime
    data_plane: str
    ready: bool
    message: str = ""


class BackendTraffic(ViewStruct, frozen=True, kw_only=True):
    """Counters of one share, as in ``Traffic``."""

    opened: int
    refused: int
    active: int
    received: int
    sent: int


class BackendView(ViewStruct, frozen=True, kw_only=True):
    """One share of a route on a listener. ``refused`` says why its share is refused, else empty. ``traffic`` is there
    where the data plane counts shares apart.
    """

    name: str
    weight: int
    endpoints: int
    total: int
    refused: str = ""
    traffic: BackendTraffic | None = None


class ListenerView(ViewStruct, frozen=True, kw_only=True):
    """One listener of a Gateway of ours.

    ``state`` is ``Live``, ``Pending``, ``Failed`` or ``Rejected``, ``message`` says why it is not Live, or which
    clients it refuses although it is.
    ``addresses`` are those it listens on (``*``: all). ``route`` is ``namespace/name`` of the
    route that serves, ``attached_routes`` counts all. Counters as in ``Traffic``, summed over routes.
    """

    gateway: str
    listener: str
    protocol: str
    port: int
    addresses: tuple[str, ...]
    state: str
    message: str = ""
    route: str | None = None
    route_kind: str | None = None
    attached_routes: int = 0
    backends: tuple[BackendView, ...] = ()
    opened: int = 0
    refused: int = 0
    active: int = 0
    received: int = 0
    sent: int = 0


class Problem(ViewStruct, frozen=True, kw_only=True):
    """A diagnostic of the input: ``severity`` is error, warning or note."""

    severity: str
    file: str
    line: int
    object: str = ""
    path: str = ""
    message: str


class State(ViewStruct, frozen=True, kw_only=True):
    """Everything. ``objects`` are API objects with their status, as an API server would print them.

    ``cluster``: they are those of a Kubernetes cluster.
    """

    instance: Instance
    listeners: tuple[ListenerView, ...]
    objects: tuple[dict[str, Any], ...]
    problems: tuple[Problem, ...]
    cluster: bool = False


def problem_of(diagnostic: Diagnostic) -> Problem:
    """A diagnostic as the API shows it."""
    return Problem(
        severity=diagnostic.severity.value,
        file=diagnostic.location.file,
        line=diagnostic.location.line,
        object=str(diagnostic.object) if diagnostic.object is not None else "",
        path=diagnostic.path,
        message=diagnostic.message,
    )
