"""The plane serves with a real kernel, on a host of the test's own, and says what becomes of each socket."""

from __future__ import annotations

import asyncio
import errno
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from support.backends import Backend
from support.clients import connection, who_serves
from support.descriptors import no_descriptors
from support.netns import Host, needs_hosts
from support.planes import Serving, serving
from support.plans import Change, forward, pool, remove, socket_key
from support.tables import OWN_4, OWN_6, Planner, alone
from support.waiting import eventually
from tidegate.dataplanes.nftables import host as facts
from tidegate.dataplanes.nftables import marks, writer
from tidegate.dataplanes.nftables import plane as planes
from tidegate.dataplanes.nftables.conntrack import Connections
from tidegate.dataplanes.nftables.doors import Contest, Neighbour, contests
from tidegate.dataplanes.nftables.features import FEATURES
from tidegate.dataplanes.nftables.keeper import Keeper
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.plane import NftablesDataPlane
from tidegate.dataplanes.nftables.reach import HostFacts
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.dataplanes.nftables.sysctls import ROUTE_LOCALNET
from tidegate.dataplanes.nftables.wire import Request
from tidegate.errors import DataPlaneError
from tidegate.names import SocketKey
from tidegate.plan.outcome import Failed, FailureReason, Live, Pending, Traffic
from tidegate.plan.types import Socket

pytestmark = needs_hosts()

PORT = 8080
REFUSED = "connection refused"
ELSEWHERE = "10.77.3.9"


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Where the test is. Planes look at it more often than usual."""
    for module, name in ((planes, "_HOST_SECONDS"), (planes, "_DRAIN_POLL_SECONDS"), (writer, "_TABLE_SECONDS")):
        monkeypatch.setattr(module, name, 0.05)
    with alone() as present:
        yield present


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Of the plane; not there yet."""
    return tmp_path / "nftables"


def plane(directory: Path, name: str = "tests", **options: bool) -> NftablesDataPlane:
    return NftablesDataPlane(name=name, directory=directory, options=NftablesOptions(**options))


@asynccontextmanager
async def forwarding(directory: Path, *, drain: float | None = 0.0, **options: bool) -> AsyncIterator[Serving]:
    """A plane that forwards ``PORT`` to a backend."""
    async with Backend("app") as app, serving(plane(directory, **options), drain=drain) as present:
        present.apply(pool("app", ("127.0.0.1", app.port)), forward(PORT, "app", address="*"))
        await present.until(PORT, Live, address="*")
        yield present


def revision_of(change: Change) -> str:
    (found,) = [one.revision for one in change.values() if isinstance(one, Socket)]
    return found


async def serves(expected: str, *, address: str = OWN_4, port: int = PORT) -> None:
    """Wait until a new connection is served by somebody, or refused."""
    await eventually(lambda: who_serves(port, host=address), lambda who: who == expected, what=f"{expected} at {port}")


def table(host: Host) -> bool:
    return "table inet tidegate-tests " in host.ruleset()


async def test_serves_what_is_live(directory: Path) -> None:
    """As soon as a socket is live, new connections are served; the note says who is not."""
    async with forwarding(directory) as present:
        assert present.plane.features == FEATURES
        assert await who_serves(PORT, host=OWN_4) == "app"
        assert await who_serves(PORT, host="127.0.0.1") == "app"
        assert await who_serves(PORT, host=OWN_6) == REFUSED
        live = await present.until(PORT, Live, address="*")
        assert "IPv6 clients are refused by app" in live.note
        assert set(present.addresses["standalone"].addresses) >= {OWN_4, OWN_6}


async def test_removal_keeps_connections(directory: Path) -> None:
    """A removed socket has no outcome and refuses; its connections go on; the others do not notice."""
    async with forwarding(directory) as present, connection(PORT, host=OWN_4) as open_one:
        assert await open_one.line() == "app"
        present.apply(forward(PORT + 1, "app", address="*"))
        await present.until(PORT + 1, Live, address="*")
        present.apply(remove(PORT, "*"))
        await present.until_gone(PORT, address="*")
        await serves(REFUSED)
        assert await open_one.echoes("still there")
        assert await who_serves(PORT + 1, host=OWN_4) == "app"


async def test_traffic(directory: Path) -> None:
    """What was served and refused, and what is open now; whoever asks after the end gets the last counters."""
    assert await plane(directory).traffic() == ()
    async with forwarding(directory) as present, connection(PORT, host=OWN_4) as open_one:
        await open_one.line()
        (found,) = await present.plane.traffic()
        assert (found.opened, found.active, found.backend) == (1, 1, "app")
        assert await who_serves(PORT, host=OWN_4) == "app"
    assert [one.opened for one in await present.plane.traffic()] == [2]


