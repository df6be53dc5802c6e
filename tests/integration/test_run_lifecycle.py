"""Deaths and ends: of Envoy, of the controller, by signal; what serves on, what is adopted, what drains."""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from support.backends import Backend
from support.clients import Ending, connection, crowd, probing, who_serves
from support.instances import Instances
from support.manifests import Manifest, backend, gateway, listener, parent, tcproute, write
from support.planes import short_directory
from support.ports import Ports
from support.waiting import eventually, steadily
from tidegate.admin.view import State
from tidegate.app import standalone
from tidegate.dataplanes.envoy.binary import find
from tidegate.instance import claim
from tidegate.settings import RunSettings
from tidegate.sources.backends import parse_backends
from tidegate.sources.base import Batch
from tidegate.sources.standalone import StandaloneSource
from tidegate.telemetry.events import Event


def documents(port: int, app: str = "red") -> list[Manifest]:
    """One listener and a route to one backend."""
    return [gateway("edge", [listener("tcp", port)]), tcproute("app", [parent("edge")], [backend(app)])]


def to(*backends: Backend) -> list[str]:
    """The flags that say where the backends are."""
    return [text for entry in backends for text in ("--backend", f"{entry.name}:6000={entry.address}")]


class Failing(StandaloneSource):
    """Input that fails once ``now`` is set, as nothing but a mistake of ours does."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.now = asyncio.Event()

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """All there is, and then an error."""
        async for batch in super().batches():
            yield batch
            await self.now.wait()
            raise ZeroDivisionError


class FailingAtTheEnd(StandaloneSource):
    """Input that fails when it is closed."""

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """All there is, and an error instead of an orderly end."""
        try:
            async for batch in super().batches():
                yield batch
        finally:
            raise ZeroDivisionError


class Watching:
    """An observer that can fail."""

    fails = False

    def on_state(self, _: State) -> None:
        """Something changed."""
        if self.fails:
            raise ZeroDivisionError

    def on_event(self, _: Event) -> None:
        """Something happened."""


@asynccontextmanager
async def in_process(
    source: StandaloneSource,
    state_dir: Path,
    port: int,
    *,
    observer: Watching | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncIterator[tuple[asyncio.Task[None], list[BaseException]]]:
    """An instance in the test's own process, as a caller of the Python API has one: its task, and what ended it."""
    settings = RunSettings(paths=("unread",), state_dir=state_dir, drain_time=0.0)
    stop = stop or asyncio.Event()
    ended: list[BaseException] = []

    async def run() -> None:
        with claim(settings.name, state_dir) as directory:
            try:
                await standalone._Running(settings, directory, source, observer).serve(stop, asyncio.Event())
            except BaseException as error:  # noqa: BLE001 - for the test to look at
                ended.append(error)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run())
        await eventually(lambda: who_serves(port), lambda who: who == "red", what="it serves", within=15)
        yield task, ended


