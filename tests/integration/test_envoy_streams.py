"""Through a real Envoy, what clients and servers send arrives as it was sent, for as long as they like."""

from __future__ import annotations

import asyncio
import hashlib
import os

import psutil
import pytest

from support.backends import Backend, EndsFirst, answer_after_end
from support.clients import ask, connection, crowd, who_serves
from support.envoys import serving_envoy
from support.plans import forward, pool
from support.ports import Ports
from support.waiting import eventually
from tidegate.dataplanes.hostaddresses import wildcard_address
from tidegate.plan.outcome import Live

HUNDRED_MEGABYTES = 100_000_000


async def test_server_speaks_first(ports: Ports) -> None:
    """A server's greeting arrives although the client sends nothing."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        assert await who_serves(port) == "a"


async def test_client_half_close_reaches_the_server(ports: Ports) -> None:
    """The server sees the client's end and still answers."""
    port = ports.reserve()
    async with Backend("a", answer_after_end) as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        async with connection(port) as client:
            await client.send(b"x" * 1000)
            client.end()
            assert await client.line() == "received 1000"


async def test_server_half_close_reaches_the_client(ports: Ports) -> None:
    """The client sees the server's end and can still send."""
    port = ports.reserve()
    speak = EndsFirst()
    async with Backend("a", speak) as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        async with connection(port) as client:
            assert await client.line() == "that is all"
            assert await client.receive(1) == b""
            await client.send(b"afterwards")
            client.end()
            async with asyncio.timeout(5):
                await speak.ended.wait()
        assert speak.received == b"afterwards"


async def test_hundred_megabytes_each_way(ports: Ports) -> None:
    """100 MB go up and come back intact while both directions are busy."""
    port = ports.reserve()
    block = os.urandom(1_000_000)
    received, sent = hashlib.sha256(), hashlib.sha256()

    async def send(writer: asyncio.StreamWriter) -> None:
        for _ in range(HUNDRED_MEGABYTES // len(block)):
            sent.update(block)
            writer.write(block)
            await writer.drain()
        writer.write_eof()

    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        assert await reader.readline() == b"a\n"
        count = 0
        async with asyncio.TaskGroup() as group:
            group.create_task(send(writer))
            while data := await reader.read(1 << 20):
                received.update(data)
                count += len(data)
        writer.close()
        await writer.wait_closed()
        assert count == HUNDRED_MEGABYTES
        assert received.digest() == sent.digest()


async def test_three_thousand_connections_at_once(ports: Ports) -> None:
    """No hidden limit: 3,000 connections live through one listener at the same time."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        async with crowd(port, 3000) as present:
            assert present.backends == {"a": 3000}
            await present.check()
            assert not present.broken
            assert a.active == 3000


@pytest.mark.skipif(not psutil.LINUX, reason="ss shows timers on Linux only")
async def test_keepalive_on_both_sides(ports: Ports) -> None:
    """Envoy's sockets to the client and to the backend have keepalive timers of up to 300 seconds."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        async with connection(port) as client:
            assert await client.line() == "a"
            shown = await asyncio.create_subprocess_exec(
                "ss", "-tnoH", "state", "established", stdout=asyncio.subprocess.PIPE
            )
            listing, _ = await shown.communicate()
        lines = listing.decode().splitlines()
        downstream = [line for line in lines if line.split()[2] == f"127.0.0.1:{port}"]
        upstream = [line for line in lines if line.split()[3] == f"127.0.0.1:{a.port}"]
        assert len(downstream) == len(upstream) == 1
        assert "timer:(keepalive,4min" in downstream[0]
        assert "timer:(keepalive,4min" in upstream[0]


async def test_wildcard_takes_both_families(ports: Ports) -> None:
    """The wildcard address serves IPv4 clients, and IPv6 clients where the host has IPv6."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a", address="*"))
        await envoy.until(port, Live, address="*")
        assert await who_serves(port) == "a"
        if wildcard_address() == "::":
            assert await who_serves(port, host="::1") == "a"
        assert envoy.addresses["standalone"].addresses


async def test_ipv6_listener_and_backend(ports: Ports) -> None:
    """An IPv6 address works as a listener's address and as an endpoint's."""
    if wildcard_address() != "::":
        pytest.skip("this host has no IPv6")
    port = ports.reserve()
    async with Backend("six", host="::1") as six, serving_envoy() as envoy:
        await envoy.until_applied(pool("six", ("::1", six.port)), forward(port, "six", address="::1"))
        assert await who_serves(port, host="::1") == "six"


async def test_dead_endpoint_ends_the_connection(ports: Ports) -> None:
    """A backend that refuses connections ends the client's connection soon, never holds it."""
    port, dead = ports.reserve(), ports.reserve()
    async with serving_envoy() as envoy:
        await envoy.until_applied(pool("dead", dead), forward(port, "dead"))

        async def probe() -> float:
            return (await ask(port)).seconds

        await eventually(probe, lambda seconds: seconds < 1, what="the connection ends")
