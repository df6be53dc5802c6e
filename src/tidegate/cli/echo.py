"""The demo's backends: small servers that answer each line with their own name, and the client for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

HOST = "127.0.0.1"
ANSWER_SECONDS = 5.0


@contextlib.asynccontextmanager
async def echo_backend(name: str) -> AsyncIterator[int]:
    """Serve on a free loopback port while the block lasts; gives the port."""
    talks: set[asyncio.StreamWriter] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(writer)
        try:
            with contextlib.suppress(ConnectionError):
                while line := await reader.readline():
                    writer.write(f"{name} answers: ".encode() + line)
                    await writer.drain()
        finally:
            talks.discard(writer)
            writer.close()

    server = await asyncio.start_server(talk, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in tuple(talks):
            writer.close()
        await server.wait_closed()


async def ask(port: int, text: str) -> str | None:
    """The answer to a line sent to a loopback port; None when the connection is refused or ended at once."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(f"{text}\n".encode())
                await writer.drain()
                answer = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    return answer.decode(errors="replace").rstrip("\n") or None
