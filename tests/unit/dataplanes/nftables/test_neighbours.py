"""Tables of other instances are read when somebody else changed something, and at no other time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest

from support.netns import Host, needs_hosts
from support.plans import forward, pool, socket_key
from support.tables import TABLE, Planner, alone
from support.waiting import eventually
from tidegate.dataplanes.nftables import neighbours as watching
from tidegate.dataplanes.nftables.doors import Neighbour
from tidegate.dataplanes.nftables.keeper import Keeper
from tidegate.dataplanes.nftables.kernel import Kernel
from tidegate.dataplanes.nftables.marks import Marks
from tidegate.dataplanes.nftables.neighbours import Neighbours
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.ruleset import Place
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.errors import DataPlaneError
from tidegate.names import SocketKey

pytestmark = needs_hosts()

KEY, FREE = socket_key(80, "*"), socket_key(81, "*")
OTHER = TableName("other")


class Looks:
    """What was called back: what is taken, how often, and what was looked at for the first time."""

    def __init__(self) -> None:
        self.taken: Mapping[SocketKey, Neighbour] = {}
        self.count = 0
        self.new: list[SocketKey] | None = None

    def take(self, taken: Mapping[SocketKey, Neighbour], new: Collection[SocketKey] | None) -> None:
        self.taken = dict(taken)
        self.count += 1
        if new is not None:
            self.new = [*(self.new or ()), *new]

    async def more(self) -> None:
        """Wait for a look that began from now on."""
        wanted = self.count + 2
        await eventually(until(lambda: self.count >= wanted), what="it looked again")


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Where the test is. Watches look more often than usual."""
    monkeypatch.setattr(watching, "PERIOD_SECONDS", 0.02)
    with alone() as present:
        yield present


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables whose doors were read."""
    found: list[str] = []
    doors = Kernel.doors

    def counted(self: Kernel, table: str) -> list[Place]:
        found.append(table)
        return doors(self, table)

    monkeypatch.setattr(Kernel, "doors", counted)
    return found


@asynccontextmanager
async def kept(table: TableName) -> AsyncIterator[Keeper]:
    keeper = Keeper(table, NftablesOptions())
    await keeper.begin()
    try:
        yield keeper
    finally:
        keeper.close()


@asynccontextmanager
async def looking(keeper: Keeper, looks: Looks) -> AsyncIterator[Neighbours]:
    present = Neighbours(TABLE, lambda: keeper.known, lambda: [KEY, FREE], looks.take)
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(present.run())
            yield present
            task.cancel()
    finally:
        present.close()


async def open_door(keeper: Keeper, port: int) -> None:
    planner = Planner(Marks(keeper.origin.slot))
    wanted = planner.wanted(pool("app", ("10.9.9.9", 80)), forward(port, "app", address="*"))
    assert await keeper.write(wanted) == {}


async def test_doors_of_others(host: Host) -> None:
    """They are seen when they open and when they go, with who is ahead; tables that are not ours count for nothing."""
    looks = Looks()
    host.nft("add table inet tidegate-of-somebody-else")
    async with kept(TABLE) as own, kept(OTHER) as other, looking(own, looks) as neighbours:
        neighbours.add([])
        await eventually(until(lambda: looks.new == []), what="it looked, at nothing in particular")
        neighbours.add([KEY, FREE])
        await eventually(until(lambda: looks.new == [KEY, FREE]), what="it looked at these")
        assert looks.taken == {}
        await open_door(other, 80)
        await eventually(until(lambda: looks.taken == {KEY: Neighbour(str(OTHER), ahead=True)}), what="it is seen")
        await other.end_entries()
        await eventually(until(lambda: looks.taken == {}), what="its end is seen, though the table is there")


async def test_earlier_table() -> None:
    """The table that was made before ours is behind it."""
    looks = Looks()
    async with kept(OTHER) as other, kept(TABLE) as own, looking(own, looks):
        await open_door(other, 80)
        await eventually(until(lambda: looks.taken == {KEY: Neighbour(str(OTHER), ahead=False)}), what="it is seen")


async def test_own_changes_cost_nothing(host: Host, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are read again only when somebody else changed something, also while that was not noticed elsewhere."""
    monkeypatch.setattr(watching, "_LEISURE", 0)
    looks = Looks()
    async with kept(TABLE) as own, kept(OTHER), looking(own, looks) as neighbours:
        await looks.more()
        assert not await own.is_lost()
        await looks.more()
        reads.clear()
        # With a rung that there is from then on.
        await open_door(own, 80)
        await looks.more()
        reads.clear()
        await open_door(own, 81)
        neighbours.add([socket_key(82)])
        await looks.more()
        assert reads == []
        host.nft("add table inet somebodys")
        await eventually(until(lambda: bool(reads)), what="read again")
        await looks.more()
        assert not await own.is_lost()
        await looks.more()
        reads.clear()
        await looks.more()
        assert reads == []


async def test_seldom_beside_others_that_change_much(host: Host, reads: list[str]) -> None:
    """Reading takes a small share of the time; what is new is looked at in any case."""
    looks = Looks()
    async with kept(TABLE) as own, kept(OTHER), looking(own, looks) as neighbours:
        await looks.more()
        neighbours._next_reading = float("inf")
        reads.clear()
        host.nft("add table inet somebodys")
        await looks.more()
        assert reads == []
        neighbours.add([KEY])
        await eventually(until(lambda: looks.new == [KEY]), what="it looked at this")
        assert reads == [str(OTHER)]


async def test_kernel_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """New sockets wait until it does, and what is known stays."""
    looks, failures = Looks(), iter(range(3))
    generation = Kernel.generation

    def at_first_not(self: Kernel) -> int:
        if next(failures, None) is not None:
            raise DataPlaneError("the kernel does not answer")
        return generation(self)

    async with kept(TABLE) as own, kept(OTHER) as other:
        await open_door(other, 80)
        monkeypatch.setattr(Kernel, "generation", at_first_not)
        async with looking(own, looks) as neighbours:
            neighbours.add([KEY])
            await eventually(until(lambda: looks.new == [KEY]), what="it looked in the end")
            assert looks.taken.keys() == {KEY}
            assert next(failures, None) is None


def until(holds: Callable[[], bool]) -> Callable[[], object]:
    async def probe() -> bool:
        return holds()

    return probe