async def test_port_of_a_local_process(directory: Path) -> None:
    """Nothing is taken from it; once it is gone the socket serves; who comes later to listen is named."""
    local = Backend("local", host=OWN_4, port=PORT)
    async with local, serving(plane(directory)) as present, Backend("app") as app:
        present.apply(pool("app", ("127.0.0.1", app.port)), forward(PORT, "app", address="*"))
        failed = await present.until(PORT, Failed, address="*")
        assert failed.reason is FailureReason.PORT_UNAVAILABLE
        assert "--allow-shadow" in failed.message
        assert await who_serves(PORT, host=OWN_4) == "local"
        await local.stop()
        await present.until(PORT, Live, address="*")
        await serves("app")
        await local.start()
        failed = await present.until(PORT, Failed, address="*")
        assert "gets none of its connections" in failed.message
        assert await who_serves(PORT, host=OWN_4) == "app"


async def test_local_process_when_no_mark_is_left(directory: Path) -> None:
    """Who listens on a port is said without a mark for its socket, and what serves goes on."""
    async with forwarding(directory) as present, Backend("local", host=OWN_4, port=PORT + 1):
        assert isinstance(present.plane, NftablesDataPlane)
        given = present.plane._parts.catalog._marks
        given.adopt({}, range(given.prefix, given.prefix + marks.NUMBERS))
        present.apply(forward(PORT + 1, "app", address="*"))
        failed = await present.until(PORT + 1, Failed, address="*")
        assert failed.reason is FailureReason.PORT_UNAVAILABLE
        assert await who_serves(PORT, host=OWN_4) == "app"


async def test_allow_shadow(directory: Path) -> None:
    """With the option, connections are taken from a local process."""
    async with Backend("local", host=OWN_4, port=PORT), forwarding(directory, allow_shadow=True):
        assert await who_serves(PORT, host=OWN_4) == "app"


@pytest.mark.parametrize("unseen", [False, True])
async def test_two_planes_at_the_same_moment(directory: Path, monkeypatch: pytest.MonkeyPatch, unseen: bool) -> None:
    """Exactly one serves and is live, the other says who does, and serves when that one is gone; also when both opened
    their doors before they could see the other's.
    """
    async with (
        Backend("first") as first,
        Backend("second") as second,
        serving(plane(directory / "1", "first")) as one,
        serving(plane(directory / "2", "second")) as other,
    ):
        both = {"first": one, "second": other}

        def blind(
            taken: Mapping[SocketKey, Neighbour], is_open: Mapping[SocketKey, bool], *, allow_shadow: bool
        ) -> dict[SocketKey, Contest]:
            opened = all(
                isinstance(present.plane, NftablesDataPlane)
                and present.plane._parts.writer.is_served(socket_key(PORT, "*"))
                for present in both.values()
            )
            return contests(taken, is_open, allow_shadow=allow_shadow) if opened or seen else {}

        seen: list[str] = []
        if unseen:
            monkeypatch.setattr(planes, "contests", blind)
        for name, app in (("first", first), ("second", second)):
            both[name].apply(pool(name, ("127.0.0.1", app.port)), forward(PORT, name, address="*"))

        async def live() -> list[str]:
            outcomes = {name: present.outcomes.get(socket_key(PORT, "*")) for name, present in both.items()}
            failed = [name for name, outcome in outcomes.items() if isinstance(outcome, Failed)]
            return [name for name, outcome in outcomes.items() if isinstance(outcome, Live) and failed]

        (winner,) = await eventually(live, what="one is live, one failed")
        seen.append(winner)
        assert winner == "second" or not unseen
        (loser,) = both.keys() - {winner}
        assert await who_serves(PORT, host=OWN_4) == winner
        failed = await both[loser].until(PORT, Failed, address="*")
        assert failed.reason is FailureReason.PORT_UNAVAILABLE
        assert f"(table tidegate-{winner})" in failed.message
        both[winner].apply(remove(PORT, "*"))
        await both[loser].until(PORT, Live, address="*")
        await serves(loser)


