"""A data plane in memory, for dry runs and tests: it remembers what it was given and forwards nothing.

In: changes of the plan. Out: the plan as it is now, the changes in order, and outcomes: every socket is Live
at once, unless told otherwise by ``report``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from tidegate.dataplanes.entries import put
from tidegate.dataplanes.reports import ReportStream
from tidegate.names import SocketKey
from tidegate.plan.features import Features
from tidegate.plan.outcome import Live, Outcome, Report, SocketReport, Traffic
from tidegate.plan.types import PlanChange, PlanKey, PlanValue, Socket


class RecordingDataPlane:
    """Implements ``DataPlane``. ``plan`` and ``changes`` are for reading.

    ``automatic`` False: sockets get no outcome except by ``report``.
    """

    def __init__(self, *, protocols: frozenset[str] = frozenset({"TCP"}), automatic: bool = True) -> None:
        self.plan: dict[PlanKey, PlanValue] = {}
        self.changes: list[PlanChange] = []
        self.closed_with: float | None = None
        self._features = Features(name="recording", protocols=protocols)
        self._automatic = automatic
        self._reports = ReportStream()

    @property
    def features(self) -> Features:
        """What it was told that it can do."""
        return self._features

    async def start(self) -> None:
        """Nothing to start."""

    def apply(self, change: PlanChange) -> None:
        """Remember the change."""
        self.changes.append(change)
        for key, value in change.items():
            put(self.plan, key, value)
            if isinstance(key, SocketKey):
                self._settle(key, value)

    def report(self, report: Report) -> None:
        """Say what became of something, as a real plane would."""
        self._reports.put(report)

    def outcomes(self) -> AsyncIterator[Sequence[Report]]:
        """What became of what was applied, until ``close``."""
        return self._reports.batches()

    async def traffic(self) -> Sequence[Traffic]:
        """No connections were ever made."""
        return ()

    async def close(self, *, drain: float | None) -> None:
        """End the outcomes."""
        self.closed_with = drain
        self._reports.close()

    def _settle(self, key: SocketKey, value: PlanValue | None) -> None:
        if not self._automatic and value is not None:
            return
        outcome: Outcome | None = Live(revision=value.revision) if isinstance(value, Socket) else None
        self._reports.put(SocketReport(socket=key, outcome=outcome))
