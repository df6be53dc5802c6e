"""What to look at next, and when. Pure: times are passed in.

Each entry is there once, however often it is put down, and is never taken twice at a time: who puts it down while it
is being looked at will see it looked at again.
"""

from __future__ import annotations

import heapq
import itertools
from typing import Generic, TypeVar

K = TypeVar("K")


class Agenda(Generic[K]):
    """Entries with the times when they are due."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._queue: list[tuple[float, int, K]] = []
        self._numbers = itertools.count()
        self._busy: set[K] = set()

    def put(self, entry: K, at: float) -> None:
        """Look at an entry at a time, or earlier if that was the plan."""
        if at < self._due.get(entry, float("inf")):
            self._due[entry] = at
            if entry not in self._busy:
                heapq.heappush(self._queue, (at, next(self._numbers), entry))

    def take(self, now: float) -> K | None:
        """The entry that has been due longest; it is busy until it is ``done``."""
        if self.next_due is None or self.next_due > now:
            return None
        entry = heapq.heappop(self._queue)[2]
        del self._due[entry]
        self._busy.add(entry)
        return entry

    def done(self, entry: K) -> None:
        """An entry has been looked at."""
        self._busy.remove(entry)
        if entry in self._due:
            heapq.heappush(self._queue, (self._due[entry], next(self._numbers), entry))

    @property
    def next_due(self) -> float | None:
        """When the next entry is due that nobody is busy with."""
        while self._queue and self._is_stale(*self._queue[0]):
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def _is_stale(self, at: float, _: int, entry: K) -> bool:
        """Whether a place in the queue was given up for an earlier one."""
        return entry in self._busy or self._due.get(entry) != at
