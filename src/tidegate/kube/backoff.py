"""How long to wait before trying again. Pure but for the dice; holds no clock.

Delays double with every try, and start small again after a quiet time: so one that fails after working for long is
repeated at once, and one that fails time and again is not repeated all the time.
"""

from __future__ import annotations

import random
from typing import Final

FIRST_S: Final = 0.2
LONGEST_S: Final = 10.0

_QUIET_S: Final = 2 * LONGEST_S


class Backoff:
    """Delays between tries of one thing, with half of each left to chance, so that many things spread out."""

    def __init__(self) -> None:
        self._delay = FIRST_S
        self._until: float | None = None

    def next(self, now: float, *, at_least: float | None = None) -> float:
        """How many seconds to wait from ``now``; ``at_least`` is what the other side asked for."""
        if self._until is not None and now - self._until > _QUIET_S:
            self._delay = FIRST_S
        delay = self._delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
        self._delay = min(2 * self._delay, LONGEST_S)
        delay = max(delay, at_least or 0.0)
        self._until = now + delay
        return delay
