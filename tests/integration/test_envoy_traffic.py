"""Counters and access log of a real Envoy say what happened, also across its death and its routes' changes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from support.backends import Backend
from support.clients import ask_many, connection
from support.envoys import envoy_plane, serving_envoy
from support.planes import Serving, serving, short_directory
from support.plans import forward, listener_key, pool, route_key
from support.ports import Ports
from support.waiting import eventually
from tidegate.dataplanes.envoy import generations
from tidegate.dataplanes.envoy.accesslog import AccessLogOptions
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.plan.outcome import Live, Pending, Traffic


async def counted(envoy: Serving, holds: Callable[[Traffic], bool], *, route: str = "route") -> Traffic:
    """The counters of a route on the tests' listener, once they are as expected."""

    async def probe() -> Traffic | None:
        for one in await envoy.plane.traffic():
            if one.listener == listener_key("listener") and one.route == route_key(route):
                return one
        return None

    found = await eventually(
        probe, lambda one: one is not None and holds(one), what="the counters are right", within=8, every=0.05
    )
    assert found is not None
    return found


async def test_opened_refused_active_and_bytes(ports: Ports) -> None:
    """Connections opened, refused and active, and bytes each way, are counted exactly."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, ("a", 1), (None, 1)))
        await ask_many(port, 100)
        await counted(envoy, lambda one: (one.opened, one.refused, one.active) == (100, 50, 0))
        await envoy.until_applied(forward(port, "a"))
        async with connection(port) as client:
            assert await client.line() == "a"
            assert await client.echoes("hello")
            found = await counted(envoy, lambda one: one.opened == 101 and one.active == 1 and one.received == 6)
            assert found.refused == 50
            assert found.sent == 50 * 2 + 8
        await counted(envoy, lambda one: one.active == 0)


async def test_routes_are_counted_apart(ports: Ports) -> None:
    """When another route takes over a listener, each has its own counters, open connections included."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a", route="first"))
        async with connection(port) as client:
            assert await client.line() == "a"
            await envoy.until_applied(forward(port, "a", route="second"))
            await ask_many(port, 10)
            await counted(envoy, lambda one: (one.opened, one.active) == (1, 1), route="first")
            await counted(envoy, lambda one: one.opened == 10, route="second")


async def test_counters_outlive_envoy(ports: Ports) -> None:
    """Counters go on after Envoy was killed, and after controller and Envoy were replaced."""
    port = ports.reserve()
    with short_directory() as directory:
        async with Backend("a") as a:
            plan = pool("a", a.port) | forward(port, "a")
            async with serving(envoy_plane(directory)) as envoy:
                await envoy.until_applied(plan)
                await ask_many(port, 20)
                await counted(envoy, lambda one: one.opened == 20)
                os.kill(generations.survivors(directory)[0].process.pid, signal.SIGKILL)
                await envoy.until(port, Pending)
                await envoy.until(port, Live)
                await ask_many(port, 5)
                await counted(envoy, lambda one: one.opened == 25)
                await ask_many(port, 7)
            async with serving(envoy_plane(directory), drain=None) as envoy:
                await envoy.until_applied(plan)
                await counted(envoy, lambda one: one.opened == 32)
                await ask_many(port, 3)
            async with serving(envoy_plane(directory)) as envoy:
                await envoy.until_applied(plan)
                await counted(envoy, lambda one: one.opened == 35)


@pytest.mark.parametrize("style", ["json", "text"])
async def test_access_log_has_a_line_per_connection(ports: Ports, tmp_path: Path, style: str) -> None:
    """A line says listener, route, client, backend or refused, bytes and why the connection ended."""
    port, path = ports.reserve(), tmp_path / "access.log"
    options = EnvoyOptions(concurrency=1, access_log=AccessLogOptions(format=style, path=path))
    async with Backend("a") as a, serving_envoy(options) as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, ("a", 1), (None, 1)))
        await ask_many(port, 2)
        # Envoy writes its log when it ends, or every ten seconds.
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert all("default/gateway/listener" in line and "default/route" in line for line in lines)
    if style == "json":
        assert {json.loads(line)["backend"] for line in lines} == {"a", "refused"}


async def test_switching_the_access_log_on_closes_nothing(ports: Ports, tmp_path: Path) -> None:
    """An Envoy without access log is adopted by a plane with one; open connections go on."""
    port, path = ports.reserve(), tmp_path / "access.log"
    logging = EnvoyOptions(concurrency=1, access_log=AccessLogOptions(format="text", path=path))
    with short_directory() as directory:
        async with Backend("a") as a:
            plan = pool("a", a.port) | forward(port, "a")
            async with serving(envoy_plane(directory), drain=None) as envoy:
                await envoy.until_applied(plan)
            async with connection(port) as client:
                assert await client.line() == "a"
                async with serving(envoy_plane(directory, logging)) as envoy:
                    await envoy.until_applied(plan)
                    await ask_many(port, 3)
                    assert await client.echoes("still here")
        assert len(path.read_text().splitlines()) == 3
