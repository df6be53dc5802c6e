"""HTTP on real sockets: what is asked comes in, answers go out whole or in pieces, and nobody can hold it up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
import structlog.testing

from tidegate.admin import answering as module
from tidegate.admin.answering import Answer, Request, Respond, answering

ENDLESS = b"x" * (1 << 16)


async def in_pieces() -> AsyncGenerator[bytes, None]:
    for piece in (b"one ", b"", b"two"):
        yield piece


async def respond(request: Request) -> Answer:
    """What was asked for, or pieces."""
    if request.path == ("pieces",):
        return Answer(body=in_pieces())
    body = f"{'|'.join(request.path)} of {request.host}"
    return Answer(body=body.encode(), status=HTTPStatus.ACCEPTED, content_type="text/test")


@asynccontextmanager
async def listening(respond: Respond = respond) -> AsyncIterator[int]:
    """The port of something that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with answering(server, respond):
            yield server.getsockname()[1]


async def ask(port: int, request: bytes) -> tuple[list[str], bytes]:
    """The lines of the answer's head, and all that follows until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(5):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head.decode().split("\r\n"), body


async def test_whole_answer() -> None:
    """Path and host are understood; a HEAD has the head alone."""
    async with listening() as port:
        head, body = await ask(port, b"GET /a/b%20c?d=e HTTP/1.1\r\nhost: h:1\r\nX: y\r\n\r\n")
        assert head[0] == "HTTP/1.1 202 Accepted"
        assert {"Content-Type: text/test", "Content-Length: 12", "Connection: close"} <= set(head)
        assert body == b"a|b c of h:1"
        assert await ask(port, b"HEAD /a/b%20c HTTP/1.1\r\nhost: h:1\r\n\r\n") == (head, b"")


async def test_pieces() -> None:
    """They are chunks for who knows those, and end with the connection for who does not."""
    async with listening() as port:
        head, body = await ask(port, b"GET /pieces HTTP/1.1\r\nHost: h\r\n\r\n")
        assert "Transfer-Encoding: chunked" in head
        assert body == b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"
        head, body = await ask(port, b"GET /pieces HTTP/1.0\r\n\r\n")
        assert "Transfer-Encoding: chunked" not in head
        assert body == b"one two"
        assert (await ask(port, b"HEAD /pieces HTTP/1.1\r\nHost: h\r\n\r\n"))[1] == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"hello\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET /\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"\xff / HTTP/1.1\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET //[ HTTP/1.1\r\nHost: h\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET /" + b"a" * 70_000 + b"\r\n\r\n", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    ],
)
async def test_no_request(request_: bytes, status: HTTPStatus) -> None:
    """What is not HTTP, or far too long, is said to be bad."""
    async with listening() as port:
        try:
            head, _ = await ask(port, request_)
        except ConnectionResetError:  # The rest of what is too long was never read.
            assert len(request_) > 1 << 16
        else:
            assert head[0] == f"HTTP/1.1 {status.value} {status.phrase}"


async def test_a_host_of_any_bytes() -> None:
    """It is no reason to fail."""
    async with listening() as port:
        assert (await ask(port, b"GET /a HTTP/1.1\r\nHost: \xff\r\n\r\n"))[1] == "a of \xff".encode()


async def test_nothing_can_be_written() -> None:
    """Other methods are refused."""
    async with listening() as port:
        assert (await ask(port, b"DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n"))[0][0] == "HTTP/1.1 405 Method Not Allowed"


async def test_bug() -> None:
    """An error of ours is an answer, too, and is not hidden."""
    bug = RuntimeError("a bug")

    async def fail(_: Request) -> Answer:
        raise bug

    with structlog.testing.capture_logs() as events:
        async with listening(fail) as port:
            assert (await ask(port, b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"))[0][
                0
            ] == "HTTP/1.1 500 Internal Server Error"
    (event,) = events
    assert (event["event"], event["request"], event["exc_info"]) == ("internal error, contained", "a", bug)


async def test_client_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left after a while."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    async with listening() as port:
        assert await ask(port, b"GET / HT") == ([""], b"")


@pytest.mark.parametrize("patience", [0.05, 30.0])
async def test_client_that_does_not_read(monkeypatch: pytest.MonkeyPatch, patience: float) -> None:
    """It holds up neither the others nor the end, and its answer is closed."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", patience)
    monkeypatch.setattr(module, "_GOODBYE_SECONDS", 0.05)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        begun.set()
        try:
            while True:
                yield ENDLESS
        finally:
            ended.set()

    async def answer(request: Request) -> Answer:
        return Answer(body=endless()) if request.path == ("endless",) else await respond(request)

    async with asyncio.timeout(5):
        async with listening(answer) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n")
            await begun.wait()
            assert (await ask(port, b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"))[1] == b"a of h"
        await ended.wait()
        writer.close()
