"""States of instances that do not run, for what shows them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tidegate.admin.view import BackendView, Instance, ListenerView, Problem, State

STARTED = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def instance(**fields: Any) -> Instance:
    """An instance that is ready."""
    given: dict[str, Any] = {
        "name": "default",
        "version": "1.2.3",
        "pid": 42,
        "started_at": STARTED,
        "data_plane": "envoy",
        "ready": True,
    }
    return Instance(**(given | fields))


def backend_view(name: str = "default/my-service:6000", **fields: Any) -> BackendView:
    """A backend with one endpoint, which is usable."""
    given: dict[str, Any] = {"weight": 1, "endpoints": 1, "total": 1}
    return BackendView(name=name, **(given | fields))


def listener_view(listener: str = "foo", **fields: Any) -> ListenerView:
    """A live listener with a route and a backend."""
    given: dict[str, Any] = {
        "gateway": "default/my-gateway",
        "protocol": "TCP",
        "port": 8080,
        "addresses": ("*",),
        "state": "Live",
        "route": "default/my-route",
        "route_kind": "TCPRoute",
        "attached_routes": 1,
        "backends": (backend_view(),),
    }
    return ListenerView(listener=listener, **(given | fields))


def state(*listeners: ListenerView, **fields: Any) -> State:
    """A state with these listeners."""
    given: dict[str, Any] = {"instance": instance(), "objects": (), "problems": ()}
    return State(listeners=listeners, **(given | fields))


def problem(**fields: Any) -> Problem:
    """An error in a file."""
    given: dict[str, Any] = {"severity": "error", "file": "gateway.yaml", "line": 3, "message": "it is wrong"}
    return Problem(**(given | fields))
