"""Waiting for something to become true, with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sized
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01


async def eventually(
    probe: Callable[[], Awaitable[T]],
    holds: Callable[[T], bool] = bool,
    *,
    what: str,
    within: float = 5.0,
    every: float = POLL_SECONDS,
) -> T:
    """The first answer of ``probe`` for which ``holds`` is true, asked again every ``every`` seconds.

    Fails the test after ``within`` seconds, saying ``what`` was awaited and the last answer.
    """
    deadline = time.monotonic() + within
    while True:
        answer = await probe()
        if holds(answer):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}; last answer: {answer!r}")
        await asyncio.sleep(every)


async def steadily(
    probe: Callable[[], Awaitable[T]],
    holds: Callable[[T], bool] = bool,
    *,
    what: str,
    during: float,
    every: float = POLL_SECONDS,
) -> None:
    """Fails the test when ``holds`` is false for any answer of ``probe`` during ``during`` seconds."""
    end = time.monotonic() + during
    while time.monotonic() < end:
        answer = await probe()
        if not holds(answer):
            raise AssertionError(f"no longer so: {what}; answer: {answer!r}")
        await asyncio.sleep(every)


async def arrival(seen: Sized, count: int, *, what: str) -> None:
    """Returns once so many of ``what`` were ``seen``, and fails the test when they do not come."""

    async def probe() -> int:
        return len(seen)

    await eventually(probe, lambda found: found >= count, what=f"{count} {what}")


async def silence(seen: Sized, *, during: float) -> None:
    """Fails the test when more is ``seen`` in the next ``during`` seconds than now."""
    before = len(seen)

    async def probe() -> int:
        return len(seen)

    await steadily(probe, lambda count: count == before, what="silence", during=during)
