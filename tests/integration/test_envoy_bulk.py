"""Many listeners at once: everything arrives, urgent changes pass, and interruptions lose nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from support.backends import Backend
from support.clients import who_serves
from support.envoys import envoy_plane, serving_envoy
from support.planes import Serving, serving, short_directory
from support.plans import Change, forward, pool, remove, socket_key
from support.ports import Ports
from support.waiting import eventually
from tidegate.dataplanes.envoy import generations
from tidegate.plan.outcome import Live, Pending

MANY = 600


def many(ports: list[int], *, route: str = "route") -> Change:
    """A listener on each port, all with the pool "a"."""
    return {key: value for port in ports for key, value in forward(port, "a", route=route).items()}


async def all_live(envoy: Serving, ports: list[int], *, within: float = 20.0) -> None:
    async def late() -> int:
        return sum(not isinstance(envoy.outcomes.get(socket_key(port)), Live) for port in ports)

    await eventually(late, lambda count: count == 0, what="all listeners are live", within=within)


async def test_urgent_changes_pass_a_bulk_load(ports: Ports) -> None:
    """While hundreds of listeners load, a changed endpoint is in use long before they are all there."""
    first, rest = ports.reserve(), [ports.reserve() for _ in range(MANY)]
    async with Backend("a") as a, Backend("b") as b, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), pool("p", a.port), forward(first, "p"))
        begin = time.monotonic()
        envoy.apply(many(rest))
        slowest = 0.0
        for one in (b, a, b):
            changed = time.monotonic()
            envoy.apply(pool("p", one.port))

            async def probe() -> str:
                return await who_serves(first)

            await eventually(probe, lambda name, wanted=one.name: name == wanted, what="the new endpoint", every=0.001)
            slowest = max(slowest, time.monotonic() - changed)
        await all_live(envoy, rest)
        everything = time.monotonic() - begin
        assert slowest < max(0.3, everything / 2), f"{slowest} s of {everything} s"
        assert await who_serves(rest[-1]) == "a"


async def test_all_routes_change_and_all_listeners_go(ports: Ports) -> None:
    """A change of every filter and the removal of every listener arrive completely."""
    all_ports = [ports.reserve() for _ in range(MANY)]
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), many(all_ports), within=30)
        await envoy.until_applied(many(all_ports, route="other"), within=30)
        kept = all_ports[:3]
        envoy.apply(*(remove(port) for port in all_ports[3:]))

        async def answers() -> set[str]:
            return {await who_serves(port) for port in all_ports[3::50]}

        await eventually(answers, lambda found: found == {"connection refused"}, what="the ports are closed")
        assert {await who_serves(port) for port in kept} == {"a"}


async def test_envoy_killed_during_a_bulk_load(ports: Ports) -> None:
    """An Envoy that dies half loaded is replaced by one that gets everything."""
    all_ports = [ports.reserve() for _ in range(MANY)]
    with short_directory() as directory:
        async with Backend("a") as a, serving(envoy_plane(directory)) as envoy:
            envoy.apply(pool("a", a.port), many(all_ports))
            await envoy.until(all_ports[0], Live)
            os.kill(generations.survivors(directory)[0].process.pid, signal.SIGKILL)
            await envoy.until(all_ports[0], Pending)
            await all_live(envoy, all_ports)
            assert await who_serves(all_ports[-1]) == "a"


async def test_controller_replaced_during_a_bulk_load(ports: Ports) -> None:
    """A controller that adopts a half loaded Envoy completes it, and takes away what its plan does not have."""
    all_ports = [ports.reserve() for _ in range(MANY)]
    gone, kept = all_ports[:100], all_ports[100:]
    with short_directory() as directory:
        async with Backend("a") as a:
            async with serving(envoy_plane(directory), drain=None) as envoy:
                envoy.apply(pool("a", a.port), many(all_ports))
                await envoy.until(all_ports[0], Live)
            async with serving(envoy_plane(directory)) as envoy:
                await envoy.until_applied(pool("a", a.port), many(kept), within=30)
                (only,) = generations.survivors(directory)
                assert len(await only.listener_names()) == len(kept)
                await only.admin.close()
                assert await who_serves(kept[-1]) == "a"
                assert await who_serves(gone[0]) == "connection refused"


async def test_stream_lost_and_found(ports: Ports) -> None:
    """When only the stream breaks, nothing stops being live, and changes made meanwhile arrive."""
    port = ports.reserve()
    async with Backend("a") as a, Backend("b") as b, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), pool("b", b.port), forward(port, "a"))
        envoy.history.clear()
        supervisor = envoy.plane._supervisor
        await supervisor._server.stop()
        envoy.apply(forward(port, "b", route="other"))
        await envoy.until(port, Pending)
        assert await who_serves(port) == "a"
        await asyncio.sleep(0)
        await supervisor._server.start()
        await envoy.until(port, Live)
        assert await who_serves(port) == "b"
