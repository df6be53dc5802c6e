"""The stream of outcomes: the newest one of each socket, kept until somebody reads it.

In: reports. Out: batches of them. A report equal to the one before it is dropped, so whoever is unsure may
report again; a slow reader sees only the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from tidegate.dataplanes.entries import put
from tidegate.names import SocketKey
from tidegate.plan.outcome import Report, SocketReport


class ReportStream:
    """A mailbox with one place per socket and per scope."""

    def __init__(self) -> None:
        self._last: dict[SocketKey | str, Report] = {}
        self._waiting: dict[SocketKey | str, Report] = {}
        self._news = asyncio.Event()
        self._closed = False

    def put(self, report: Report) -> None:
        """Report, unless nothing is new."""
        key: SocketKey | str = report.socket if isinstance(report, SocketReport) else report.scope
        gone = isinstance(report, SocketReport) and report.outcome is None
        if put(self._last, key, None if gone else report):
            self._waiting[key] = report
            self._news.set()

    def close(self) -> None:
        """No more reports; readers get what is waiting and end."""
        self._closed = True
        self._news.set()

    async def batches(self) -> AsyncIterator[Sequence[Report]]:
        """What is new, as soon as anything is. For one reader."""
        while True:
            await self._news.wait()
            self._news.clear()
            batch, self._waiting = list(self._waiting.values()), {}
            if batch:
                yield batch
            if self._closed:
                return
