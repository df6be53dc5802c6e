"""A blocking call is waited for, whatever happens to who asked for it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tidegate.dataplanes.nftables.threads import to_the_end


async def test_result_and_arguments() -> None:
    """What the function returns comes back, from another thread."""
    assert await to_the_end(int, "11", base=2) == 3
    assert await to_the_end(threading.get_ident) != threading.get_ident()


async def test_what_it_raises() -> None:
    """An error comes back as it is."""
    with pytest.raises(ValueError, match="literal"):
        await to_the_end(int, "x")


@pytest.mark.parametrize("times", [1, 3])
async def test_cancelled_while_it_works(times: int) -> None:
    """The cancellation is passed on only after the function has ended, also when it is cancelled again."""
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        go_on.wait(10)
        ended.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(to_the_end(work))
        await asyncio.to_thread(began.wait, 10)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        await asyncio.wait([task])
    assert task.cancelled()
    assert ended.is_set()
