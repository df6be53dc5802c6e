"""Which statuses are in force, and when a new verdict becomes one. Pure; times are passed in.

A verdict that waits for the data plane's outcome is held for a moment, so that one change is written as
one status; after that it is published as it is.
"""

from __future__ import annotations

import datetime as dt
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
        self._waiting: dict[ObjectKey, tuple[float, Verdict]] = {}

    @property
    def next_deadline(self) -> float | None:
        """The monotonic time at which the first waiting verdict is due, or None."""
        return min((deadline for deadline, _ in self._waiting.values()), default=None)

    def take(
        self, verdicts: Mapping[ObjectKey, Verdict | None], *, monotonic: float, now: dt.datetime
    ) -> dict[ObjectKey, Status | None]:
        """Take new verdicts; returns the statuses that are new now (None: withdrawn)."""
        published: dict[ObjectKey, Status | None] = {}
        for key, verdict in verdicts.items():
            held = self._waiting.pop(key, None)
            if verdict is None:
                if self.statuses.pop(key, None) is not None:
                    published[key] = None
            elif verdict.waiting:
                deadline = held[0] if held is not None else monotonic + OUTCOME_PATIENCE_S
                self._waiting[key] = (deadline, verdict)
            else:
                self._publish(key, verdict, now, published)
        for key in [key for key, (deadline, _) in self._waiting.items() if deadline <= monotonic]:
            self._publish(key, self._waiting.pop(key)[1], now, published)
        return published

    def _publish(
        self, key: ObjectKey, verdict: Verdict, now: dt.datetime, published: dict[ObjectKey, Status | None]
    ) -> None:
        old = self.statuses.get(key)
        new = merged(old, verdict.status, now)
        if new != old:
            self.statuses[key] = published[key] = new