@pytest.mark.parametrize("later", [True, False])
async def test_another_door_at_a_port_that_is_served(directory: Path, later: bool) -> None:
    """As after a race: the table that was made later gets the connections. Ours says so, and keeps its door."""
    async with AsyncExitStack() as stack:
        another = Keeper(TableName("another"), NftablesOptions())
        stack.callback(another.close)
        if not later:
            await another.begin()
        present = await stack.enter_async_context(forwarding(directory))
        if later:
            await another.begin()
        present.history.clear()
        door = Planner(marks.Marks(another.origin.slot))
        await another.write(door.wanted(pool("x"), forward(PORT, "x", address="*")))
        if later:
            failed = await present.until(PORT, Failed, address="*")
            assert "(table tidegate-another)" in failed.message
            assert await who_serves(PORT, host=OWN_4) == REFUSED
            another.delete()
            assert await who_serves(PORT, host=OWN_4) == "app"
            await present.until(PORT, Live, address="*")
        else:
            present.apply(forward(PORT, "app", address=OWN_4), forward(PORT + 1, "app", address="*"))
            await present.until(PORT, Failed, address=OWN_4)
            await present.until(PORT + 1, Live, address="*")
            assert await who_serves(PORT, host=OWN_4) == "app"
            assert isinstance(present.outcomes[socket_key(PORT, "*")], Live)


async def test_address_of_another_host(directory: Path, host: Host) -> None:
    """A socket on it fails until this host has it, and again when it loses it."""
    async with forwarding(directory) as present:
        present.apply(forward(PORT + 1, "app", address=ELSEWHERE))
        failed = await present.until(PORT + 1, Failed, address=ELSEWHERE)
        assert failed.reason is FailureReason.ADDRESS_NOT_USABLE
        host.ip("addr", "add", f"{ELSEWHERE}/24", "dev", "own")
        await present.until(PORT + 1, Live, address=ELSEWHERE)
        await serves("app", address=ELSEWHERE, port=PORT + 1)
        host.ip("addr", "del", f"{ELSEWHERE}/24", "dev", "own")
        await present.until(PORT + 1, Failed, address=ELSEWHERE)


@pytest.mark.parametrize("allow_shadow", [False, True])
async def test_many_addresses(directory: Path, monkeypatch: pytest.MonkeyPatch, allow_shadow: bool) -> None:
    """The kernel is asked about addresses beside the event loop; what left the plan meanwhile is forgotten."""
    asked: list[int] = []
    is_local = facts.is_local

    def recorded(address: str) -> bool:
        asked.append(threading.get_ident())
        return is_local(address)

    monkeypatch.setattr(facts, "is_local", recorded)
    async with forwarding(directory, allow_shadow=allow_shadow) as present:
        present.apply(*(forward(PORT + 1, "app", address=f"127.1.0.{last}") for last in range(1, 200)))
        present.apply(remove(PORT + 1, "127.1.0.2"), forward(PORT + 1, "app", address=ELSEWHERE))
        present.apply(remove(PORT + 1, "127.1.0.3"))
        present.apply(forward(PORT + 1, "app", address="127.1.0.3"))
        await present.until(PORT + 1, Failed, address=ELSEWHERE)
        for last in (1, 3, 199):
            await present.until(PORT + 1, Live, address=f"127.1.0.{last}")
        await serves("app", address="127.1.0.3", port=PORT + 1)
        await serves(REFUSED, address="127.1.0.2", port=PORT + 1)
    assert asked
    assert threading.get_ident() not in asked


async def test_kept_and_adopted(directory: Path, host: Host) -> None:
    """After ``close`` with None all goes on; the next start adopts it, and removes only what is not in its plan."""
    async with Backend("app") as app:
        change = pool("app", ("127.0.0.1", app.port)) | forward(PORT, "app", address="*")
        async with serving(plane(directory), drain=None) as first:
            await first.until_applied(change, forward(PORT + 1, "app", address="*", listener="other"))
            assert await who_serves(PORT, host=OWN_4) == "app"
        assert await who_serves(PORT + 1, host=OWN_4) == "app"
        async with connection(PORT, host=OWN_4) as open_one, serving(plane(directory)) as second:
            assert await open_one.line() == "app"
            assert await who_serves(PORT + 1, host=OWN_4) == "app"
            await second.until_applied(change)
            await serves(REFUSED, port=PORT + 1)
            assert await open_one.echoes("still there")
            (found,) = [one for one in await second.plane.traffic() if one.listener.listener == "listener"]
            assert found.opened == 2
    assert not table(host)


