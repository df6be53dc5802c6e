"""How many clients an Envoy has: the question that decides when it may end.

In: its admin interface. Out: a number. What to do about it is left to ``supervisor`` and ``poddrain``.
"""

from __future__ import annotations

import re
from typing import Protocol

from tidegate.dataplanes.envoy import naming

_NOT_CLIENTS = frozenset({"admin", naming.REFUSING_LISTENER, naming.STATUS_LISTENER})
# Not server.total_connections: Envoy brings that up to date every few seconds only.
QUERY = r"/stats?usedonly&filter=^listener\.[^.]*\.downstream_cx_active$"
"""What to ask, with ``GET``."""


class Admin(Protocol):
    """As much of ``AdminClient`` as is needed here."""

    async def get(self, path: str) -> bytes:
        """The body of ``GET path``."""
        ...


async def active_connections(admin: Admin) -> int:
    """How many client connections are open. Raises DataPlaneError."""
    return counted(await admin.get(QUERY))


def counted(body: bytes) -> int:
    """The same, of the answer to ``GET`` ``QUERY``."""
    found = re.findall(r"^listener\.(.*)\.downstream_cx_active: (\d+)$", body.decode(), re.MULTILINE)
    return sum(int(count) for name, count in found if name not in _NOT_CLIENTS)
