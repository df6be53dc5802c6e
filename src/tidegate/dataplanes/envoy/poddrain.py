"""Lets the clients of a proxy go before its Pod ends, without losing one.

In: the admin socket of the Envoy in the same Pod, and how long it may take. Out: the end of the wait. Three steps:

1. It calls itself not ready, and goes on as before: whoever balances connections takes some time to notice.
2. It still takes connections, until none is open.
3. It accepts no more, and those that came meanwhile may end.

The time counts from the first step to the end of the last. Envoy itself is ended by whoever called.

It shares the container's memory with an Envoy that is at work, whose limit may be tight: so it speaks to the socket by
the standard library alone and loads as little as it can.
"""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path

from tidegate.dataplanes.envoy.occupancy import QUERY, counted
from tidegate.errors import DataPlaneError

NOTICE_SECONDS = 5.0
"""How long balancers have to notice; less when there is less time."""

_POLL_SECONDS = 0.2
_ADMIN_SECONDS = 5.0
_OK = 200


def drain(admin: Path, seconds: float, *, notice: float = NOTICE_SECONDS) -> bool:
    """Whether all connections have ended within ``seconds``; waits for that.

    Raises DataPlaneError when Envoy does not answer at the socket ``admin``.
    """
    over_at = time.monotonic() + seconds
    _ask(admin, "POST", "/healthcheck/fail")
    time.sleep(min(notice, seconds))
    if not _unused(admin, over_at):
        return False
    _ask(admin, "POST", "/drain_listeners")
    return _unused(admin, over_at)


def _unused(admin: Path, over_at: float) -> bool:
    """Waits until no connection is open; whether that came about in time."""
    while time.monotonic() < over_at:
        if not counted(_ask(admin, "GET", QUERY)):
            return True
        time.sleep(min(_POLL_SECONDS, max(0.0, over_at - time.monotonic())))
    return False


class _Connection(http.client.HTTPConnection):
    """To a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("envoy", timeout=_ADMIN_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _ask(admin: Path, method: str, path: str) -> bytes:
    connection = _Connection(admin)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise DataPlaneError(f"Envoy does not answer {method} {path.partition('?')[0]}: {reason}") from error
    finally:
        connection.close()
    if response.status != _OK:
        text = body[:200].decode(errors="replace").strip()
        raise DataPlaneError(f"Envoy answered {method} {path} with status {response.status}: {text}")
    return body
