"""The client against a real server, and its words when there is none."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from support.states import listener_view, state
from tidegate.admin.address import TcpAddress, UnixAddress
from tidegate.admin.client import AdminClient
from tidegate.admin.server import Providers, serve
from tidegate.admin.view import State
from tidegate.errors import InstanceError


async def one_listener() -> State:
    return state(listener_view())


async def no_metrics() -> AsyncGenerator[bytes, None]:
    yield b""


PROVIDERS = Providers(state=one_listener, ready=lambda: True, metrics=no_metrics)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory with a short path."""
    with tempfile.TemporaryDirectory(prefix="tg", dir="/tmp") as name:
        yield Path(name)


async def test_the_state_arrives_over_both_transports(folder: Path) -> None:
    """What the server has is what the client gets, over TCP and a Unix domain socket."""
    for address in (TcpAddress("127.0.0.1", 0), TcpAddress("::1", 0), UnixAddress(str(folder / "a"))):
        async with serve(address, PROVIDERS) as bound:
            assert await asyncio.to_thread(AdminClient(bound).state) == state(listener_view())


def test_nobody_there_is_said_with_what_to_do(folder: Path) -> None:
    """A refused connection and a missing socket give the same advice."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    for address in (TcpAddress("127.0.0.1", port), UnixAddress(str(folder / "none"))):
        with pytest.raises(InstanceError, match=r"no instance answers at .*: start one with 'tidegate run PATH'"):
            AdminClient(address).state()


async def test_another_server_is_not_mistaken_for_an_instance() -> None:
    """JSON of another shape, and no HTTP at all, are said to be no instance."""

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    for answer, message in (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "is not an instance of this version"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered /api/v1/state with 404"),
        (b"220 mail.example\r\n", "did not answer"),
        (b"", "did not answer"),
    ):
        server = await asyncio.start_server(lambda r, w, a=answer: other(r, w, a), "127.0.0.1", 0)
        async with server:
            client = AdminClient(TcpAddress("127.0.0.1", server.sockets[0].getsockname()[1]))
            with pytest.raises(InstanceError, match=message):
                await asyncio.to_thread(client.state)
