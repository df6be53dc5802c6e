"""Envoy outlives its controller, comes back from its own death, and is replaced without a lost connection."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from support.backends import Backend
from support.clients import Conversation, Tally, ask, connection, crowd, who_serves
from support.envoys import envoy_plane, serving_envoy
from support.planes import serving, short_directory
from support.plans import forward, pool, remove
from support.ports import Ports
from support.waiting import eventually
from tidegate.dataplanes.envoy import generations
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.plan.outcome import Live, Pending


@pytest.fixture
def directory() -> Iterator[Path]:
    """A plane's directory; no Envoy of it runs after the test."""
    with short_directory() as path:
        yield path
        for one in generations.survivors(path):
            one.process.send(signal.SIGKILL)


def running(directory: Path) -> list[int]:
    """The Envoys that live in a directory."""
    return [one.process.pid for one in generations.survivors(directory)]


def left_behind(directory: Path) -> list[Path]:
    """Directories of generations."""
    return list(directory.glob("gen-*"))


def sockets_of(directory: Path) -> list[Path]:
    """Sockets of all generations."""
    return list(directory.glob("gen-*/*.sock"))


def mode(path: Path) -> int:
    """The permissions of a file."""
    return path.stat().st_mode & 0o777


@asynccontextmanager
async def probing(port: int, *, loops: int = 2) -> AsyncIterator[Tally]:
    """Connect to the port again and again during the block."""
    tally, stopped = Tally(), False

    async def probe() -> None:
        while not stopped:
            tally.add(await ask(port))

    async with asyncio.TaskGroup() as group:
        for _ in range(loops):
            group.create_task(probe())
        try:
            yield tally
        finally:
            stopped = True


async def test_killed_envoy_comes_back(ports: Ports, directory: Path) -> None:
    """After kill -9 the outcome is Pending with a reason; Envoy is started again and traffic returns."""
    port = ports.reserve()
    async with Backend("a") as a, serving(envoy_plane(directory)) as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        for _ in range(2):
            (pid,) = running(directory)
            os.kill(pid, signal.SIGKILL)
            pending = await envoy.until(port, Pending)
            assert "SIGKILL" in pending.message
            await envoy.until(port, Live)
            assert await who_serves(port) == "a"
            assert running(directory) != [pid]


async def test_changes_while_envoy_is_down_are_not_lost(ports: Ports, directory: Path) -> None:
    """What changes between the death of an Envoy and its return is served afterwards."""
    port = ports.reserve()
    async with Backend("a") as a, Backend("b") as b, serving(envoy_plane(directory)) as envoy:
        await envoy.until_applied(pool("a", a.port), pool("b", b.port), forward(port, "a"))
        (pid,) = running(directory)
        os.kill(pid, signal.SIGKILL)
        await envoy.until(port, Pending)
        await envoy.until_applied(forward(port, "b"))
        assert await who_serves(port) == "b"


async def test_kept_envoy_is_adopted(ports: Ports, directory: Path) -> None:
    """After close without drain, traffic goes on; the next plane adopts the Envoy and resets nobody."""
    port = ports.reserve()
    async with Backend("a") as a, Backend("b") as b:
        async with serving(envoy_plane(directory), drain=None) as envoy:
            await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        before = running(directory)
        assert len(before) == 1
        async with crowd(port, 20) as present, probing(port) as tally:
            async with serving(envoy_plane(directory), drain=None) as envoy:
                await envoy.until_applied(pool("a", a.port), forward(port, "a"))
                assert running(directory) == before
                await envoy.until_applied(pool("b", b.port), forward(port, "b"))
                await present.check()
            assert not present.broken
        assert not tally.refused
        assert tally.served["b"] > 0
        async with serving(envoy_plane(directory)) as envoy:
            assert running(directory) == before
            envoy.apply({})
    assert running(directory) == []


async def test_adoption_sends_nothing_that_is_unchanged(ports: Ports, directory: Path) -> None:
    """An adopted Envoy gets no resource that it has, and loses those that the plan no longer holds."""
    kept, gone = ports.reserve(), ports.reserve()
    async with Backend("a") as a:
        plan = pool("a", a.port) | forward(kept, "a")
        async with serving(envoy_plane(directory), drain=None) as envoy:
            await envoy.until_applied(plan, forward(gone, "a"))
        (survivor,) = generations.survivors(directory)
        before = await survivor.admin.get("/stats?filter=listener_added|listener_modified|cluster_updated")
        async with serving(envoy_plane(directory), drain=None) as envoy:
            await envoy.until_applied(plan)
            await envoy.until(kept, Live)

            async def probe() -> str:
                return await who_serves(gone)

            await eventually(probe, lambda answer: answer == "connection refused", what="the port closes")
        after = await survivor.admin.get("/stats?filter=listener_added|listener_modified|cluster_updated")
        await survivor.end()
        assert before == after


async def test_nothing_is_removed_before_the_first_plan(ports: Ports, directory: Path) -> None:
    """An adopted Envoy serves on until the first plan is applied, however long that takes."""
    port = ports.reserve()
    async with Backend("a") as a:
        async with serving(envoy_plane(directory), drain=None) as envoy:
            await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        async with serving(envoy_plane(directory)) as envoy, probing(port) as tally:
            await asyncio.sleep(1.5)
            await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        assert not tally.refused


async def test_adopted_envoy_is_watched(ports: Ports, directory: Path) -> None:
    """An adopted Envoy, no child of ours, is restarted too when it dies."""
    port = ports.reserve()
    async with Backend("a") as a:
        async with serving(envoy_plane(directory), drain=None) as envoy:
            await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        async with serving(envoy_plane(directory)) as envoy:
            await envoy.until_applied(pool("a", a.port), forward(port, "a"))
            (pid,) = running(directory)
            os.kill(pid, signal.SIGKILL)
            await envoy.until(port, Pending)
            await envoy.until(port, Live)
            assert await who_serves(port) == "a"


