"""A data plane under test: started, its outcomes followed, and closed at the end of a block."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from support.plans import Change, socket_key
from support.waiting import eventually
from tidegate.dataplanes.base import DataPlane
from tidegate.names import SocketKey
from tidegate.plan.outcome import AddressReport, Outcome, SocketReport

O = TypeVar("O", bound=Outcome)


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
        self, port: int, kind: type[O], *, address: str = "127.0.0.1", revision: str | None = None, within: float = 5.0
    ) -> O:
        """Wait for an outcome of this kind, and return it."""
        key = socket_key(port, address)

        async def probe() -> Outcome | None:
            return self.outcomes.get(key)

        def holds(outcome: Outcome | None) -> bool:
            return isinstance(outcome, kind) and revision in {None, outcome.revision}

        what = f"{kind.__name__} for {key}"
        found = await eventually(probe, holds, what=what, within=within, every=0.005)
        assert isinstance(found, kind)
        return found

    async def until_applied(self, *changes: Change, within: float = 10.0) -> None:
        """Apply, and wait until every socket of the changes has left Pending at its revision."""
        self.apply(*changes)
        wanted = {
            key: value.revision
            for change in changes
            for key, value in change.items()
            if isinstance(key, SocketKey) and value is not None and hasattr(value, "revision")
        }

        async def probe() -> dict[SocketKey, str]:
            return {key: getattr(self.outcomes.get(key), "revision", "") for key in wanted if not self._final(key)}

        await eventually(
            probe,
            lambda late: not late and all(self.outcomes[key].revision == wanted[key] for key in wanted),
            what="all sockets settled",
            within=within,
            every=0.005,
        )

    def _final(self, key: SocketKey) -> bool:
        return key in self.outcomes and type(self.outcomes[key]).__name__ != "Pending"


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
