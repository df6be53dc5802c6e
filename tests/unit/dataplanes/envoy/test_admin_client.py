"""Envoy's admin interface is asked over a socket, and its failures are errors for people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from support.planes import short_directory
from tidegate.dataplanes.envoy.admin_client import AdminClient
from tidegate.errors import DataPlaneError

Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def admin(handler: Handler) -> AsyncIterator[Path]:
    """A server on a socket that answers as Envoy might."""
    with short_directory() as directory:
        runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.01)
        await runner.setup()
        await web.UnixSite(runner, str(directory / "admin.sock")).start()
        try:
            yield directory / "admin.sock"
        finally:
            await runner.cleanup()


async def describe(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.method} {request.raw_path}")


async def test_get_and_post() -> None:
    """The method and the path, escaped as given, reach the server; the body comes back."""
    async with admin(describe) as socket, AdminClient(socket) as client:
        assert await client.get("/stats?filter=%5Etcp") == b"GET /stats?filter=%5Etcp"
        assert await client.post("/drain_listeners") == b"POST /drain_listeners"


async def test_client_can_be_used_after_close() -> None:
    """Closing gives connections back, no more."""
    async with admin(describe) as socket:
        client = AdminClient(socket)
        await client.get("/a")
        await client.close()
        assert await client.get("/b") == b"GET /b"
        await client.close()
        await client.close()


async def test_error_status_is_told() -> None:
    """An answer that says no is an error with the status and the words."""

    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=405, text="method not allowed")

    async with admin(refuse) as socket, AdminClient(socket) as client:
        with pytest.raises(DataPlaneError, match="405: method not allowed"):
            await client.get("/quit")


async def test_silence_is_an_error() -> None:
    """An Envoy that does not answer in time is reported."""

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with admin(hang) as socket, AdminClient(socket, timeout=0.05) as client:
        with pytest.raises(DataPlaneError, match=r"does not answer GET /stats: nothing came within 0\.05 s$"):
            await client.get("/stats?a")


async def test_missing_socket_is_an_error(tmp_path: Path) -> None:
    """An Envoy that is not there is reported in plain words."""
    async with AdminClient(tmp_path / "missing.sock") as client:
        with pytest.raises(DataPlaneError, match=r"does not answer GET /stats: No such file or directory$"):
            await client.get("/stats")
