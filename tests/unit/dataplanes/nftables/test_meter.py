"""What the kernel counts becomes traffic, goes on over controllers, and lanes are freed when nothing has them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.backends import Backend
from support.clients import Refused, ask
from support.netns import Host
from support.plans import Change, forward, listener_key, pool, remove, route_key
from support.tables import OWN_4, TABLE, Planner, alone, needs_a_host
from support.waiting import eventually
from tidegate.dataplanes import trafficfile
from tidegate.dataplanes.nftables import meter as metering
from tidegate.dataplanes.nftables.bytecode import Counted
from tidegate.dataplanes.nftables.keeper import Keeper
from tidegate.dataplanes.nftables.kernel import Counts, Kernel
from tidegate.dataplanes.nftables.marks import Marks
from tidegate.dataplanes.nftables.meter import Meter, counted
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.ruleset import mark_bytes
from tidegate.dataplanes.traffic import RawCounters
from tidegate.plan.outcome import Traffic

PORT = 8080


class Metered:
    """A keeper with a plan, whose meters write to one file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.keeper = Keeper(TABLE, NftablesOptions())
        self.planner = Planner()
        self.meters: list[Meter] = []

    async def begin(self) -> None:
        await self.keeper.begin()
        self.planner = Planner(Marks(self.keeper.origin.slot))

    def meter(self) -> Meter:
        self.meters.append(Meter(self.file, TABLE, self.keeper, self.planner.marks, advice=""))
        return self.meters[-1]

    async def write(self, *changes: Change) -> None:
        wanted = self.planner.wanted(*changes)
        assert await self.keeper.write(wanted) == {}
        for key in wanted:
            self.planner.catalog.written(key)

    async def retired(self) -> int:
        return len(self.planner.marks.retired)

    def close(self) -> None:
        for one in self.meters:
            one.close()
        self.keeper.close()


@pytest.fixture
def host() -> Iterator[Host]:
    """Where the test is."""
    with alone() as present:
        yield present


@pytest.fixture
async def metered(host: Host, tmp_path: Path) -> AsyncIterator[Metered]:
    """With an empty table."""
    present = Metered(tmp_path / "traffic.json")
    await present.begin()
    yield present
    present.close()


async def traffic(meter: Meter, backend: str = "a") -> Traffic:
    """The counters after a look now."""
    await meter.look()
    (found,) = [one for one in await meter.traffic() if one.backend == backend]
    return found


@needs_a_host
async def test_connections_and_bytes(metered: Metered) -> None:
    """Connections are counted for listener, route and backend: opened, open now, refused, and bytes of both sides."""
    meter = metered.meter()
    async with Backend("a") as backend:
        await metered.write(pool("a", ("127.0.0.1", backend.port)), forward(PORT, "a", address="*"))
        assert (await traffic(meter)).opened == 0
        reader, writer = await asyncio.open_connection(OWN_4, PORT)
        assert await reader.readline() == b"a\n"
        found = await traffic(meter)
        assert (found.listener, found.route) == (listener_key("listener"), route_key("route"))
        assert (found.opened, found.active, found.refused) == (1, 1, 0)
        assert found.received > 0
        writer.write(b"x" * 100_000)
        await reader.readexactly(100_000)
        later = await traffic(meter)
        assert later.opened == 1
        assert later.received - found.received > 100_000
        assert later.sent - found.sent > 100_000
        writer.close()
    await metered.write(pool("a"))
    assert isinstance(await ask(PORT, host=OWN_4), Refused)
    assert (await traffic(meter)).refused == 1


@needs_a_host
async def test_goes_on_in_a_later_controller(metered: Metered) -> None:
    """What was written down and what the table counted meanwhile are added up, nothing twice."""
    first = metered.meter()
    await metered.write(forward(PORT, "a", address="*"))
    assert isinstance(await ask(PORT, host=OWN_4), Refused)
    await first.look()
    await first.save()
    assert isinstance(await ask(PORT, host=OWN_4), Refused)
    second = metered.meter()
    await second.load()
    assert (await traffic(second)).refused == 2
    await second.save()
    third = metered.meter()
    await third.load()
    assert (await traffic(third)).refused == 2


@needs_a_host
async def test_another_table_begins_at_zero(metered: Metered, host: Host) -> None:
    """After a loss the totals stay, and grow with what the new table counts."""
    meter = metered.meter()
    await metered.write(forward(PORT, "a", address="*"))
    assert isinstance(await ask(PORT, host=OWN_4), Refused)
    assert (await traffic(meter)).refused == 1
    host.nft("flush ruleset")
    await meter.look()
    await metered.keeper.begin_again()
    await meter.begin_anew()
    await metered.write(forward(PORT, "a", address="*"))
    assert (await traffic(meter)).refused == 1
    assert isinstance(await ask(PORT, host=OWN_4), Refused)
    assert (await traffic(meter)).refused == 2


@needs_a_host
async def test_file_that_cannot_be_read(metered: Metered) -> None:
    """Counting begins anew."""
    metered.file.write_text("[")
    meter = metered.meter()
    await meter.load()
    await metered.write(forward(PORT, "a"))
    assert (await traffic(meter)).opened == 0


