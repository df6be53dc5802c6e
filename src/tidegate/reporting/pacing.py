"""How soon something may be done again. Pure: times are passed in, in seconds of a monotonic clock."""

from __future__ import annotations

import math


class Allowance:
    """Permits ``burst`` actions that are ``gap`` seconds apart, and a further one every ``refill`` seconds.

    An action that was not used comes back, so who has been quiet for long has all of them again. (The generic cell
    rate algorithm: one number says until when everything is used up.)
    """

    __slots__ = ("_burst", "_gap", "_last", "_refill", "_used_until")

    def __init__(self, *, burst: int, refill: float, gap: float) -> None:
        self._burst = burst
        self._refill = refill
        self._gap = gap
        self._used_until = self._last = -math.inf

    @property
    def ready_at(self) -> float:
        """From when on the next action is permitted."""
        return max(self._used_until - (self._burst - 1) * self._refill, self._last + self._gap)

    def rested(self, now: float) -> bool:
        """Whether all of it is there again, as if it had never been used."""
        return self._used_until <= now

    def use(self, now: float) -> None:
        """One action is done."""
        self._used_until = max(self._used_until, now) + self._refill
        self._last = now


def backoff(failures: int, *, first: float, longest: float, jitter: float) -> float:
    """How long to wait after so many failures in a row: twice as long each time, and nobody like anybody else.

    ``jitter`` is a random number from 0 to 1; it takes off up to half.
    """
    wait = min(longest, math.ldexp(first, min(failures - 1, 32)))
    return wait * (1 - jitter / 2)


class Outage:
    """A server that does not answer, or asks for patience: nobody bothers it for a while, then one asks first."""

    FIRST_S = 0.5
    LONGEST_S = 30.0

    def __init__(self) -> None:
        self.until = -math.inf
        self._failures = 0

    @property
    def on(self) -> bool:
        """Whether the last thing known is that it does not answer."""
        return self._failures > 0

    def failed(self, now: float, *, jitter: float, at_least: float = 0.0) -> None:
        """There was no answer. Requests that fail together count once."""
        if now >= self.until:
            self._failures += 1
            wait = backoff(self._failures, first=self.FIRST_S, longest=self.LONGEST_S, jitter=jitter)
            self.until = now + max(wait, at_least)

    def over(self) -> None:
        """There was an answer."""
        self._failures = 0
        self.until = -math.inf
