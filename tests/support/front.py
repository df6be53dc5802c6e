"""A Service in front of some servers, played by a relay: what connects to it reaches one of them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

CHUNK = 65536


class Front:
    """Listens on an address and relays each connection to the first of ``targets`` that accepts one.

    ``targets`` (``host:port``) may change at any time; connections that stand are not touched. With none, every
    connection is closed at once. Use as an async context manager.
    """

    def __init__(self, host: str, port: int) -> None:
        self.targets: list[str] = []
        self.port = port
        self._host = host
        self._relays: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._relays, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """End every connection that stands."""
        for relay in self._relays:
            relay.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.current_task()
        assert relay is not None
        self._relays.add(relay)
        try:
            onward = await self._onward()
            if onward is not None:
                await _relay((reader, writer), onward)
        except asyncio.CancelledError:
            pass  # Cut, or at the end.
        finally:
            self._relays.discard(relay)
            writer.close()

    async def _onward(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for target in tuple(self.targets):
            host, _, port = target.rpartition(":")
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(host, int(port))
        return None


async def _relay(
    first: tuple[asyncio.StreamReader, asyncio.StreamWriter], second: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Until one side ends."""
    ways = [asyncio.ensure_future(_copy(first[0], second[1])), asyncio.ensure_future(_copy(second[0], first[1]))]  # noqa: TID251 - ended below
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        second[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
