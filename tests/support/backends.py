"""TCP servers that stand behind a gateway in tests: they say who they are and count what reaches them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from support.netns import Host

CHUNK = 65536

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Backend:
    """A TCP server on a loopback port, or on another host of the test (``at``). Use as an async context manager.

    By default it speaks first: its name and a newline, then it echoes until the client is done. The
    ``speak`` argument replaces that by another conversation; the connection is closed when it returns.
    """

    def __init__(
        self,
        name: str,
        speak: Speak | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        at: Host | None = None,
    ) -> None:
        self.name = name
        self._at = at
        self.host = host
        self.port = port
        self.accepted = 0
        self._speak = speak or greet_and_echo(name)
        self._writers: set[asyncio.StreamWriter] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """``host:port``, as ``--backend`` takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def active(self) -> int:
        """How many connections are open now."""
        return len(self._writers)

    async def start(self) -> None:
        """Listen; ``port`` says where."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with self._at.entered() if self._at is not None else contextlib.nullcontext():
            listener = socket.create_server((self.host, self.port), family=family, backlog=4096)
        self._server = await asyncio.start_server(self._serve, sock=listener, backlog=4096, limit=CHUNK)
        self.port = listener.getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and reset every connection."""
        if self._server is None:
            return
        self._server.close()
        for writer in tuple(self._writers):
            if writer.transport.is_closing():
                continue
            # Without lingering, the end of a connection is a reset, whatever it was doing.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        await self._server.wait_closed()
        await self._idle.wait()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        self._idle.clear()
        try:
            await self._speak(reader, writer)
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            # The client went away, or stop() cut the connection: both are ordinary ends.
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            if not self._writers:
                self._idle.set()


def greet_and_echo(name: str) -> Speak:
    """The server speaks first, then echoes."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{name}\n".encode())
        await echo(reader, writer)

    return speak


def tell_peer(name: str) -> Speak:
    """The server says who it is and whom it sees, then echoes."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[0]
        writer.write(f"{name} sees {peer}\n".encode())
        await echo(reader, writer)

    return speak


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything comes back, until the client sends no more."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def answer_after_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing until the client has closed its half, then how many bytes came."""
    count = 0
    while data := await reader.read(CHUNK):
        count += len(data)
    writer.write(f"received {count}\n".encode())


class EndsFirst:
    """Closes its own half after a line, then goes on reading; ``received`` holds what came after."""

    def __init__(self) -> None:
        self.received = b""
        self.ended = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The conversation."""
        writer.write(b"that is all\n")
        writer.write_eof()
        self.received = await reader.read(-1)
        self.ended.set()
