"""A follower tells its leader all that holds and then what changes, whatever becomes of leaders and streams."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog

from support.certificates import SERVER_NAME, Issuer
from support.running import running
from support.streams import Echo
from support.waiting import eventually
from tidegate.dataplanes.envoy.credentials import ServerCredentials
from tidegate.dataplanes.envoy.fleetserver import FleetServer
from tidegate.dataplanes.envoy.follower import Follower
from tidegate.dataplanes.envoy.outbox import decode
from tidegate.dataplanes.envoy.proxyevents import Connecting, Lost, ProxyEvent

ONE = Connecting(scope="a/gw", node="one", instance="1")
TWO = Connecting(scope="a/gw", node="two", instance="1")
GONE = Lost(scope="a/gw", node="one")


class Leader:
    """A replica to which others report: what was said on each stream, and how many are open."""

    def __init__(self, issuer: Issuer, port: int = 0) -> None:
        self.streams: list[list[ProxyEvent]] = []
        self.open = 0
        own = issuer.server()
        self.server = FleetServer(
            f"127.0.0.1:{port}", lambda: own, converse=lambda *_: Echo(), attend=lambda _: Stream(self)
        )

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server.port}"

    async def until(self, *streams: list[ProxyEvent]) -> None:
        """Wait until exactly this was said."""

        async def said() -> list[list[ProxyEvent]]:
            return self.streams

        await eventually(said, lambda found: found == list(streams), what=f"the leader was told {streams}")


class Stream:
    """One stream to a leader."""

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
        self._said: list[ProxyEvent] = []
        leader.streams.append(self._said)
        leader.open += 1

    def receive(self, message: bytes) -> None:
        self._said.extend(decode(message).events)

    def end(self) -> None:
        self._leader.open -= 1


@asynccontextmanager
async def leading(issuer: Issuer, port: int = 0) -> AsyncIterator[Leader]:
    """A leader that listens while the block runs."""
    leader = Leader(issuer, port)
    await leader.server.start()
    try:
        yield leader
    finally:
        await leader.server.stop()


def follower(issuer: Issuer, *present: ProxyEvent) -> Follower:
    """A follower at which this holds."""
    own: ServerCredentials = issuer.server()
    return Follower(credentials=lambda: own, server_name=SERVER_NAME, present=lambda: present)


async def test_tells_what_holds_and_what_happens() -> None:
    """A stream begins with the present, and each event follows; before there is a leader nobody is told."""
    issuer = Issuer()
    one = follower(issuer, ONE)
    one.put(TWO)
    async with leading(issuer) as leader, running(one.run()):
        one.follow(leader.address)
        await leader.until([ONE])
        one.put(GONE)
        await leader.until([ONE, GONE])
        one.follow(leader.address)
        one.put(TWO)
        await leader.until([ONE, GONE, TWO])


async def test_another_leader_is_told_everything_again() -> None:
    """The stream to the former leader ends, and the next one learns all that holds."""
    issuer = Issuer()
    one = follower(issuer, ONE)
    async with leading(issuer) as former, leading(issuer) as latter, running(one.run()):
        one.follow(former.address)
        await former.until([ONE])
        one.follow(latter.address)
        await latter.until([ONE])

        async def closed() -> bool:
            return former.open == 0

        await eventually(closed, what="the former leader's stream has ended")
        one.follow(None)
        await eventually(lambda: _nobody(latter), what="the latter's stream has ended")


async def _nobody(leader: Leader) -> bool:
    return leader.open == 0


async def test_a_leader_that_comes_back_is_found_again() -> None:
    """While the leader does not answer it is tried again and again, and the log says so once."""
    issuer = Issuer()
    one = follower(issuer, ONE)
    with structlog.testing.capture_logs() as events:
        async with running(one.run()):
            async with leading(issuer) as leader:
                port = leader.server.port
                one.follow(leader.address)
                await leader.until([ONE])

            async def noticed() -> bool:
                return any(event["event"] == "leader not told" for event in events)

            await eventually(noticed, what="the follower noticed")
            async with leading(issuer, port) as leader:
                await leader.until([ONE])


async def test_a_leader_that_goes_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    """No task waits on for something to tell it, which asyncio would complain of."""
    issuer = Issuer()
    one = follower(issuer, ONE)
    async with running(one.run()):
        before = asyncio.all_tasks()
        async with leading(issuer) as leader:
            one.follow(leader.address)
            await leader.until([ONE])

        async def left() -> set[str]:
            return {task.get_name() for task in asyncio.all_tasks() - before} - {"report to the leader"}

        await eventually(left, lambda names: not names, what="no task is left")
    gc.collect()
    # Of tasks alone: gRPC wakes the loops of all tests of this process, closed ones included, and asyncio says so here.
    said = [record.getMessage() for record in caplog.records]
    assert not [text for text in said if text.startswith("Task ")]


async def test_a_leader_of_somebody_else_is_not_told() -> None:
    """Only a replica with a certificate of the own authority, and with the replicas' name, is one to report to."""
    issuer = Issuer()
    one = follower(issuer, ONE)
    with structlog.testing.capture_logs() as events:
        async with leading(Issuer()) as stranger, running(one.run()):
            one.follow(stranger.address)

            async def refused() -> bool:
                return any(event["event"] == "leader not told" for event in events)

            await eventually(refused, what="the stranger is not believed")
            assert stranger.streams == []


async def test_ends_when_it_is_cancelled() -> None:
    """Nothing of it goes on."""
    issuer = Issuer()
    one = follower(issuer, ONE)
    async with leading(issuer) as leader:
        async with running(one.run()):
            one.follow(leader.address)
            await leader.until([ONE])
        await eventually(lambda: _nobody(leader), what="the stream has ended")