async def test_connections_of_a_listener_that_is_gone(directory: Path) -> None:
    """Those are counted that came by a lane without any before, while no controller ran, to a listener of the past."""
    async with Backend("app") as app:
        change = pool("app", ("127.0.0.1", app.port)) | forward(PORT, "app", address="*", listener="past")
        async with serving(plane(directory), drain=None) as first:
            await first.until_applied(change)
        async with connection(PORT, host=OWN_4) as open_one:
            assert await open_one.line() == "app"
            async with serving(plane(directory), drain=None) as second:
                await second.until_applied(forward(PORT + 1, "app", address="*", listener="other"))
                await serves(REFUSED)
                found = await eventually(lambda: of_listener(second, "past"), what="it is counted")
                assert (found[0].opened, found[0].active) == (1, 1)
                assert found[0].sent > 0
        async with serving(plane(directory)) as third:
            await third.until_applied(change)
            assert [one.opened for one in await of_listener(third, "past")] == [1]


async def of_listener(present: Serving, name: str) -> list[Traffic]:
    return [one for one in await present.plane.traffic() if one.listener.listener == name]


async def test_drain(directory: Path, host: Host) -> None:
    """No new connection is served; those open have time to end, and the table goes with the last one."""
    async with Backend("app") as app, asyncio.TaskGroup() as group:
        present = plane(directory)
        await present.start()
        present.apply(pool("app", ("127.0.0.1", app.port)) | forward(PORT, "app", address="*"))
        await serves("app")
        async with connection(PORT, host=OWN_4) as open_one:
            assert await open_one.line() == "app"

            async def hang_up() -> None:
                await serves(REFUSED)
                assert table(host)
                assert await open_one.echoes("still there")
                open_one.close()

            group.create_task(hang_up())
            async with asyncio.timeout(20):
                await present.close(drain=60)
    assert not table(host)


@pytest.mark.parametrize("troubled", ["the kernel refuses", "connections cannot be seen"])
async def test_drain_that_meets_trouble(
    directory: Path, host: Host, monkeypatch: pytest.MonkeyPatch, troubled: str
) -> None:
    """What fails at first is tried until it works: new connections are refused, and the open one has its time."""
    async with (
        forwarding(directory) as present,
        connection(PORT, host=OWN_4) as open_one,
        asyncio.TaskGroup() as group,
    ):
        assert await open_one.line() == "app"
        assert isinstance(present.plane, NftablesDataPlane)
        netlink, meter = present.plane._parts.keeper._kernel._netlink, present.plane._parts.meter
        batch, connections = netlink.batch, meter.connections
        failures = iter(range(8))

        def without_memory(requests: Sequence[Request]) -> Mapping[int, int]:
            return batch(requests) if next(failures, None) is None else {-1: errno.ENOMEM}

        async def at_first_not() -> Connections:
            if next(failures, None) is None:
                return await connections()
            raise DataPlaneError("the kernel does not answer")

        async def hang_up() -> None:
            await serves(REFUSED)
            assert await open_one.echoes("still there")
            open_one.close()

        if troubled == "the kernel refuses":
            monkeypatch.setattr(netlink, "batch", without_memory)
        else:
            monkeypatch.setattr(meter, "connections", at_first_not)
        group.create_task(hang_up())
        await present.plane.close(drain=60)
        assert next(failures, None) is None
    assert not table(host)


async def test_table_that_somebody_removed(directory: Path, host: Host) -> None:
    """It is noticed, made again, and everything serves as before."""
    async with forwarding(directory) as present:
        present.history.clear()
        host.nft("flush ruleset")
        await serves("app")
        await present.until(PORT, Live, address="*")
        assert any(isinstance(report.outcome, Pending) for report in present.history)
    assert not table(host)


@pytest.mark.parametrize("flushed", ["map sockets", "map here4-1", "set lanes"])
async def test_serves_again_after_a_flush_by_others(directory: Path, host: Host, flushed: str) -> None:
    """Somebody empties one of our maps: new connections are served again soon, and the open one never notices."""
    async with forwarding(directory), connection(PORT, host=OWN_4) as open_one:
        assert await open_one.line() == "app"
        what, name = flushed.split()
        host.nft(f"flush {what} inet tidegate-tests {name}")
        await eventually(
            lambda: asyncio.to_thread(host.ruleset, what, "inet", "tidegate-tests", name),
            lambda listed: "elements" in listed,
            what=f"elements of {name}",
        )
        assert await who_serves(PORT, host=OWN_4) == "app"
        assert await open_one.echoes("still there")


@pytest.mark.parametrize("drain", [0.0, None])
async def test_end_without_a_table(
    directory: Path, host: Host, monkeypatch: pytest.MonkeyPatch, drain: float | None
) -> None:
    """Somebody removed it an instant before the end: there is nothing to end, which is no failure."""
    monkeypatch.setattr(writer, "_TABLE_SECONDS", 60.0)
    async with forwarding(directory, drain=drain):
        host.nft("flush ruleset")
    assert not table(host)


