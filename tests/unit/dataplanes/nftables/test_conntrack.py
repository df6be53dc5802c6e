"""Open connections are counted by mark, as the kernel's connection tracking tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from support.backends import Backend
from support.netns import Host
from support.plans import forward, pool
from support.tables import OWN_4, OWN_6, TABLE, Planner, alone, needs_a_host
from support.waiting import eventually
from tidegate.dataplanes.nftables import conntrack, marks, wire
from tidegate.dataplanes.nftables.conntrack import Connections
from tidegate.dataplanes.nftables.keeper import Keeper
from tidegate.dataplanes.nftables.marks import Marks
from tidegate.dataplanes.nftables.netlink import DUMP_ATTEMPTS, DumpInterruptedError, Netlink
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.wire import Request

PORT = 8080


@pytest.fixture
def host() -> Iterator[Host]:
    """Where the test is."""
    with alone() as present:
        yield present


@pytest.fixture
def netlink(host: Host) -> Iterator[Netlink]:
    """A socket to its kernel."""
    present = Netlink()
    yield present
    present.close()


@pytest.fixture
async def mark(host: Host) -> AsyncIterator[int]:
    """The mark of a listener's one lane; behind it, a backend that holds connections."""
    keeper = Keeper(TABLE, NftablesOptions())
    await keeper.begin()
    async with Backend("a") as one, Backend("a", host="::1") as other:
        plan = pool("a", ("127.0.0.1", one.port), ("::1", other.port)) | forward(PORT, "a", address="*")
        planner = Planner(Marks(keeper.origin.slot))
        assert await keeper.write(planner.wanted(plan)) == {}
        (found,) = planner.marks.series().owners()
        yield found
    keeper.close()


@needs_a_host
async def test_open_connections(mark: int, netlink: Netlink) -> None:
    """Each counts while it is open, and is remembered for a while after; other instances' are not counted."""

    async def counted() -> Connections:
        return conntrack.connections(netlink, mark & marks.MASK)

    assert (await counted()).open == {}
    writers = []
    for address in (OWN_4, OWN_6, OWN_4):
        reader, writer = await asyncio.open_connection(address, PORT)
        assert await reader.readline() == b"a\n"
        writers.append(writer)
    assert await counted() == Connections((await counted()).open, frozenset({mark}))
    assert (await counted()).open == {mark: 3}
    assert conntrack.connections(netlink, marks.prefix((mark >> 20 & 0xFF) ^ 1)).remembered == frozenset()
    writers.pop().close()
    await eventually(counted, lambda found: found.open == {mark: 2}, what="one has ended")
    for writer in writers:
        writer.transport.abort()
    await eventually(counted, lambda found: not found.open, what="all have ended")


def datagram(*messages: tuple[int, bytes]) -> bytes:
    """Messages of connection tracking, as they are received."""
    return b"".join(wire.packed(Request(kind=kind, family=2, body=body), 1) for kind, body in messages)


@pytest.mark.parametrize(
    ("protocol", "state"),
    [
        (wire.nested(4, wire.nested(1, wire.attribute(1, b"\x03"))), 3),
        (wire.nested(4, wire.nested(1, wire.attribute(2, b"\x03"))), 0),
        (wire.nested(4, wire.nested(2, wire.attribute(1, b"\x03"))), 0),
        (b"", 0),
    ],
)
def test_states(protocol: bytes, state: int) -> None:
    """Only a TCP connection has one, and not every connection has a mark; other messages are passed over."""
    marked, bare = (0x100, wire.number(8, 7) + protocol), (0x100, protocol)
    data = datagram(marked, (wire.KIND_DONE, bytes(4)), bare)
    assert list(conntrack.states_of(data)) == [(7, state), (0, state)]


def test_request() -> None:
    """The kernel is asked for marks that begin like ours."""
    request = conntrack.request(marks.prefix(3))
    found = wire.attributes_of(request.body)
    assert sorted(map(wire.number_of, found.values())) == sorted((0x70300000, 0xFFF00000))


@needs_a_host
async def test_interrupted_list(mark: int, netlink: Netlink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a list counts that changed while it was read: it is read again, but not for ever."""
    datagrams, interrupted = netlink.datagrams, 2

    def broken(request: Request) -> Iterator[bytes]:
        nonlocal interrupted
        yield from datagrams(request)
        if interrupted:
            interrupted -= 1
            raise DumpInterruptedError("interrupted")

    monkeypatch.setattr(netlink, "datagrams", broken)
    _, writer = await asyncio.open_connection(OWN_4, PORT)
    assert conntrack.connections(netlink, mark & marks.MASK).open == {mark: 1}
    assert not interrupted
    interrupted = DUMP_ATTEMPTS + 1
    with pytest.raises(DumpInterruptedError):
        conntrack.connections(netlink, mark & marks.MASK)
    writer.close()