@needs_a_host
async def test_file_that_cannot_be_written(metered: Metered) -> None:
    """It is tried again with the next save; without anything new nothing is written."""
    metered.file.mkdir()
    meter = metered.meter()
    await metered.write(forward(PORT, "a", address="*"))
    await meter.save()
    await meter.look()
    await meter.save()
    metered.file.rmdir()
    await meter.save()
    assert metered.file.exists()
    metered.file.unlink()
    await meter.save()
    assert not metered.file.exists()


@needs_a_host
async def test_written_down_only_when_something_was_counted(metered: Metered) -> None:
    """Looks that find what is known already are not written down: it takes as long as everything does."""
    meter = metered.meter()
    await metered.write(forward(PORT, "a", address="*"))
    await meter.look()
    await meter.save()
    metered.file.unlink()
    await meter.look()
    await meter.save()
    assert not metered.file.exists()
    assert isinstance(await ask(PORT, host=OWN_4), Refused)
    await meter.look()
    await meter.save()
    assert metered.file.exists()


@needs_a_host
async def test_another_table_while_counters_are_written_down(metered: Metered, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody changes the ledger that a thread goes through."""
    meter = metered.meter()
    await metered.write(forward(PORT, "a", address="*"))
    await meter.look()
    saving, goes_on = threading.Event(), threading.Event()

    def save(*_: object) -> None:
        saving.set()
        assert goes_on.wait(10)

    monkeypatch.setattr(trafficfile, "save", save)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(meter.save())
        assert await asyncio.to_thread(saving.wait, 10)
        anew = tasks.create_task(meter.begin_anew())
        await asyncio.sleep(0)
        assert not anew.done()
        goes_on.set()


@needs_a_host
async def test_answers_while_fresh(metered: Metered) -> None:
    """Asked again at once, the kernel is not looked at again."""
    meter = metered.meter()
    await metered.write(forward(PORT, "a", address="*"))
    assert (await traffic(meter)).refused == 0
    assert isinstance(await ask(PORT, host=OWN_4), Refused)
    (found,) = await meter.traffic()
    assert found.refused == 0
    assert (await traffic(meter)).refused == 1


@needs_a_host
async def test_new_listener_is_told_at_once(metered: Metered) -> None:
    """What is planned since the last look has its counters, without another look; what is not any more has none."""
    meter = metered.meter()
    assert await meter.traffic() == []
    await metered.write(forward(PORT, "a", address="*"))
    (found,) = await meter.traffic()
    assert (found.backend, found.opened) == ("a", 0)
    await metered.write(remove(PORT, "*"))
    assert await meter.traffic() == []


@needs_a_host
async def test_lanes_are_freed(metered: Metered, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane that left the plan is kept while the kernel remembers a connection of it, and goes then."""
    monkeypatch.setattr(metering, "PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(metering, "FRESH_SECONDS", 0.0)
    states = ("time_wait", "close", "last_ack", "fin_wait", "close_wait")
    host.sysctl(*(f"net.netfilter.nf_conntrack_tcp_timeout_{state}=1" for state in states))
    meter = metered.meter()
    with contextlib.closing(Kernel(TABLE)) as kernel:
        async with Backend("a") as backend, asyncio.TaskGroup() as group:
            await metered.write(
                pool("a", ("127.0.0.1", backend.port)), forward(PORT, "a", "idle", address="*", route="r")
            )
            await metered.write(forward(PORT, "a", address="*", route="r"))
            reader, writer = await asyncio.open_connection(OWN_4, PORT)
            await reader.readline()
            await metered.write(remove(PORT, "*"))
            running = group.create_task(meter.run())
            await eventually(metered.retired, lambda count: count == 1, what="the idle lane and the choice are freed")
            (found,) = [each for each in await meter.traffic() if each.backend == "a"]
            assert (found.active, found.opened) == (1, 1)
            assert len(kernel.count().opened) == 1
            writer.transport.abort()
            await eventually(metered.retired, lambda count: count == 0, what="the last lane is freed", within=30)
            assert kernel.count() == Counts(opened=(), refused=(), traffic=())
            running.cancel()


@needs_a_host
async def test_table_that_is_lost_meanwhile(metered: Metered, host: Host) -> None:
    """A look that fails changes nothing."""
    meter = metered.meter()
    await metered.write(forward(PORT, "a", address="*"))
    assert isinstance(await ask(PORT, host=OWN_4), Refused)
    assert (await traffic(meter)).refused == 1
    host.nft("flush ruleset")
    assert (await traffic(meter)).refused == 1


def one(mark: int, packets: int, size: int = 0, *, direction: bytes = b"") -> Counted:
    return Counted(mark_bytes(mark) + direction, packets, size)


def test_counters_by_lane() -> None:
    """Packets are connections; bytes are told by their direction, each lane by its mark."""
    forth, back = bytes([0, 0, 0, 0]), bytes([1, 0, 0, 0])
    found = counted(
        Counts(
            opened=(one(1, 5), one(2, 0)),
            refused=(one(1, 2),),
            traffic=(one(1, 9, 70, direction=forth), one(1, 9, 80, direction=back), one(3, 1, 6, direction=back)),
        )
    )
    assert found == {
        "1": RawCounters(opened=5, refused=2, received=70, sent=80),
        "2": RawCounters(),
        "3": RawCounters(sent=6),
    }
