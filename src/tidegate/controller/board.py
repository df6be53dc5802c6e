"""Which statuses are in force, and when a new verdict becomes one. Pure; times are passed in.

A verdict that waits for the data plane's outcome is held for a moment, so that one change is written as
one status; after that it is published as it is.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping

from tidegate.core.statuses import Verdict
from tidegate.model.status import Status
from tidegate.names import ObjectKey
from tidegate.reporting.merge import merged

OUTCOME_PATIENCE_S = 1.0
"""How long a status waits for the outcome of its change, in seconds."""


class StatusBoard:
    """Holds the published status of every object of ours, and the verdicts that wait."""

    def __init__(self) -> None:
        self.statuses: dict[ObjectKey, Status] = {}
        # In the order of their deadlines: every verdict waits equally long, and keeps its place when it changes.
        self._waiting: dict[ObjectKey, tuple[float, Verdict]] = {}

    @property
    def next_deadline(self) -> float | None:
        """The monotonic time at which the first waiting verdict is due, or None."""
        return next((deadline for deadline, _ in self._waiting.values()), None)

    def take(
        self, verdicts: Mapping[ObjectKey, Verdict | None], *, monotonic: float, now: dt.datetime
    ) -> dict[ObjectKey, Status | None]:
        """Take new verdicts; returns the statuses that are new now (None: withdrawn)."""
        published: dict[ObjectKey, Status | None] = {}
        for key, verdict in verdicts.items():
            if verdict is not None and verdict.waiting:
                deadline, _ = self._waiting.get(key, (monotonic + OUTCOME_PATIENCE_S, verdict))
                self._waiting[key] = (deadline, verdict)
                continue
            self._waiting.pop(key, None)
            if verdict is not None:
                self._publish(key, verdict, now, published)
            elif self.statuses.pop(key, None) is not None:
                published[key] = None
        for key in self._due(monotonic):
            self._publish(key, self._waiting.pop(key)[1], now, published)
        return published

    def _due(self, monotonic: float) -> list[ObjectKey]:
        waiting = itertools.takewhile(lambda item: item[1][0] <= monotonic, self._waiting.items())
        return [key for key, _ in waiting]

    def _publish(
        self, key: ObjectKey, verdict: Verdict, now: dt.datetime, published: dict[ObjectKey, Status | None]
    ) -> None:
        old = self.statuses.get(key)
        new = merged(old, verdict.status, now)
        if new != old:
            self.statuses[key] = published[key] = new
