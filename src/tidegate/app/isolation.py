"""What a replica does when it hears nothing of the API server any more: its proxies should have a better one.

In: when the server was last heard. Out: whether the replica is isolated, and the moments at which its proxies are sent
away. In this order::

    last answer ───── 2 leases ─────▶ isolated: not ready ───── 1 lease ─────▶ all connections of proxies are ended

* Kubelets look every 5 s and take a replica that is not ready out of the Service within 10 s: proxies that are sent
  away later come back to another one.
* If the API server is away for everybody, nobody is taken out of the Service. Proxies come back to one replica or
  another, which gives them what it knows, as it gives new ones. That one may hear the server again earlier than we do,
  so whoever came to us in the meantime is sent away again, more and more rarely.
* In no case does it cost traffic: a proxy serves what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tidegate.telemetry.logs import logger

ISOLATED_LEASES: Final = 2.0
"""A replica is isolated that has heard nothing for so many times the duration of a lease (30 s by default).

Every replica looks at the Lease several times in that time, and another one leads by then.
"""

NOTICE_LEASES: Final = 1.0
"""So many times the duration of a lease later (15 s by default) its proxies are sent away."""

AGAIN_LEASES: Final = 4.0
"""So many times the duration of a lease later (60 s) they are sent away again, and after twice that, and so on."""

LONGEST_AGAIN_LEASES: Final = 32.0
"""The pause between two times does not become longer than so many leases (8 min)."""

_LOOK_S: Final = 0.5

_log = logger("controller")


class Contact:
    """How long the server has been silent. Pure: times, in seconds, are passed in.

    ``lease`` is the duration of a lease. Time in which nobody looked does not count: then it was we who stood still.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._heard_at = 0.0
        self._looked_at: float | None = None
        self._silent, self._due_after, self._pause = self._fresh()

    @property
    def isolated(self) -> bool:
        """Whether the server has been silent for too long."""
        return self._silent >= ISOLATED_LEASES * self._lease

    def look(self, now: float, heard_at: float) -> bool:
        """Whether it is now that proxies are to be sent away; the server was last heard at ``heard_at``."""
        if heard_at != self._heard_at:
            self._heard_at = heard_at
            self._silent, self._due_after, self._pause = self._fresh()
        elif self._looked_at is not None:
            self._silent += min(now - self._looked_at, 2 * _LOOK_S)
        self._looked_at = now
        due = self._silent >= self._due_after
        if due:
            self._due_after = self._silent + self._pause
            self._pause = min(2 * self._pause, LONGEST_AGAIN_LEASES * self._lease)
        return due

    def _fresh(self) -> tuple[float, float, float]:
        """How long it is silent, when proxies are sent away, and how much later again."""
        return 0.0, (ISOLATED_LEASES + NOTICE_LEASES) * self._lease, AGAIN_LEASES * self._lease


class Isolation:
    """Watches the contact to the server. ``heard_at`` tells, by the loop's clock, when it was last heard.

    ``send_away`` is called again and again, with nobody there to be sent away as well.
    """

    def __init__(
        self, *, lease: float, heard_at: Callable[[], float], send_away: Callable[[], Awaitable[None]]
    ) -> None:
        self._contact = Contact(lease)
        self._heard_at = heard_at
        self._send_away = send_away

    @property
    def isolated(self) -> bool:
        """Whether this replica knows nothing new for too long to be given proxies."""
        return self._contact.isolated

    async def run(self) -> None:
        """Watch until cancelled."""
        clock, before = asyncio.get_running_loop().time, False
        while True:
            due = self._contact.look(clock(), self._heard_at())
            if self.isolated != before:
                before = self.isolated
                if before:
                    _log.warning("not ready: nothing was heard of the API server for too long; what is known is served")
                else:
                    _log.info("ready again: the API server is heard")
            if due:
                await self._send_away()
            await asyncio.sleep(_LOOK_S)
