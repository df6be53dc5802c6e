"""Keeps one Envoy serving: adopts what an earlier controller left, restarts what dies, replaces what is old.

In: a recipe and a directory. Out: at any time one *current* generation with an xDS server beside it, and
*retiring* ones, which serve what the current one does not yet serve, then accept nothing more, and end with
their last connection. What the current one is told is left to the conversations that the owner makes.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Protocol

from tidegate.dataplanes.envoy import generations
from tidegate.dataplanes.envoy.generations import Generation, Recipe
from tidegate.dataplanes.envoy.server import Conversation, XdsServer
from tidegate.errors import DataPlaneError
from tidegate.telemetry.logs import logger

FIRST_BACK_OFF = 0.1
LONGEST_BACK_OFF = 10.0
_STEADY_SECONDS = 10.0
_POLL_SECONDS = 0.5
_DRAIN_POLL_SECONDS = 0.05

_log = logger("envoy")


class Watcher(Protocol):
    """Who wants to know how the processes fare."""

    def down(self, message: str) -> None:
        """No current generation serves, and why, in words."""
        ...

    async def ending(self, generation: Generation) -> None:
        """It is about to be ended: the last chance to ask it something."""
        ...

    def ended(self, generation: Generation) -> None:
        """Its process is gone."""
        ...


class Supervisor:
    """Owns the Envoy processes of one directory."""

    def __init__(self, base: Path, recipe: Recipe, *, converse: Callable[[], Conversation], watcher: Watcher) -> None:
        self._base = base
        self._recipe = recipe
        self._converse = converse
        self._watcher = watcher
        self._current: Generation | None = None
        self._server: XdsServer | None = None
        self._retiring: list[Generation] = []
        self._replaced = asyncio.Event()

    @property
    def current(self) -> Generation | None:
        """The generation that gets the configuration; None while there is none."""
        return self._current

    @property
    def pids(self) -> set[int]:
        """The processes that are ours."""
        return {one.process.pid for one in self.generations()}

    def generations(self) -> list[Generation]:
        """All that run, the current one last."""
        return [*self._retiring, *([self._current] if self._current is not None else [])]

    @property
    def steady(self) -> bool:
        """Whether there is a current process, and every process of ours is alive."""
        return self._current is not None and all(one.process.alive for one in self.generations())

    @property
    def waits_for_replacement(self) -> bool:
        """Whether an older generation still accepts connections until the current one can."""
        return any(not one.draining for one in self._retiring)

    async def begin(self) -> set[str]:
        """Adopt the fitting Envoy that runs, or start one. Returns the names of the sockets that it serves.

        Raises DataPlaneError.
        """
        survivors = await asyncio.to_thread(generations.survivors, self._base)
        fitting = [one for one in survivors if one.digest == self._recipe.digest and not one.draining]
        adopted = fitting[-1] if fitting else None
        self._retiring = [one for one in survivors if one is not adopted]
        names = set()
        if adopted is not None:
            try:
                names = await adopted.listener_names()
            except DataPlaneError as error:
                # A process that does not answer is no use; the new one takes over from it.
                _log.warning("envoy not adopted", pid=adopted.process.pid, reason=str(error))
                self._retiring.append(adopted)
                adopted = None
        if adopted is not None:
            await self._install(adopted)
            _log.info("envoy adopted", pid=adopted.process.pid)
        else:
            await self._start()
        if self._retiring:
            _log.info("older envoys serve until they are replaced", pids=[one.process.pid for one in self._retiring])
        return names

    async def run(self) -> None:
        """Restart the current generation whenever it ends, with back-off; until cancelled."""
        loop, delay = asyncio.get_running_loop(), FIRST_BACK_OFF
        while True:
            began, current = loop.time(), self._current
            reason = await current.process.wait() if current is not None else "it could not be started"
            if loop.time() - began > _STEADY_SECONDS:
                delay = FIRST_BACK_OFF
            await self._abandon()
            self._watcher.down(f"Envoy does not run: {reason}; it is started again in {delay:.1f} s")
            _log.error("envoy ended", reason=reason, restart_in=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_BACK_OFF)
            try:
                await self._start()
            except DataPlaneError as error:
                _log.error("envoy not started", reason=str(error))  # An expected failure, no bug.

    def replaced(self) -> None:
        """The current generation now serves all that the retiring ones do."""
        self._replaced.set()

    async def retire(self) -> None:
        """End the retiring generations: after ``replaced``, with their last connection. Returns when all have."""
        if self.waits_for_replacement:
            await self._replaced.wait()
        async with asyncio.TaskGroup() as tasks:
            for one in list(self._retiring):
                tasks.create_task(self._let_end(one), name=f"retire envoy {one.process.pid}")

    async def end(self, *, drain: float | None) -> None:
        """Leave all serving (``drain`` None), or stop accepting, wait up to ``drain`` seconds, end all.

        Cancelled while it waits, it ends all at once: nobody would do so later.
        """
        if drain is None:
            await self._stop_server()
            for one in self.generations():
                await one.admin.close()
            return
        try:
            await self._stop_server()
            await self._drain(drain)
            await _each(self._finish(one) for one in self.generations())
        except BaseException:
            await self.kill()
            raise
        self._current, self._retiring = None, []

    async def kill(self) -> None:
        """End all processes at once, connections included, and remove what is left of them."""
        everyone = self.generations()
        self._current, self._retiring = None, []
        for one in everyone:
            one.process.send(signal.SIGKILL)
        for one in everyone:
            await one.process.wait()
            self._watcher.ended(one)
            await one.discard()

    async def _drain(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await _each(_drain_to_nothing(one) for one in self.generations())
        except TimeoutError:
            if seconds > 0:
                _log.info("drain time over", seconds=seconds)

    async def _start(self) -> None:
        generation = generations.start(self._base, self._recipe)
        try:
            await self._install(generation)
        except BaseException:
            # It serves nothing yet, and nobody else knows of it.
            generation.process.send(signal.SIGKILL)
            await generation.end()
            raise
        _log.info("envoy started", pid=generation.process.pid)

    async def _install(self, generation: Generation) -> None:
        server = XdsServer(generation.control_socket, self._converse)
        await server.start()
        self._current, self._server = generation, server

    async def _stop_server(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def _abandon(self) -> None:
        current, self._current = self._current, None
        await self._stop_server()
        if current is not None:
            self._watcher.ended(current)
            await current.discard()

    async def _finish(self, generation: Generation) -> None:
        if generation.process.alive:
            await self._watcher.ending(generation)
        await generation.end()
        self._watcher.ended(generation)

    async def _let_end(self, generation: Generation) -> None:
        await _until_unused(generation, _POLL_SECONDS)
        await self._finish(generation)
        self._retiring.remove(generation)
        _log.info("old envoy ended", pid=generation.process.pid)


async def _drain_to_nothing(generation: Generation) -> None:
    """As ``_until_unused``, but at once for one that just began: it cannot be asked, and serves nothing yet."""
    if generation.has_begun:
        await _until_unused(generation, _DRAIN_POLL_SECONDS)


async def _until_unused(generation: Generation, period: float) -> None:
    """Stop accepting and wait until no connection is left, or the process has ended."""
    told = None
    while generation.process.alive:
        try:
            if not generation.draining:
                await generation.drain()
            if await generation.active_connections() == 0:
                return
        except DataPlaneError as error:
            # Once per reason, not once per attempt.
            if str(error) != told:
                told = str(error)
                _log.warning("envoy does not drain", pid=generation.process.pid, reason=told)
        await asyncio.sleep(period)


async def _each(jobs: Iterable[Coroutine[None, None, None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for job in jobs:
            tasks.create_task(job)
