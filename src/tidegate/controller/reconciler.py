"""The one loop: changes and outcomes in; plan changes to the data plane and statuses out.

A single task owns the decision and the statuses. What arrives while it is busy is taken together the next
time, so that bursts coalesce and a lone change is not delayed.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence

from tidegate.controller.board import StatusBoard
from tidegate.core.compile import SOCKETS
from tidegate.core.decision import Decision, DecisionChange
from tidegate.dataplanes.base import DataPlane
from tidegate.model.diagnostics import Diagnostic, Severity
from tidegate.model.status import Status
from tidegate.names import ObjectKey, SocketKey
from tidegate.plan.infrastructure import Trouble
from tidegate.plan.outcome import Live, Report, SocketReport
from tidegate.plan.types import Socket
from tidegate.sources.base import Batch, Source
from tidegate.telemetry.logs import logger
from tidegate.telemetry.metrics import Metrics

_BACKLOG = 1024

HOLD_OFF_S = 0.003
"""How long outcomes wait for further ones, in seconds: a data plane confirms a large change bit by bit."""

Published = Callable[[Mapping[ObjectKey, Status | None]], None]
Decided = Callable[[DecisionChange], None]


class Reconciler:
    """Runs the decision between one source and one data plane.

    ``decided`` is called with what every round changed, once the data plane has it, ``published`` with every change of
    statuses, ``stirred`` after every round; all return at once.
    """

    def __init__(
        self,
        *,
        decision: Decision,
        source: Source,
        plane: DataPlane,
        metrics: Metrics,
        decided: Decided = lambda _: None,
        published: Published = lambda _: None,
        stirred: Callable[[], None] = lambda: None,
    ) -> None:
        self.decision = decision
        self.board = StatusBoard()
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.loaded = False
        self._source = source
        self._plane = plane
        self._metrics = metrics
        self._applied = False
        self._taken_at: dict[SocketKey, float] = {}
        self._decided = decided
        self._published = published
        self._stirred = stirred
        self._heard: dict[ObjectKey, Trouble | None] = {}
        self._inbox: asyncio.Queue[Batch | Sequence[Report]] = asyncio.Queue(_BACKLOG)
        self._log = logger("reconciler")

    async def run(self) -> None:
        """Run until cancelled. The data plane is started by the caller. Raises SourceError."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_source(), name="source")
            tasks.create_task(self._follow_outcomes(), name="outcomes")
            tasks.create_task(self._rounds(), name="rounds")

    def hear(self, gateway: ObjectKey, trouble: Trouble | None) -> None:
        """Take what keeps a Gateway's own objects from being made; None: nothing any more. Returns at once."""
        self._heard[gateway] = trouble
        with contextlib.suppress(asyncio.QueueFull):  # Then there is a round to come anyway.
            self._inbox.put_nowait(())

    async def _follow_source(self) -> None:
        async for batch in self._source.batches():
            await self._inbox.put(batch)

    async def _follow_outcomes(self) -> None:
        async for reports in self._plane.outcomes():
            await self._inbox.put(reports)

    async def _rounds(self) -> None:
        while True:
            for item in await self._arrivals():
                self._take(item)
            heard, self._heard = self._heard, {}
            for gateway, trouble in heard.items():
                self.decision.set_trouble(gateway, trouble)
            self._round()

    async def _arrivals(self) -> list[Batch | Sequence[Report]]:
        """All that is waiting; empty when a status became due first."""
        deadline = self.board.next_deadline
        items: list[Batch | Sequence[Report]] = []
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                items.append(await self._inbox.get())
        if items and not isinstance(items[0], Batch) and self._inbox.empty():
            await asyncio.sleep(HOLD_OFF_S)
        while not self._inbox.empty():
            items.append(self._inbox.get_nowait())
        return items

    def _take(self, item: Batch | Sequence[Report]) -> None:
        if isinstance(item, Batch):
            self.loaded = True
            self._metrics.config_changed()
            if item.diagnostics is not None:
                self._tell(item.diagnostics)
                self.diagnostics = item.diagnostics
            if item.apis is not None:
                self.decision.set_apis(item.apis)
            for change in item.changes:
                self.decision.set_object(change.key, change.resource)
        else:
            for report in item:
                self._timed(report)
                self.decision.set_report(report)

    def _round(self) -> None:
        """Decide, apply, publish. Before the first batch nothing is applied: the plan would be empty."""
        if not self.loaded:
            return
        change = self.decision.decide()
        self._report_faults(change)
        if change.plan or not self._applied:
            self._applied = True
            self._plane.apply(change.plan)
            self._time(change)
        self._decided(change)
        published = self.board.take(change.verdicts, monotonic=time.monotonic(), now=dt.datetime.now(dt.UTC))
        if published:
            self._published(published)
        self._stirred()

    def _time(self, change: DecisionChange) -> None:
        """Note when sockets got a new revision, to tell how long it took to go live."""
        now = time.monotonic()
        for key, value in change.plan.items():
            if isinstance(value, Socket):
                self._taken_at[value.key] = now
            elif isinstance(key, SocketKey):
                self._taken_at.pop(key, None)

    def _timed(self, report: Report) -> None:
        if not isinstance(report, SocketReport) or not isinstance(report.outcome, Live):
            return
        socket = self.decision.graph.get(SOCKETS, report.socket)
        if socket is not None and socket.revision == report.outcome.revision:
            taken_at = self._taken_at.pop(report.socket, None)
            if taken_at is not None:
                self._metrics.change_live(time.monotonic() - taken_at)

    def _report_faults(self, change: DecisionChange) -> None:
        for fault in change.faults:
            self._metrics.internal_error()
            self._log.error(
                "internal error, contained", unit=fault.unit, key=str(fault.key), error=repr(fault.error),
                exc_info=fault.error,
            )  # fmt: skip

    def _tell(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Log what is new about the input, and which of its errors are over."""
        before, now = ({str(one): one for one in ones} for ones in (self.diagnostics, diagnostics))
        for text, diagnostic in now.items():
            if text not in before:
                self._log.log(_LEVELS[diagnostic.severity], "input", problem=text)
        for text, diagnostic in before.items():
            if text not in now and diagnostic.severity is Severity.ERROR:
                self._log.info("input problem is over", problem=text)


_LEVELS = {Severity.ERROR: 40, Severity.WARNING: 30, Severity.NOTE: 20}
