"""When to try a listener again that the data plane could not open: none tries by itself.

In: which sockets fail now, and the time. Out: those whose turn it is. Holds no clock.
"""

from __future__ import annotations

from collections.abc import Collection

from tidegate.names import SocketKey

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 5.0


class BindRetries:
    """Waits longer after each failure of a socket, from ``FIRST_SECONDS`` up to ``LONGEST_SECONDS``."""

    def __init__(self) -> None:
        self._waits: dict[SocketKey, tuple[float, float]] = {}

    def due(self, failing: Collection[SocketKey], now: float) -> list[SocketKey]:
        """The sockets to try again at ``now`` (seconds, monotonic). Those not failing any more are forgotten."""
        waits = self._waits
        self._waits = {key: waits.get(key, (now + FIRST_SECONDS, FIRST_SECONDS)) for key in failing}
        ready = [key for key, (when, _) in self._waits.items() if when <= now]
        for key in ready:
            wait = min(self._waits[key][1] * 2, LONGEST_SECONDS)
            self._waits[key] = (now + wait, wait)
        return ready
