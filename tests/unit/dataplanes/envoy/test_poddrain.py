"""Draining: not ready any more, serving on for a while, and ended with the last connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from support.planes import short_directory
from tidegate.dataplanes.envoy.poddrain import drain
from tidegate.errors import DataPlaneError


class Admin:
    """Envoy's admin interface as far as draining needs it: ``active`` connections at each question."""

    def __init__(self, *active: int) -> None:
        self.active = list(active)
        self.said: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Any request."""
        if request.path != "/stats":
            self.said.append(request.path)
            return web.Response(text="OK\n")
        count = self.active.pop(0) if len(self.active) > 1 else self.active[0]
        self.said.append(str(count))
        return web.Response(text=f"listener.a/TCP/any/80.downstream_cx_active: {count}\n")


@asynccontextmanager
async def serving(admin: Admin) -> AsyncIterator[Path]:
    """The interface at a socket."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", admin.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    with short_directory() as directory:
        await web.UnixSite(runner, str(directory / "admin.sock")).start()
        try:
            yield directory / "admin.sock"
        finally:
            await runner.cleanup()


async def test_the_steps_in_order() -> None:
    """Not ready; connections are taken until none is open; then none is taken, and those that came may end."""
    admin = Admin(2, 1, 0, 1, 0)
    async with serving(admin) as socket:
        assert await asyncio.to_thread(drain, socket, 60.0, notice=0.0)
    assert admin.said == ["/healthcheck/fail", "2", "1", "0", "/drain_listeners", "1", "0"]


async def test_nobody_to_wait_for() -> None:
    """Without a connection it is over as soon as balancers had time to notice."""
    admin = Admin(0)
    loop = asyncio.get_running_loop()
    async with serving(admin) as socket:
        began = loop.time()
        assert await asyncio.to_thread(drain, socket, 60.0, notice=0.1)
        assert 0.1 <= loop.time() - began < 5.0


async def test_the_time_is_over() -> None:
    """It gives up when the time is over, and says that connections are left."""
    admin = Admin(1)
    async with serving(admin) as socket:
        assert not await asyncio.to_thread(drain, socket, 0.3, notice=0.0)
    assert "/drain_listeners" not in admin.said


async def test_no_time_at_all() -> None:
    """With no time to wait it only says that it is not ready."""
    admin = Admin(1)
    async with serving(admin) as socket:
        assert not await asyncio.to_thread(drain, socket, 0.0)
    assert admin.said == ["/healthcheck/fail"]


def test_no_envoy(tmp_path: Path) -> None:
    """Where no Envoy answers there is nothing to drain, which is an error."""
    with pytest.raises(DataPlaneError, match="does not answer"):
        drain(tmp_path / "admin.sock", 1.0)
