"""The demo's backends and their client, on real sockets."""

from __future__ import annotations

import asyncio

from tidegate.cli.echo import ask, echo_backend


async def test_a_backend_answers_with_its_name() -> None:
    """Each line comes back behind the name."""
    async with echo_backend("one") as port:
        assert await ask(port, "hello") == "one answers: hello"


async def test_nobody_there_is_none() -> None:
    """A refused connection, and one that is ended at once, are no answer."""
    async with echo_backend("one") as port:
        pass
    assert await ask(port, "hello") is None

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        assert await ask(server.sockets[0].getsockname()[1], "hello") is None


async def test_open_connections_do_not_keep_a_backend_alive() -> None:
    """The end of the demo ends the talks."""
    async with asyncio.timeout(5):
        async with echo_backend("one") as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"a\n")
            assert await reader.readline() == b"one answers: a\n"
        assert await reader.read() == b""
        writer.close()
