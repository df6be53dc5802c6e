"""The supervisor restarts what ends, with patience, and replaces what does not answer.

That real Envoys are adopted, replaced and drained is shown in tests/integration/test_envoy_processes.py.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import structlog.testing

from support.planes import short_directory
from support.waiting import eventually
from tidegate.dataplanes.envoy import generations
from tidegate.dataplanes.envoy.binary import Binary
from tidegate.dataplanes.envoy.generations import Generation, Recipe
from tidegate.dataplanes.envoy.server import Conversation
from tidegate.dataplanes.envoy.supervisor import Supervisor
from tidegate.errors import DataPlaneError


class Diary:
    """A watcher that writes down what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.ending_numbers: list[int] = []
        self.ended_numbers: list[int] = []

    def down(self, message: str) -> None:
        self.messages.append(message)

    async def ending(self, generation: Generation) -> None:
        self.ending_numbers.append(generation.number)

    def ended(self, generation: Generation) -> None:
        self.ended_numbers.append(generation.number)


def nobody() -> Conversation:
    raise AssertionError("no stream was expected")


def program(directory: Path, script: str) -> Recipe:
    """A program in Envoy's place."""
    path = directory / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return Recipe(binary=Binary(path=path, digest=script, version="0"), bootstrap=b"", arguments=())


@asynccontextmanager
async def supervising(recipe: Recipe, base: Path) -> AsyncIterator[tuple[Supervisor, Diary]]:
    """A supervisor that has begun; everything it has is ended afterwards."""
    diary = Diary()
    supervisor = Supervisor(base, recipe, converse=nobody, watcher=diary)
    await supervisor.begin()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervisor.run())
        yield supervisor, diary
        task.cancel()
    await supervisor.end(drain=0)


async def test_restarts_with_growing_patience() -> None:
    """A program that ends at once is started again and again, later each time, and each end is told."""
    with short_directory() as base:
        async with supervising(program(base, "exit 3"), base) as (_, diary):

            async def thrice() -> bool:
                return len(diary.messages) >= 3

            await eventually(thrice, what="three ends")
        assert [message.rpartition(" in ")[2] for message in diary.messages[:3]] == ["0.1 s", "0.2 s", "0.4 s"]
        assert all("it ended with status 3" in message for message in diary.messages)
        assert len(diary.ended_numbers) >= 3


async def test_end_of_a_running_program_is_told_first() -> None:
    """Who watches may ask a last question before a program is ended; then its directory is gone."""
    with short_directory() as base:
        async with supervising(program(base, "exec sleep 60"), base) as (supervisor, diary):
            assert len(supervisor.pids) == 1
            assert [one.number for one in supervisor.generations()] == [1]
        assert diary.ending_numbers == diary.ended_numbers == [1]
        assert supervisor.generations() == []
        assert not (base / "gen-1").exists()


async def test_keeping_leaves_the_program_running() -> None:
    """Ending without drain time leaves the process and its directory for the next."""
    with short_directory() as base:
        recipe = program(base, "exec sleep 60")
        supervisor = Supervisor(base, recipe, converse=nobody, watcher=Diary())
        await supervisor.begin()
        await supervisor.end(drain=None)
        (left,) = generations.survivors(base)
        assert left.process.pid in supervisor.pids
        await left.end()


async def test_silent_survivor_is_replaced_not_adopted() -> None:
    """A process that fits but does not answer is no use: another is started, it is retired."""
    with short_directory() as base:
        recipe = program(base, "exec sleep 60")
        silent = generations.start(base, recipe)
        diary = Diary()
        supervisor = Supervisor(base, recipe, converse=nobody, watcher=diary)
        assert await supervisor.begin() == set()
        current = supervisor.current
        assert current is not None
        assert current.number == 2
        assert supervisor.waits_for_replacement
        async with asyncio.TaskGroup() as group:
            retiring = group.create_task(supervisor.retire())
            supervisor.replaced()
            await asyncio.sleep(0)
            silent.process.send(signal.SIGKILL)
            await retiring
        assert diary.ended_numbers == [1]
        assert not supervisor.waits_for_replacement
        await supervisor.end(drain=0)


async def test_a_directory_whose_sockets_would_not_work_starts_nothing() -> None:
    """A path that is too long for sockets is refused before any process begins."""
    with short_directory() as base:
        long = base / ("x" * 90)
        long.mkdir()
        supervisor = Supervisor(long, program(base, "exec sleep 60"), converse=nobody, watcher=Diary())
        with pytest.raises(DataPlaneError, match="too long for sockets"):
            await supervisor.begin()
        assert list(long.iterdir()) == []


async def test_an_end_that_is_cancelled_leaves_no_process() -> None:
    """A second Ctrl-C while connections drain ends everything at once: nobody would do so later."""
    with short_directory() as base:
        supervisor = Supervisor(
            base, program(base, "touch admin.sock; exec sleep 60"), converse=nobody, watcher=Diary()
        )
        await supervisor.begin()
        current = supervisor.current
        assert current is not None

        async def begun() -> bool:
            return current.has_begun

        await eventually(begun, what="the process")
        async with asyncio.TaskGroup() as tasks:
            end = tasks.create_task(supervisor.end(drain=60))
            await asyncio.sleep(0)
            end.cancel()
        assert not current.process.alive
        assert generations.survivors(base) == []


async def test_another_recipe_waits_for_its_replacement() -> None:
    """A survivor from another recipe goes on until it is replaced."""
    with short_directory() as base:
        recipe = program(base, "exec sleep 60")
        old = generations.start(base, recipe)
        newer = msgspec.structs.replace(recipe, arguments=("--other",))
        supervisor = Supervisor(base, newer, converse=nobody, watcher=Diary())
        await supervisor.begin()
        assert supervisor.waits_for_replacement
        assert supervisor.pids > {old.process.pid}
        await supervisor.end(drain=0)
        assert not old.process.alive


async def test_cancelled_end_leaves_nothing() -> None:
    """Whoever does not want to wait for connections gets all processes ended at once."""
    with short_directory() as base:
        diary = Diary()
        supervisor = Supervisor(base, program(base, "touch admin.sock; exec sleep 60"), converse=nobody, watcher=diary)
        await supervisor.begin()
        (only,) = supervisor.generations()

        async def begun() -> bool:
            return only.has_begun

        await eventually(begun, what="the program has begun")
        with structlog.testing.capture_logs() as events:
            async with asyncio.TaskGroup() as group:
                ending = group.create_task(supervisor.end(drain=60))

                async def waits() -> bool:
                    return any(event["event"] == "envoy does not drain" for event in events)

                await eventually(waits, what="the end waits")
                ending.cancel()
        assert ending.cancelled()
        assert len([event for event in events if event["event"] == "envoy does not drain"]) == 1
        assert not only.process.alive
        assert diary.ended_numbers == [1]
        assert supervisor.generations() == []
        assert list(base.glob("gen-*")) == []


async def test_program_that_has_not_begun_is_not_drained() -> None:
    """A process that has no admin interface yet serves nobody: it is ended without a question or a wait."""
    with short_directory() as base:
        supervisor = Supervisor(base, program(base, "exec sleep 60"), converse=nobody, watcher=Diary())
        await supervisor.begin()
        with structlog.testing.capture_logs() as events:
            async with asyncio.timeout(5):
                await supervisor.end(drain=60)
        assert events == []
