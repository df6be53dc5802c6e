"""What the other tests stand on does what it says: backends, clients, ports, waiting, manifests."""

import asyncio
import random
import socket
from pathlib import Path

import pytest
import yaml

from support import manifests
from support.backends import Backend, EndsFirst, answer_after_end, echo
from support.chance import likely
from support.clients import Ending, Refused, Served, Tally, ask, ask_many, connection, crowd, who_serves
from support.ports import Ports
from support.waiting import arrival, eventually, silence, steadily


async def test_backend_says_who_it_is_and_counts() -> None:
    """A connection is greeted by name and counted, also while it is open."""
    async with Backend("red") as red:
        assert await who_serves(red.port) == "red"
        async with connection(red.port) as conversation:
            assert await conversation.line() == "red"
            assert await conversation.echoes("hello")
            assert red.active == 1
        assert red.accepted == 2


async def test_stopped_backend_refuses() -> None:
    """After the end of its block nothing listens, and connections that were open are reset."""
    async with Backend("red") as red, connection(red.port) as conversation:
        await conversation.line()
        await red.stop()
        with pytest.raises(ConnectionError):
            await conversation.receive(1)
    answer = await ask(red.port)
    assert isinstance(answer, Refused)
    assert answer.how is Ending.NOT_LISTENING


async def test_endings_are_told_apart() -> None:
    """Closed at once, and held without a word, are different answers."""

    async def close(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async with Backend("closing", close) as closing, Backend("silent", echo) as silent:
        closed = await ask(closing.port)
        held = await ask(silent.port, within=0.05)
    assert isinstance(closed, Refused)
    assert closed.how is Ending.CLOSED
    assert isinstance(held, Refused)
    assert held.how is Ending.HELD


async def test_many_connections_are_tallied() -> None:
    """Every connection is counted once, with its backend."""
    async with Backend("red") as red:
        tally = await ask_many(red.port, 200, concurrency=16)
    assert tally.total == tally.served["red"] == red.accepted == 200


def test_tally_gives_shares_and_percentiles() -> None:
    """Shares are percentages of all connections, a percentile is one of the measured times."""
    tally = Tally()
    for number in range(1, 101):
        tally.add(Refused(how=Ending.CLOSED, seconds=number / 1000))
    for _ in range(300):
        tally.add(Served(backend="red", seconds=0.001))
    assert tally.share("red") == 75
    assert tally.refused_share == 25
    assert tally.refusal_percentile(99) == 0.099


async def test_half_closed_conversations_go_on() -> None:
    """Either side may end its half first; the other half still carries data."""
    async with Backend("counter", answer_after_end) as counter, connection(counter.port) as conversation:
        await conversation.send(b"x" * 1000)
        conversation.end()
        assert await conversation.line() == "received 1000"
    speak = EndsFirst()
    async with Backend("first", speak) as first, connection(first.port) as conversation:
        assert await conversation.line() == "that is all"
        assert await conversation.receive(1) == b""
        await conversation.send(b"still here")
        conversation.end()
        await speak.ended.wait()
    assert speak.received == b"still here"


async def test_crowd_notices_every_lost_connection() -> None:
    """Connections that are cut are reported as broken, all of them."""
    async with Backend("red") as red, crowd(red.port, 20) as people:
        assert people.backends == {"red": 20}
        await people.check()
        assert not people.broken
        await red.stop()
        await people.check()
        assert len(people.broken) == 20


async def test_eventually_fails_with_what_was_awaited() -> None:
    """A condition that never holds fails the test and shows the last answer."""

    async def answer() -> int:
        return 3

    assert await eventually(answer, lambda number: number == 3, what="three") == 3
    with pytest.raises(AssertionError, match="four; last answer: 3"):
        await eventually(answer, lambda number: number == 4, what="four", within=0.02)
    await steadily(answer, lambda number: number == 3, what="three", during=0.02)
    with pytest.raises(AssertionError, match="no longer so: four; answer: 3"):
        await steadily(answer, lambda number: number == 4, what="four", during=0.02)


async def test_silence_ends_with_what_arrives() -> None:
    """What was seen before does not break it."""
    seen = ["one"]
    await arrival(seen, 1, what="words")
    await silence(seen, during=0.02)
    asyncio.get_running_loop().call_later(0.01, seen.append, "two")
    with pytest.raises(AssertionError, match="no longer so: silence; answer: 2"):
        await silence(seen, during=5)
    await arrival(seen, 2, what="words")


def test_ports_are_distinct_free_and_never_of_a_client(ports: Ports) -> None:
    """Reserved ports differ, also between two reservers, and lie below the range of outgoing connections."""
    other = Ports()
    reserved = [*(ports.reserve() for _ in range(50)), *(other.reserve() for _ in range(50))]
    other.release()
    assert len(set(reserved)) == 100
    assert all(10_000 <= port < 32_768 for port in reserved)


def test_port_in_use_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port on which somebody listens is passed over."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        draws = iter([busy, 12_345, *range(20_000, 21_000)])
        monkeypatch.setattr(random, "randint", lambda _first, _last: next(draws))
        mine = Ports()
        assert mine.reserve() != busy
        mine.release()


@pytest.mark.parametrize(
    ("trials", "chance", "expected"),
    [(10, 0.0, range(1)), (10, 1.0, range(10, 11)), (10, 0.5, range(11)), (10_000, 0.7, range(6_701, 7_295))],
)
def test_bounds_of_chance(trials: int, chance: float, expected: range) -> None:
    """What is certain has no room, and the rest as much as makes a false alarm next to impossible."""
    assert likely(trials, chance) == expected
    wider = likely(trials, chance, among=1_000)
    assert set(expected) <= set(wider)


def test_manifests_are_replaced_in_one_step(tmp_path: Path) -> None:
    """A written file holds all documents, lists opened, and nothing else is left beside it."""
    path = tmp_path / "gateway.yaml"
    manifests.write(
        path,
        manifests.gateway("edge", [manifests.listener("tcp", 8080)]),
        manifests.slice_of("db", [("127.0.0.1", 1), ("127.0.0.2", 1), ("127.0.0.1", 2), ("::1", 1)]),
    )
    documents = list(yaml.safe_load_all(path.read_text()))
    assert [document["kind"] for document in documents] == ["Gateway", *["EndpointSlice"] * 3]
    slices = [(one["addressType"], len(one["endpoints"])) for one in documents[1:]]
    assert slices == [("IPv4", 2), ("IPv4", 1), ("IPv6", 1)]
    assert len({document["metadata"]["name"] for document in documents[1:]}) == 3
    assert list(tmp_path.iterdir()) == [path]