async def test_without_descriptors(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is nothing to look at the host with, what is known of it stays, and everything serves."""
    looks, look = 0, facts.facts

    def counted(*, routes_localnet: bool) -> HostFacts:
        nonlocal looks
        looks += 1
        return look(routes_localnet=routes_localnet)

    async def looked_twice() -> bool:
        return looks >= 2

    async with forwarding(directory) as present:
        present.history.clear()
        with no_descriptors():
            monkeypatch.setattr(facts, "facts", counted)
            await eventually(looked_twice, what="the host was looked at, and again after that")
        assert await who_serves(PORT, host=OWN_4) == "app"
        assert not [report for report in present.history if not isinstance(report.outcome, Live)]


async def test_end_that_fails(directory: Path, host: Host) -> None:
    """What cannot be put back is told; the name is free, the outcomes end, and the table is gone all the same."""
    present = plane(directory)
    await present.start()
    (directory / planes.SYSCTLS_FILE).write_text('{"net.ipv4.missing": "1"}')
    with pytest.raises(DataPlaneError, match="cannot be put back"):
        await present.close(drain=0)
    async with asyncio.timeout(5):
        assert [batch async for batch in present.outcomes()] == []
    assert not table(host)
    (directory / planes.SYSCTLS_FILE).unlink()
    async with serving(plane(directory)):
        pass


async def test_one_controller_per_name(directory: Path, tmp_path: Path, host: Host) -> None:
    """A second one is refused and changes nothing; one of another name runs beside it."""
    async with forwarding(directory):
        with pytest.raises(DataPlaneError, match="another instance named tests"):
            await plane(tmp_path / "other").start()
        before = host.ruleset("table", "inet", "tidegate-tests")
        async with serving(plane(tmp_path / "other", "other")):
            assert "table inet tidegate-other " in host.ruleset()
        assert host.ruleset("table", "inet", "tidegate-tests") == before
        assert await who_serves(PORT, host=OWN_4) == "app"


async def test_route_localnet(directory: Path, host: Host) -> None:
    """The sysctl is set while it is wanted, put back at the end, and by a successor that does not want it."""
    async with serving(plane(directory, allow_route_localnet=True)):
        assert host.read_sysctl(ROUTE_LOCALNET) == "1"
    assert host.read_sysctl(ROUTE_LOCALNET) == "0"
    async with serving(plane(directory, allow_route_localnet=True), drain=None):
        pass
    assert host.read_sysctl(ROUTE_LOCALNET) == "1"
    async with serving(plane(directory)):
        assert host.read_sysctl(ROUTE_LOCALNET) == "0"


async def test_without_permission(directory: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said at once what is missing, and nothing is half done; the name is free again."""
    with monkeypatch.context() as patched:
        patched.setattr(facts, "has_net_admin", lambda: False)
        with pytest.raises(DataPlaneError, match="CAP_NET_ADMIN"):
            await plane(directory).start()
    assert not table(host)
    async with serving(plane(directory)):
        assert table(host)


async def test_start_that_fails_late(directory: Path, host: Host) -> None:
    """What was made is removed again, but what was adopted stays."""
    async with serving(plane(directory)):
        pass
    (directory / planes.SYSCTLS_FILE).write_text("[")
    with pytest.raises(DataPlaneError, match="does not tell"):
        await plane(directory).start()
    assert not table(host)
    (directory / planes.SYSCTLS_FILE).unlink()
    async with forwarding(directory, drain=None):
        pass
    (directory / planes.SYSCTLS_FILE).write_text("[")
    with pytest.raises(DataPlaneError, match="does not tell"):
        await plane(directory).start()
    assert table(host)


async def test_changes_in_a_row(directory: Path) -> None:
    """Many sockets at once, then many changes of one: the last revision serves."""
    async with forwarding(directory) as present:
        many = [forward(10_000 + number, "app", "missing", address="*") for number in range(1_500)]
        await present.until_applied(*many)
        for weight in range(50):
            last = forward(PORT, ("app", weight + 1), ("missing", 0), address="*", route=f"r{weight}")
            present.apply(last)
        await present.until(PORT, Live, address="*", revision=revision_of(last))
        assert await who_serves(PORT, host=OWN_4) == "app"


def test_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that it needs Linux."""
    planes.require_linux()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DataPlaneError, match="needs Linux"):
        planes.require_linux()
