"""Watches for other processes on our ports: before a socket opens, and every couple of seconds after.

In: the sockets of the plan. Out: who else listens there, per socket, in words. Needed because no error tells:
SO_REUSEPORT, without which two generations of Envoy could not serve side by side, also lets a stranger under our own
user share a port, and what the kernel translates by itself has no socket that anybody could clash with. How to find
the holder is left to ``ports``, what follows to the owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from tidegate.dataplanes import ports
from tidegate.names import SocketKey
from tidegate.telemetry.logs import logger

PERIOD_SECONDS = 2.0
"""How often all sockets are looked at."""

HELD_PERIOD_SECONDS = 0.5
"""How often those are that somebody else held at the last look."""

_log = logger("ports")

OnChecked = Callable[[Collection[SocketKey], Mapping[SocketKey, str]], None]
"""Called with the sockets that were looked at and, for those that somebody else holds, who in words."""


class PortWatch:
    """Looks at new sockets at once, at all of them every ``period`` seconds, at held ones every ``held_period``.

    ``steady`` says whether all our processes are alive: the sockets of one that is just ending look like a
    stranger's, so what is seen then does not count and is looked at again.
    """

    def __init__(
        self,
        own_pids: Callable[[], Collection[int]],
        on_checked: OnChecked,
        *,
        steady: Callable[[], bool] = lambda: True,
        period: float = PERIOD_SECONDS,
        held_period: float = HELD_PERIOD_SECONDS,
    ) -> None:
        self._period = period
        self._held_period = held_period
        self._own_pids = own_pids
        self._steady = steady
        self._on_checked = on_checked
        self._known: set[SocketKey] = set()
        self._new: set[SocketKey] = set()
        self._held: set[SocketKey] = set()
        self._owned: ports.Owned = {}
        self._wake = asyncio.Event()
        self._trouble = ""

    def add(self, keys: Collection[SocketKey]) -> None:
        """Look at these at once, and from now on; calls back even when there are none."""
        self._known.update(keys)
        self._new.update(keys)
        self._wake.set()

    def remove(self, key: SocketKey) -> None:
        """Look at this one no longer."""
        for group in (self._known, self._new, self._held):
            group.discard(key)
        self._owned = {}  # Its sockets close; the next look finds the others anew.

    async def run(self) -> None:
        """Look, until cancelled."""
        loop = asyncio.get_running_loop()
        everything_due = loop.time() + self._period
        while True:
            if await self._woken(self._held_period):
                self._wake.clear()
                keys, self._new = frozenset(self._new), set()
            elif loop.time() >= everything_due:
                everything_due = loop.time() + self._period
                keys = frozenset(self._known)
            else:
                keys = frozenset(self._held)
                if not keys:
                    continue
            try:
                holders = await asyncio.to_thread(_holders, keys, frozenset(self._own_pids()), self._owned)
            except OSError as error:
                await self._miss(keys, error)
                continue
            self._trouble = ""
            if holders and not self._steady():
                self._held |= keys & self._known
                continue
            self._held = (self._held - keys | holders.keys()) & self._known
            self._on_checked(keys, holders)

    async def _miss(self, keys: frozenset[SocketKey], error: OSError) -> None:
        """There was nothing to look with, no descriptor for example: what is known stays, and these have their turn
        again.
        """
        if str(error) != self._trouble:
            _log.warning("ports not looked at", reason=str(error))
        self._trouble = str(error)
        await asyncio.sleep(self._held_period)
        self._new |= keys & self._known
        self._wake.set()

    async def _woken(self, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True


def _holders(keys: Collection[SocketKey], own_pids: Collection[int], owned: ports.Owned) -> dict[SocketKey, str]:
    if not keys:
        return {}
    found = ports.foreign_listeners([(key.address, key.port) for key in keys], own_pids, owned)
    if not found:
        return {}
    holders = ((key, found.get((key.address, key.port))) for key in keys)
    return {key: holder.description for key, holder in holders if holder is not None}
