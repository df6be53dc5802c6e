"""Coroutines that run beside a test, and end with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def running(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run them until the block is left; what one of them raises ends the block."""
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(one) for one in coroutines]
        try:
            yield
        finally:
            for task in started:
                task.cancel()
