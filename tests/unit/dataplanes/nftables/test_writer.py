"""What is due is written once it may be, refused sockets are offered again, and a lost table is filled again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.netns import Host, needs_hosts
from support.plans import Change, forward, pool, remove, socket_key
from support.tables import FACTS, TABLE, alone
from support.waiting import eventually
from tidegate.dataplanes.nftables import marks as marking
from tidegate.dataplanes.nftables import writer as writing
from tidegate.dataplanes.nftables.catalog import Catalog
from tidegate.dataplanes.nftables.keeper import Keeper
from tidegate.dataplanes.nftables.marks import Marks
from tidegate.dataplanes.nftables.meter import Meter
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.settlement import Settlement
from tidegate.dataplanes.nftables.writer import Writer
from tidegate.names import SocketKey
from tidegate.plan.outcome import Failed, Live, Outcome, Pending
from tidegate.plan.types import Socket

pytestmark = needs_hosts()

AWAY = ("10.9.9.9", 80)


class Written:
    """A writer with all that it works on, whose tasks run while the block lasts."""

    def __init__(self, directory: Path, keeper: Keeper) -> None:
        self.keeper = keeper
        self.marks = Marks(keeper.origin.slot)
        self.catalog = Catalog(self.marks, FACTS, hairpins=False)
        self.meter = Meter(directory / "traffic.json", TABLE, keeper, self.marks, advice="")
        self.settlement = Settlement()
        self.published: list[SocketKey] = []
        self.writer = Writer(
            catalog=self.catalog,
            keeper=keeper,
            marks=self.marks,
            meter=self.meter,
            settlement=self.settlement,
            publish=self._publish,
        )

    def _publish(self, keys: Iterable[SocketKey]) -> None:
        self.published.extend(keys)

    def apply(self, *changes: Change) -> None:
        """Everything that a change touches is due."""
        self.writer.due(self.catalog.apply({key: one for change in changes for key, one in change.items()}))

    def outcome(self, port: int) -> Outcome:
        key = socket_key(port, "*")
        found = self.catalog.sockets().get(key)
        return self.settlement.outcome(key, found.revision if isinstance(found, Socket) else "")

    async def until(self, port: int, kind: type) -> None:
        async def probe() -> Outcome:
            return self.outcome(port)

        await eventually(probe, lambda found: isinstance(found, kind), what=f"{port} is {kind.__name__}", within=10)

    def served(self, port: int) -> bool:
        return self.writer.is_served(socket_key(port, "*"))


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Where the test is. Writers look at it, and try again, more often than usual."""
    for name in ("_RETRY_SECONDS", "_TABLE_SECONDS", "_AFTER_ERROR_SECONDS", "_SWEEP_SECONDS"):
        monkeypatch.setattr(writing, name, 0.02)
    with alone() as present:
        yield present


@pytest.fixture
async def keeper(host: Host) -> AsyncIterator[Keeper]:
    """With a table without listeners."""
    present = Keeper(TABLE, NftablesOptions())
    await present.begin()
    yield present
    present.close()


@asynccontextmanager
async def running(directory: Path, keeper: Keeper) -> AsyncIterator[Written]:
    present = Written(directory, keeper)
    try:
        async with asyncio.TaskGroup() as group:
            work = (present.writer.run(), present.writer.retry(), present.writer.watch_table())
            tasks = [group.create_task(one) for one in work]
            try:
                yield present
            finally:
                for task in tasks:
                    task.cancel()
    finally:
        present.meter.close()


def listening(port: int, *shares: str | tuple[str | None, int]) -> Change:
    return forward(port, *(shares or ("app",)), address="*")


async def test_due_is_written(tmp_path: Path, keeper: Keeper) -> None:
    """A socket becomes live and is served, its removal is written, too; whoever publishes is told."""
    async with running(tmp_path, keeper) as present:
        present.apply(pool("app", AWAY), listening(80))
        await present.until(80, Live)
        assert present.served(80)
        assert socket_key(80, "*") in present.published
        present.apply(remove(80, "*"))
        present.writer.forget(socket_key(80, "*"))
        await eventually(until(lambda: not present.served(80)), what="it is gone")


