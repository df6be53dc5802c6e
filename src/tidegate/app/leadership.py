"""What a replica does only while it leads: started when it becomes the leader, ended before it stops being it.

In: standings from the election, and the parts to run. Out: nothing; a part that fails ends the replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

Part = Callable[[], Coroutine[Any, Any, None]]


class Leadership:
    """Runs ``parts`` (by name) while leading. Each of them runs until cancelled."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self._parts = parts
        self._leading = asyncio.Event()
        self._following = asyncio.Event()
        self._following.set()

    @property
    def leads(self) -> bool:
        """Whether the parts run, or are about to."""
        return self._leading.is_set()

    def stand(self, *, leads: bool) -> None:
        """Take the outcome of an election."""
        came, went = (self._leading, self._following) if leads else (self._following, self._leading)
        went.clear()
        came.set()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await self._leading.wait()
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(part(), name=f"leader {name}") for name, part in self._parts.items()]
                await self._following.wait()
                for one in running:
                    one.cancel()
