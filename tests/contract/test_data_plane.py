"""What every data plane promises, tried on each: in memory, a real Envoy, a fleet of one, and the kernel (as root)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from support.envoys import serving_envoy
from support.fleets import serving_fleet
from support.kernels import serving_kernel
from support.netns import needs_hosts
from support.planes import Serving, serving
from support.plans import forward, pool, remove, socket_key
from support.ports import Ports
from support.waiting import eventually
from tidegate.dataplanes.recording import RecordingDataPlane
from tidegate.plan.outcome import Live

Start = Callable[[], AbstractAsyncContextManager[Serving]]


@asynccontextmanager
async def recording() -> AsyncIterator[Serving]:
    async with serving(RecordingDataPlane()) as present:
        yield present


@pytest.fixture(
    params=[
        pytest.param(recording, id="recording"),
        pytest.param(serving_envoy, id="envoy"),
        pytest.param(serving_fleet, id="fleet"),
        pytest.param(serving_kernel, id="nftables", marks=needs_hosts()),
    ]
)
def start(request: pytest.FixtureRequest) -> Start:
    """Starts the plane of this round."""
    return request.param


async def gone(present: Serving, port: int) -> None:
    async def probe() -> bool:
        return socket_key(port) not in present.outcomes

    await eventually(probe, what="the socket's outcome is gone")


async def test_says_what_it_can_do(start: Start) -> None:
    """Features are constant, named, and name protocols."""
    async with start() as present:
        assert present.plane.features.name
        assert present.plane.features.protocols
        assert present.plane.features == present.plane.features


async def test_socket_becomes_live_at_its_revision(start: Start, ports: Ports) -> None:
    """An applied socket ends up Live, at exactly the revision that was applied."""
    port = ports.reserve()
    async with start() as present:
        plan = pool("a", 1) | forward(port, "a")
        present.apply(plan)
        live = await present.until(port, Live)
        assert live.revision == plan[socket_key(port)].revision


async def test_later_revision_wins(start: Start, ports: Ports) -> None:
    """Of several changes in a row, the last one's revision becomes Live, and stays."""
    port = ports.reserve()
    async with start() as present:
        for weight in range(1, 20):
            last = forward(port, ("a", weight), ("b", 1))
            present.apply(pool("a", 1), pool("b", 2), last)
        await present.until(port, Live, revision=last[socket_key(port)].revision)


async def test_removed_socket_has_no_outcome(start: Start, ports: Ports) -> None:
    """After its removal a socket is reported gone; the others keep their outcomes."""
    kept, removed = ports.reserve(), ports.reserve()
    async with start() as present:
        await present.until_applied(pool("a", 1), forward(kept, "a"), forward(removed, "a"))
        present.apply(remove(removed))
        await gone(present, removed)
        assert isinstance(present.outcomes[socket_key(kept)], Live)


async def test_order_of_keys_and_dangling_keys_do_no_harm(start: Start, ports: Ports) -> None:
    """Pools and targets may come before, after and without what uses them; a missing pool is empty."""
    port, other = ports.reserve(), ports.reserve()
    async with start() as present:
        socket, target = forward(port, "late", "never").items()
        for change in ([target], [socket], list(pool("late", 1).items()), list(pool("unused", 1).items())):
            present.plane.apply(dict(change))
        await present.until(port, Live)
        present.apply(dict.fromkeys((*pool("unused"), *pool("never"), *remove(other))))
        await present.until_applied(forward(other, "late"))


async def test_empty_changes(start: Start) -> None:
    """A change without content is a change, also as the first."""
    async with start() as present:
        present.apply({})
        present.apply({})
        assert present.outcomes == {}


async def test_pool_changes_keep_a_socket_live(start: Start, ports: Ports) -> None:
    """Endpoints are no part of a revision: when they change, the outcome does not."""
    port = ports.reserve()
    async with start() as present:
        await present.until_applied(pool("a", 1), forward(port, "a"))
        present.history.clear()
        for endpoint in range(2, 30):
            present.apply(pool("a", endpoint))
        await present.until_applied(forward(ports.reserve(), "a"))
        assert all(report.socket != socket_key(port) for report in present.history)


async def test_traffic_can_be_asked_for(start: Start, ports: Ports) -> None:
    """Counters of an unused socket are zero, or absent."""
    port = ports.reserve()
    async with start() as present:
        await present.until_applied(pool("a", 1), forward(port, "a"))
        for one in await present.plane.traffic():
            assert (one.opened, one.refused, one.active, one.received, one.sent) == (0, 0, 0, 0, 0)


async def test_outcomes_end_with_close(start: Start) -> None:
    """After close, the stream of outcomes ends by itself."""
    async with asyncio.timeout(20):
        async with start() as present:
            present.apply({})
