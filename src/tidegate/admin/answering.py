"""HTTP as far as the admin API speaks it: GET and HEAD, one request per connection (RFC 9112).

In: a listening socket, and what answers a request. Out: answers, which may come piece by piece, and no faster than they
are read. A server that knows all of HTTP would take more memory than a thousand listeners.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import msgspec

PATIENCE_SECONDS = 30.0
"""How long a client may take for its request, and for reading a piece of the answer."""

_GOODBYE_SECONDS = 1.0
_LONGEST_HEAD = 16 * 1024
_READ_ONLY = ("GET", "HEAD")
_CHUNKED_SINCE = "HTTP/1.1"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: ``path`` is taken apart at its slashes, ``host`` is the Host header, empty without one.
    ``unix``: it came by a Unix domain socket.
    """

    path: tuple[str, ...]
    host: str
    unix: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. A ``body`` in pieces is made as it is sent, and closed in any case."""

    body: bytes | AsyncGenerator[bytes, None]
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"


Respond = Callable[[Request], Awaitable[Answer]]


class _Asked(msgspec.Struct, frozen=True):
    method: str
    version: str
    request: Request


@contextlib.asynccontextmanager
async def answering(listening: socket.socket, respond: Respond) -> AsyncIterator[None]:
    """Answer whoever connects while the block lasts; what is being answered then has a second to end."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            # Who went away, or takes too long, needs no answer.
            with contextlib.suppress(ConnectionError, TimeoutError):
                await _converse(reader, writer, respond)
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, sock=listening, limit=_LONGEST_HEAD)
    try:
        yield
    finally:
        server.close()
        if connections:
            await asyncio.wait(connections, timeout=_GOODBYE_SECONDS)
        for task in connections:
            task.cancel()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, respond: Respond) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        asked = await _asked(reader, unix=writer.get_extra_info("socket").family == socket.AF_UNIX)
    if asked is None:
        await _send(writer, Answer(body=b"this is no HTTP request\n", status=HTTPStatus.BAD_REQUEST))
        return
    if asked.method not in _READ_ONLY:
        refusal = Answer(body=b"this API is read-only\n", status=HTTPStatus.METHOD_NOT_ALLOWED)
        await _send(writer, refusal)
        return
    try:
        answer = await respond(asked.request)
    except Exception:
        await _send(writer, Answer(body=b"internal error\n", status=HTTPStatus.INTERNAL_SERVER_ERROR))
        raise
    await _send(writer, answer, asked)


async def _asked(reader: asyncio.StreamReader, *, unix: bool) -> _Asked | None:
    """The request; None when it is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, fields = head.partition(b"\r\n")
        method, target, version = line.decode("ascii").split(" ")
        host = http.client.parse_headers(io.BytesIO(fields)).get("Host", "")
        path = tuple(map(unquote, urlsplit(target).path.split("/")[1:]))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, http.client.HTTPException, ValueError):
        return None
    return _Asked(method, version, Request(path=path, host=host.strip(), unix=unix))


async def _send(writer: asyncio.StreamWriter, answer: Answer, asked: _Asked | None = None) -> None:
    head = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        "Connection: close",
    ]
    only_head = asked is not None and asked.method == "HEAD"
    if isinstance(answer.body, bytes):
        head.append(f"Content-Length: {len(answer.body)}")
        writer.write("\r\n".join([*head, "", ""]).encode() + (b"" if only_head else answer.body))
        await _drained(writer)
        return
    async with contextlib.aclosing(answer.body) as pieces:
        # An older client knows the end by that of the connection.
        chunked = asked is not None and asked.version >= _CHUNKED_SINCE
        if chunked:
            head.append("Transfer-Encoding: chunked")
        writer.write("\r\n".join([*head, "", ""]).encode())
        if not only_head:
            async for piece in pieces:
                if piece:
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                    await _drained(writer)
            if chunked:
                writer.write(b"0\r\n\r\n")
        await _drained(writer)


async def _drained(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await writer.drain()