async def test_waiting_is_not_written(tmp_path: Path, keeper: Keeper) -> None:
    """A socket waits until it is released, whatever is due meanwhile; the first release completes the plan."""
    async with running(tmp_path, keeper) as present:
        key = socket_key(80, "*")
        present.writer.wait([key])
        present.apply(pool("app", AWAY), listening(80), listening(81))
        await present.until(81, Live)
        assert not present.served(80)
        assert present.writer.waiting_of([key, socket_key(81, "*")]) == [key]
        assert not present.writer.complete
        present.writer.released([key])
        assert present.writer.complete
        await present.until(80, Live)


async def test_more_than_one_round(tmp_path: Path, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many sockets are written in several rounds."""
    monkeypatch.setattr(writing, "_ROUND", 7)
    async with running(tmp_path, keeper) as present:
        present.apply(pool("app", AWAY), *(listening(port) for port in range(100, 150)))
        for port in (100, 149):
            await present.until(port, Live)


async def test_admission(tmp_path: Path, keeper: Keeper) -> None:
    """A port that somebody holds gets no entry, one that is served keeps it; an address that is gone loses it."""
    async with running(tmp_path, keeper) as present:
        held, served = socket_key(80, "*"), socket_key(81, "*")
        present.settlement.hold([held], {held: "somebody"})
        present.apply(pool("app", AWAY), listening(80), listening(81))
        await present.until(81, Live)
        assert (present.served(80), present.served(81)) == (False, True)
        present.settlement.hold([served], {served: "somebody"})
        present.apply(pool("app", AWAY, ("10.9.9.8", 80)), listening(82))
        await present.until(82, Live)
        assert present.served(81)
        present.settlement.place([served])
        present.writer.due([served])
        await eventually(until(lambda: not present.served(81)), what="its address is gone")


async def test_refused_sockets_are_offered_again(tmp_path: Path, keeper: Keeper) -> None:
    """When no mark is left only those that need one are refused; they are written as soon as there is."""
    async with running(tmp_path, keeper) as present:
        present.apply(pool("app", AWAY), listening(80))
        await present.until(80, Live)
        every = range(present.marks.prefix, present.marks.prefix + marking.NUMBERS)
        present.marks.adopt({}, every)
        present.apply(listening(81), pool("app", ("10.9.9.8", 80)), listening(80, ("app", 5)))
        await present.until(81, Failed)
        await present.until(80, Live)
        present.marks.forget_the_rest()
        present.marks.free(present.marks.prefix + 99)
        await present.until(81, Live)


async def test_leftovers_are_swept_once_all_is_written(tmp_path: Path, keeper: Keeper) -> None:
    """What an earlier controller left stays until the whole plan is in the kernel."""
    async with running(tmp_path, keeper) as first:
        first.apply(pool("app", AWAY), listening(80), listening(81))
        await first.until(81, Live)
    successor = Keeper(TABLE, NftablesOptions())
    found = await successor.begin()
    async with running(tmp_path, successor) as present:
        present.marks.adopt(found.known, found.numbers)
        present.writer.wait([socket_key(80, "*")])
        present.apply(pool("app", AWAY), listening(80), listening(82))
        await present.until(82, Live)
        assert present.served(81)
        present.writer.released([socket_key(80, "*")])
        await eventually(until(lambda: not present.served(81)), what="the leftover is gone")
        assert present.served(80)
        await eventually(until(lambda: len(present.marks.retired) == 1), what="its lane is retired")
    successor.close()


@pytest.mark.parametrize("shares", [("app",), ("app", "other")])
async def test_leftovers_are_swept_although_one_is_refused(
    tmp_path: Path, keeper: Keeper, host: Host, shares: tuple[str, ...]
) -> None:
    """What a refused socket has from an earlier plan serves on, with its marks; all other leftovers go, and that with
    the socket.
    """
    plan = (pool("app", AWAY), pool("other", ("10.9.9.8", 80)))
    async with running(tmp_path, keeper) as first:
        first.apply(*plan, listening(80, *shares), listening(81), listening(82))
        await first.until(82, Live)
    successor = Keeper(TABLE, NftablesOptions())
    found = await successor.begin()
    before = {line for line in host.ruleset().splitlines() if "tcp . 80 :" in line}
    async with running(tmp_path, successor) as present:
        present.marks.adopt(found.known, range(present.marks.prefix, present.marks.prefix + marking.NUMBERS))
        present.apply(*plan, listening(80, *shares, ("new", 5)), listening(82))
        present.writer.released([])
        await present.until(80, Failed)
        await eventually(until(lambda: not present.served(81)), what="the leftover is gone")
        assert before <= set(host.ruleset().splitlines())
        rows = len([one for one in found.elements if one.place.map == "endpoints4-1"])
        assert len([one for one in successor._kernel.read().elements if one.place.map == "endpoints4-1"]) == rows - 1
        kept = {mark for mark in found.numbers if mark in present.marks.retired}
        assert len(kept) == 1
        assert present.served(80)
        present.apply(remove(80, "*"))
        present.settlement.forget(socket_key(80, "*"))
        present.writer.forget(socket_key(80, "*"))
        await eventually(until(lambda: not present.served(80)), what="it is gone, too")
        await eventually(until(lambda: len(present.marks.retired) == marking.NUMBERS - 1), what="all is retired")
    successor.close()


async def test_what_the_kernel_keeps_is_removed_later(tmp_path: Path, keeper: Keeper, host: Host) -> None:
    """While somebody's rule leads to a chain of ours it stays, changes go on, and it goes as soon as it can."""
    async with running(tmp_path, keeper) as present:
        present.apply(pool("app", AWAY), listening(80, "app", "other"))
        present.writer.released([])
        await present.until(80, Live)
        host.nft(f"table inet {TABLE} {{ chain somebodys {{ jump choice/tcp/any/80; }}; }}")
        present.apply(remove(80, "*"))
        present.writer.forget(socket_key(80, "*"))
        await eventually(until(lambda: bool(present.writer._sweep_trouble)), what="it is noticed")
        present.apply(listening(81))
        await present.until(81, Live)
        host.nft(f"flush chain inet {TABLE} somebodys")
        await eventually(until(lambda: not keeper.untidy), what="it is removed")
        assert "choice/tcp" not in host.ruleset()


async def test_lost_table(tmp_path: Path, keeper: Keeper, host: Host) -> None:
    """It is noticed without a change, and by a change; all outcomes are pending until everything is written again."""
    async with running(tmp_path, keeper) as present:
        present.apply(pool("app", AWAY), listening(80), listening(81))
        await present.until(81, Live)
        for _ in range(2):
            present.published.clear()
            host.nft("flush ruleset")
            await eventually(until(lambda: bool(present.published)), what="it is noticed")
            await present.until(80, Live)
            await present.until(81, Live)
            assert "table inet tidegate-tests " in host.ruleset()
            assert "tcp . 81" in host.ruleset()
        host.nft("flush ruleset")
        present.apply(listening(82))
        await present.until(82, Live)
        await present.until(80, Live)
        assert isinstance(present.outcome(83), Pending)


async def test_table_that_cannot_be_written(tmp_path: Path, keeper: Keeper) -> None:
    """An error that is nobody's fault is no end: what is due is tried until it is written."""
    (tmp_path / "nft").write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    (tmp_path / "nft").chmod(0o755)
    working = keeper._nft._path
    keeper._nft._path = tmp_path / "nft"
    async with running(tmp_path, keeper) as present:
        present.apply(pool("app", AWAY), listening(80))
        await eventually(until(lambda: not present.writer._due), what="it is tried")
        assert isinstance(present.outcome(80), Pending)
        keeper._nft._path = working
        await present.until(80, Live)


def until(condition: Callable[[], bool]) -> Callable:
    """A probe for a condition."""

    async def probe() -> bool:
        return condition()

    return probe
