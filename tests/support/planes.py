"""A data plane under test: started, its outcomes followed, and closed at the end of a block."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from support.plans import SCOPE, Change, socket_key
from support.waiting import eventually
from tidegate.dataplanes.base import DataPlane
from tidegate.names import SocketKey
from tidegate.plan.outcome import AddressReport, Failed, Live, Outcome, Pending, SocketReport
from tidegate.plan.types import Socket

OutcomeT = TypeVar("OutcomeT", bound=Pending | Live | Failed)


class Serving:
    """``plane`` with the newest ``outcomes`` and ``addresses`` it reported; ``history`` holds all of them."""

    def __init__(self, plane: DataPlane) -> None:
        self.plane = plane
        self.outcomes: dict[SocketKey, Outcome] = {}
        self.addresses: dict[str, AddressReport] = {}
        self.history: list[SocketReport] = []

    def apply(self, *changes: Change) -> None:
        """Apply several changes as one."""
        self.plane.apply({key: value for change in changes for key, value in change.items()})

    async def follow(self) -> None:
        """Take reports until the plane is closed."""
        async for batch in self.plane.outcomes():
            for report in batch:
                if isinstance(report, AddressReport):
                    self.addresses[report.scope] = report
                    continue
                self.history.append(report)
                if report.outcome is None:
                    self.outcomes.pop(report.socket, None)
                else:
                    self.outcomes[report.socket] = report.outcome

    async def until(
        self,
        port: int,
        kind: type[OutcomeT],
        *,
        address: str = "127.0.0.1",
        scope: str = SCOPE,
        revision: str | None = None,
        within: float = 5.0,
    ) -> OutcomeT:
        """Wait for an outcome of this kind, and return it."""
        key = socket_key(port, address, scope)

        async def probe() -> Outcome | None:
            return self.outcomes.get(key)

        def holds(outcome: Outcome | None) -> bool:
            return isinstance(outcome, kind) and revision in {None, outcome.revision}

        what = f"{kind.__name__} for {key}"
        found = await eventually(probe, holds, what=what, within=within, every=0.005)
        assert isinstance(found, kind)
        return found

    async def until_gone(self, port: int, *, address: str = "127.0.0.1", scope: str = SCOPE) -> None:
        """Wait until a socket has no outcome any more."""

        async def gone() -> bool:
            return socket_key(port, address, scope) not in self.outcomes

        await eventually(gone, what=f"no outcome of port {port}")

    async def until_applied(self, *changes: Change, within: float = 10.0) -> None:
        """Apply, and wait until every socket of the changes is Live or Failed at its new revision."""
        self.apply(*changes)
        sockets = [value for change in changes for value in change.values() if isinstance(value, Socket)]

        async def late() -> list[SocketKey]:
            return [one.key for one in sockets if not self._settled(one)]

        await eventually(late, lambda found: not found, what="all sockets settled", within=within, every=0.005)

    def _settled(self, wanted: Socket) -> bool:
        outcome = self.outcomes.get(wanted.key)
        return isinstance(outcome, Live | Failed) and outcome.revision == wanted.revision


@asynccontextmanager
async def serving(plane: DataPlane, *, drain: float | None = 0.0) -> AsyncIterator[Serving]:
    """The plane, started; closed with ``drain`` at the end."""
    await plane.start()
    present = Serving(plane)
    async with asyncio.TaskGroup() as group:
        group.create_task(present.follow())
        try:
            yield present
        finally:
            await plane.close(drain=drain)


@contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose path is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="tg", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
