"""Whose turn it is: keys that are due at a time, by rank among those that are due, each by one worker at a time.

Pure: times are passed in.
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

from tidegate.names import ObjectKey

Key = TypeVar("Key", ObjectKey, tuple[str, ...])


class Turns(Generic[Key]):
    """A queue in which every key stands once. A key that is being worked on and put again has its turn later."""

    def __init__(self) -> None:
        self._due: dict[Key, tuple[float, int]] = {}
        self._busy: set[Key] = set()
        # Both heaps may hold what is no longer so; ``_due`` knows.
        self._waiting: list[tuple[float, int, Key]] = []
        self._ready: list[tuple[int, float, Key]] = []

    def __contains__(self, key: Key) -> bool:
        """Whether a key has a turn to come."""
        return key in self._due

    @property
    def busy(self) -> int:
        """How many keys are being worked on."""
        return len(self._busy)

    def put(self, key: Key, rank: int, due: float) -> None:
        """Give a key its turn at ``due``, and not at the time that was said before."""
        if self._due.get(key) == (due, rank):
            return
        self._due[key] = (due, rank)
        if key not in self._busy:
            heapq.heappush(self._waiting, (due, rank, key))

    def drop(self, key: Key) -> None:
        """Let a key have no turn."""
        self._due.pop(key, None)

    def take(self, now: float) -> Key | None:
        """The key of the lowest rank whose time has come; it is being worked on until ``done``."""
        while self._waiting and self._waiting[0][0] <= now:
            due, rank, key = heapq.heappop(self._waiting)
            heapq.heappush(self._ready, (rank, due, key))
        while self._ready:
            rank, due, key = heapq.heappop(self._ready)
            if self._stands(key, due, rank):
                del self._due[key]
                self._busy.add(key)
                return key
        return None

    def done(self, key: Key) -> None:
        """A key is no longer worked on."""
        self._busy.discard(key)
        if key in self._due:
            due, rank = self._due[key]
            heapq.heappush(self._waiting, (due, rank, key))

    @property
    def next_due(self) -> float | None:
        """When the next turn comes, if no more keys are put; None: never."""
        if self._ready:
            return min(due for _, due, _ in self._ready)
        while self._waiting and not self._stands(self._waiting[0][2], *self._waiting[0][:2]):
            heapq.heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def _stands(self, key: Key, due: float, rank: int) -> bool:
        return key not in self._busy and self._due.get(key) == (due, rank)
