"""What runs only while a replica leads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from support.waiting import eventually
from tidegate.app.leadership import Leadership


class Part:
    """Something that a leader does."""

    def __init__(self) -> None:
        self.running = 0
        self.begun = 0

    async def run(self) -> None:
        self.running += 1
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.running -= 1

    async def runs(self) -> int:
        return self.running


@contextlib.asynccontextmanager
async def led(*parts: Part) -> AsyncIterator[Leadership]:
    leadership = Leadership({str(number): part.run for number, part in enumerate(parts)})
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(leadership.run())
        try:
            yield leadership
        finally:
            task.cancel()


async def test_parts_run_while_leading_and_again_the_next_time() -> None:
    """Losing and winning the lease ends and begins every part, as often as it happens."""
    part, other = Part(), Part()
    async with led(part, other) as leadership:
        for turn in (1, 2):
            leadership.stand(leads=True)
            await eventually(part.runs, lambda running: running == 1, what="the part runs")
            assert (other.running, leadership.leads, part.begun) == (1, True, turn)
            leadership.stand(leads=False)
            await eventually(part.runs, lambda running: running == 0, what="the part has ended")
            assert (other.running, leadership.leads) == (0, False)


async def test_a_replica_that_ends_leaves_no_part_behind() -> None:
    """The parts end with it."""
    part = Part()
    async with led(part) as leadership:
        leadership.stand(leads=True)
        await eventually(part.runs, what="the part runs")
    assert part.running == 0


async def test_a_part_that_fails_is_not_hidden() -> None:
    """A bug ends the replica, so that another one can lead."""

    async def fails() -> None:
        raise ValueError("a bug")

    leadership = Leadership({"part": fails})
    leadership.stand(leads=True)
    with pytest.raises(ExceptionGroup):
        await leadership.run()