async def test_killed_controller_loses_nothing(ports: Ports, directory: Path) -> None:
    """After kill -9 of the controller, traffic goes on; the next one adopts, with nobody refused or reset."""
    port = ports.reserve()
    script = Path(__file__).parents[1] / "support/controller_main.py"
    async with Backend("a") as a, Backend("b") as b:
        controller = await asyncio.create_subprocess_exec(
            sys.executable, script, str(directory), str(port), str(a.port),
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(script.parents[1])},
        )  # fmt: skip
        assert controller.stdout is not None
        async with asyncio.timeout(20):
            while await controller.stdout.readline() != b"live\n":
                continue
        before = running(directory)
        async with crowd(port, 50) as present, probing(port) as tally:
            controller.kill()
            await controller.wait()
            await present.check()
            async with serving(envoy_plane(directory), drain=None) as envoy:
                await envoy.until_applied(pool("a", a.port), forward(port, "a"))
                assert running(directory) == before
                await envoy.until_applied(pool("b", b.port), forward(port, "b"))
                assert await who_serves(port) == "b"
                await present.check()
        assert not present.broken
        assert not tally.refused


async def test_other_options_replace_envoy_beside_the_old(ports: Ports, directory: Path) -> None:
    """A new generation takes over while the old one keeps its connections, and the old one ends with them."""
    port = ports.reserve()
    async with Backend("a") as a:
        plan = pool("a", a.port) | forward(port, "a")
        async with serving(envoy_plane(directory), drain=None) as envoy:
            await envoy.until_applied(plan)
        (old,) = running(directory)
        async with serving(envoy_plane(directory, EnvoyOptions(concurrency=2))) as envoy, probing(port) as tally:
            async with crowd(port, 20) as present:
                await envoy.until_applied(plan)
                await envoy.until(port, Live)
                (draining, current) = generations.survivors(directory)
                assert draining.process.pid == old

                async def drained() -> bool:
                    return generations.survivors(directory)[0].draining

                await eventually(drained, what="the old one accepts nothing")
                assert current.process.pid != old
                await present.check()
                assert not present.broken
                present.stop()

            async def ended() -> bool:
                return old not in running(directory)

            await eventually(ended, what="the old one ends with its last connection")
        assert tally.refused.total() <= 2, tally.refused
        assert tally.served.total() > 100


async def test_close_waits_for_connections(ports: Ports, directory: Path) -> None:
    """Close with drain accepts nothing more, lets open connections go on, and ends with the last of them."""
    port = ports.reserve()
    async with Backend("a") as a, connection_after_close(directory, port, a) as (client, closing):

        async def probe() -> str:
            return await who_serves(port)

        await eventually(probe, lambda answer: answer == "connection refused", what="nothing is accepted")
        assert await client.echoes("still here")
        assert not closing.done()
        client.close()
        async with asyncio.timeout(5):
            await closing
        assert running(directory) == []
        assert left_behind(directory) == []


@asynccontextmanager
async def connection_after_close(
    directory: Path, port: int, backend: Backend
) -> AsyncIterator[tuple[Conversation, asyncio.Task[None]]]:
    """A connection that is open while the plane closes with a long drain."""
    opened, close = asyncio.Event(), asyncio.Event()

    async def serve() -> None:
        async with serving(envoy_plane(directory), drain=30) as envoy:
            await envoy.until_applied(pool("a", backend.port), forward(port, "a"))
            opened.set()
            await close.wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve())
        await opened.wait()
        async with connection(port) as client:
            assert await client.line() == "a"
            close.set()
            yield client, task


async def test_close_ends_connections_after_the_drain_time(ports: Ports, directory: Path) -> None:
    """When the drain time is over, connections still open are ended."""
    port = ports.reserve()
    async with Backend("a") as a:
        async with serving(envoy_plane(directory), drain=0.3) as envoy:
            await envoy.until_applied(pool("a", a.port), forward(port, "a"))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.readline() == b"a\n"
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        writer.close()
    assert running(directory) == []


async def test_ctrl_c_does_not_reach_envoy(directory: Path) -> None:
    """Envoy has a session of its own."""
    async with serving(envoy_plane(directory)) as envoy:
        envoy.apply({})
        (pid,) = running(directory)
        assert os.getsid(pid) == pid != os.getsid(0)


async def test_envoy_may_open_as_many_files_as_the_system_permits(directory: Path) -> None:
    """The soft limit of open files is raised to the hard limit for Envoy."""
    async with serving(envoy_plane(directory)):
        (pid,) = running(directory)

        async def limits() -> tuple[int, int]:
            return psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE)

        await eventually(limits, lambda found: found[0] == found[1], what="soft limit equals hard limit")


async def test_sockets_are_private(directory: Path) -> None:
    """The directory and every socket in it are for this user only."""
    async with serving(envoy_plane(directory)) as envoy:
        envoy.apply({})

        async def sockets() -> list[Path]:
            return sockets_of(directory)

        found = await eventually(sockets, lambda paths: len(paths) == 3, what="three sockets")
        assert mode(directory) == 0o700
        assert all(mode(path.parent) == 0o700 for path in found)


async def test_empty_plan_is_served_and_changed(ports: Ports) -> None:
    """A plan without sockets is a plan too; what is added to it later is served."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        envoy.apply({})
        await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        assert await who_serves(port) == "a"
        envoy.apply(remove(port))