async def test_killed_envoy_is_replaced(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """After kill -9 of Envoy the listener is not Live, then a new Envoy serves; counters do not fall back."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red:
        instance = tidegate.start(manifest, *to(red))
        await instance.wait_ready()
        for _ in range(5):
            assert await who_serves(port) == "red"
        before = await instance.wait(lambda state: state.listeners[0].opened == 5, what="connections are counted")
        (envoy,) = instance.envoys()
        envoy.kill()
        await instance.wait(lambda state: state.listeners[0].state != "Live", what="the loss shows", within=2)
        await eventually(lambda: who_serves(port), lambda who: who == "red", what="traffic returns", within=10)
        await instance.wait_listener("tcp", "Live")
        (successor,) = instance.envoys()
        assert successor.pid != envoy.pid
        state = await instance.wait(lambda state: state.listeners[0].opened >= 6, what="the new connection is counted")
        assert state.listeners[0].received >= before.listeners[0].received


async def test_killed_controller_is_succeeded_without_a_lost_connection(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """Envoy serves on after kill -9 of the controller, and the next start adopts it: nobody notices."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red, Backend("blue") as blue:
        first = tidegate.start(manifest, *to(red, blue))
        await first.wait_ready()
        (envoy,) = first.envoys()
        async with crowd(port, 20) as people, probing(port, loops=2) as probe:
            await first.kill()
            await steadily(lambda: who_serves(port), lambda who: who == "red", what="Envoy serves on", during=0.5)
            second = tidegate.start(manifest, *to(red, blue), state_dir=first.state_dir)
            await second.wait_ready()
            await second.wait_listener("tcp", "Live")
            assert [process.pid for process in second.envoys()] == [envoy.pid]
            write(manifest, *documents(port, "blue"))
            await eventually(lambda: who_serves(port), lambda who: who == "blue", what="the successor controls it")
            await people.check()
            assert not people.broken
        assert not probe.tally.refused


async def test_edit_made_while_no_controller_ran_is_followed(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """The successor compares what Envoy has with what the files say now, and changes what differs."""
    port, gone = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(
        manifest,
        gateway("edge", [listener("tcp", port), listener("gone", gone)]),
        tcproute("app", [parent("edge")], [backend("red")]),
    )
    async with Backend("red") as red, Backend("blue") as blue:
        first = tidegate.start(manifest, *to(red, blue))
        await first.wait_ready()
        async with crowd(port, 5) as people:
            await first.kill()
            write(manifest, *documents(port, "blue"))
            second = tidegate.start(manifest, *to(red, blue), state_dir=first.state_dir)
            await second.wait_ready()
            assert await who_serves(port) == "blue"
            await eventually(lambda: who_serves(gone), lambda who: who == "connection refused", what="it is closed")
            await people.check()
            assert not people.broken


async def test_another_envoy_program_takes_over_beside_the_old(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """A start with another program brings a new generation beside the old, which keeps its connections."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    other = tmp_path / "envoy"
    shutil.copy(find(None).path, other)
    with other.open("ab") as file:
        file.write(b"\n")
    write(manifest, *documents(port))
    async with Backend("red") as red:
        first = tidegate.start(manifest, *to(red))
        await first.wait_ready()
        (old,) = first.envoys()
        async with crowd(port, 20) as people:
            async with probing(port, loops=2) as probe:
                await first.kill()
                second = tidegate.start(manifest, *to(red), "--envoy", other, state_dir=first.state_dir)
                await second.wait_ready()
                await eventually(
                    lambda: asyncio.to_thread(second.envoys), lambda found: len(found) == 2, what="two generations"
                )
                await second.wait_listener("tcp", "Live")
                await steadily(lambda: who_serves(port), lambda who: who == "red", what="it serves", during=1)
            await people.check()
            assert not people.broken
        assert probe.tally.served["red"] > 100
        assert probe.tally.refused.total() <= 2
        await eventually(
            lambda: asyncio.to_thread(second.envoys),
            lambda found: bool(found) and old.pid not in [process.pid for process in found],
            what="the old generation ends after its last connection",
            within=15,
        )
        assert await who_serves(port) == "red"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
async def test_end_drains_and_leaves_nothing(
    tidegate: Instances, ports: Ports, tmp_path: Path, number: signal.Signals
) -> None:
    """New connections are refused, an open one may end by itself, then everything is gone; status 0."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red:
        instance = tidegate.start(manifest, *to(red))
        await instance.wait_ready()
        async with connection(port) as conversation:
            assert await conversation.line() == "red"
            instance.send(number)
            await eventually(
                lambda: who_serves(port), lambda who: who == Ending.NOT_LISTENING.value, what="it accepts no more"
            )
            assert await conversation.echoes("still here")
            assert instance.process.poll() is None
            shown = await tidegate.run("status", "--state-dir", instance.state_dir)
            assert shown.status == 2
            assert "instance default is draining" in shown.errors
        assert await instance.ended(within=5) == 0
    assert not instance.envoys()


async def test_drain_time_bounds_the_end(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A connection that does not end by itself is cut after the drain time."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red:
        instance = tidegate.start(manifest, *to(red), "--drain-time", "1s")
        await instance.wait_ready()
        async with connection(port) as conversation:
            assert await conversation.line() == "red"
            start = time.monotonic()
            instance.send(signal.SIGTERM)
            assert await instance.ended(within=10) == 0
            assert 0.9 < time.monotonic() - start < 6
    assert not instance.envoys()


async def test_keep_leaves_everything_serving(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """With --on-exit keep the command ends at once, Envoy serves on, and the next start adopts it."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red:
        first = tidegate.start(manifest, *to(red), "--on-exit", "keep")
        await first.wait_ready()
        (envoy,) = first.envoys()
        async with crowd(port, 5) as people, probing(port) as probe:
            first.send(signal.SIGTERM)
            assert await first.ended(within=5) == 0
            await steadily(lambda: who_serves(port), lambda who: who == "red", what="Envoy serves on", during=0.3)
            second = tidegate.start(manifest, *to(red), state_dir=first.state_dir)
            await second.wait_ready()
            assert [process.pid for process in second.envoys()] == [envoy.pid]
            await people.check()
            assert not people.broken
        assert not probe.tally.refused
        second.send(signal.SIGTERM)
        assert await second.ended() == 0
    assert not second.envoys()


async def test_an_error_of_our_own_leaves_everything_serving(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """As a crash does: Envoy serves on, and the next start adopts it."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red:
        with short_directory() as state_dir:
            source = Failing([str(manifest)], backends=parse_backends([f"red:6000={red.address}"]))
            async with in_process(source, state_dir, port) as (task, ended), connection(port) as held:
                assert await held.line() == "red"
                with structlog.testing.capture_logs() as events:
                    source.now.set()
                    await asyncio.wait({task})
                assert isinstance(ended[0], ZeroDivisionError | BaseExceptionGroup)
                assert any("what is served goes on" in event["event"] for event in events)
                assert await held.echoes("did not notice")
                assert await who_serves(port) == "red"
                second = tidegate.start(manifest, *to(red), "--drain-time", "0s", state_dir=state_dir)
                await second.wait_ready()
                assert await held.echoes("did not notice either")
            second.send(signal.SIGTERM)
            assert await second.ended() == 0
            assert not second.envoys()


@pytest.mark.parametrize("how", ["cancels", "fails in watching"])
async def test_a_caller_ends_everything(ports: Ports, tmp_path: Path, how: str) -> None:
    """Whoever runs it in a program of his own, and does not want it any more, is left with no Envoy."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red:
        with short_directory() as state_dir:
            source = StandaloneSource([str(manifest)], backends=parse_backends([f"red:6000={red.address}"]))
            watching = Watching()
            async with in_process(source, state_dir, port, observer=watching) as (task, ended):
                if how == "cancels":
                    task.cancel()
                else:
                    watching.fails = True
                    assert await who_serves(port) == "red"
                await asyncio.wait({task})
                assert ended
                assert await who_serves(port) == Ending.NOT_LISTENING.value


async def test_an_error_on_the_way_to_a_wanted_end_leaves_nothing(ports: Ports, tmp_path: Path) -> None:
    """Whoever asked for the end has it."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red:
        with short_directory() as state_dir:
            source = FailingAtTheEnd([str(manifest)], backends=parse_backends([f"red:6000={red.address}"]))
            stop = asyncio.Event()
            async with in_process(source, state_dir, port, stop=stop) as (task, ended):
                stop.set()
                await asyncio.wait({task})
                assert isinstance(ended[0], ZeroDivisionError | BaseExceptionGroup)
                assert await who_serves(port) == Ending.NOT_LISTENING.value


async def test_end_without_the_state_directory(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A session that ends takes its directories along: the end is an orderly one all the same."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red:
        instance = tidegate.start(manifest, *to(red))
        await instance.wait_ready()
        shutil.rmtree(instance.state_dir)
        instance.send(signal.SIGTERM)
        assert await instance.ended() == 0
        assert "internal error" not in instance.text()
        assert await who_serves(port) == Ending.NOT_LISTENING.value


async def test_hangup_rereads(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """With --no-watch an edit waits for SIGHUP."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red, Backend("blue") as blue:
        instance = tidegate.start(manifest, *to(red, blue), "--no-watch")
        await instance.wait_ready()
        write(manifest, *documents(port, "blue"))
        await steadily(lambda: who_serves(port), lambda who: who == "red", what="nobody looks", during=0.5)
        instance.send(signal.SIGHUP)
        await eventually(lambda: who_serves(port), lambda who: who == "blue", what="the file is read again")


async def test_second_instance_of_a_name_is_refused(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A directory belongs to one instance at a time; the second says who is there, and hurts nobody."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red:
        instance = tidegate.start(manifest, *to(red))
        await instance.wait_ready()
        finished = await tidegate.run("run", manifest, *to(red), "--state-dir", instance.state_dir)
        assert finished.status not in (0, 1)
        assert str(instance.pid) in finished.errors
        assert await who_serves(port) == "red"
