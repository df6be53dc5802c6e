"""Lets the clients of a proxy go before its Pod ends, without losing one.

In: the admin socket of the Envoy in the same Pod, and how long it may take. Out: the end of the wait. Three steps:

1. It calls itself not ready, and goes on as before: whoever balances connections takes some time to notice.
2. It still takes connections, until none is open.
3. It accepts no more, and those that came meanwhile may end.

The time counts from the first step to the end of the last. Envoy itself is ended by whoever called.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tidegate.dataplanes.envoy.admin_client import AdminClient
from tidegate.dataplanes.envoy.occupancy import active_connections

NOTICE_SECONDS = 5.0
"""How long balancers have to notice; less when there is less time."""

_POLL_SECONDS = 0.2
_ADMIN_SECONDS = 5.0


async def drain(socket: Path, seconds: float, *, notice: float = NOTICE_SECONDS) -> bool:
    """Whether all connections have ended within ``seconds``. Raises DataPlaneError when Envoy does not answer."""
    async with AdminClient(socket, timeout=_ADMIN_SECONDS) as admin:
        await admin.post("/healthcheck/fail")
        try:
            async with asyncio.timeout(seconds):
                await asyncio.sleep(notice)
                await _unused(admin)
                await admin.post("/drain_listeners")
                await _unused(admin)
        except TimeoutError:
            return False
    return True


async def _unused(admin: AdminClient) -> None:
    while await active_connections(admin):  # noqa: ASYNC110  Envoy tells nobody.
        await asyncio.sleep(_POLL_SECONDS)
