"""HTTP as far as the admin API speaks it: GET and HEAD, one request per connection (RFC 9112).

In: a listening socket, and what answers a request. Out: answers, which may come piece by piece, and no faster than they
are read. The protocol is h11's; a whole web server would take more memory than a thousand listeners.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import h11
import msgspec

from tidegate.telemetry.logs import logger

PATIENCE_SECONDS = 30.0
"""How long a client may take for its request, and for reading a piece of the answer."""

_GOODBYE_SECONDS = 1.0
_READ_BYTES = 1 << 16
_READ_ONLY = (b"GET", b"HEAD")

_log = logger("admin")


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
                await _Conversation(reader, writer).hold(respond)
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, sock=listening)
    try:
        yield
    finally:
        server.close()
        if connections:
            await asyncio.wait(connections, timeout=_GOODBYE_SECONDS)
        for task in connections:
            task.cancel()


class _Conversation:
    """One request of a client, and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.SERVER)

    async def hold(self, respond: Respond) -> None:
        """Hear the request and answer it; nothing for a client that leaves before it has asked."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                asked = await self._hear()
            if asked is None:
                return
            request = self._request(asked)
        except h11.RemoteProtocolError as error:
            await self._send(Answer(body=b"this is no HTTP request\n", status=HTTPStatus(error.error_status_hint)))
            return
        except ValueError:
            await self._send(Answer(body=b"the address cannot be read\n", status=HTTPStatus.BAD_REQUEST))
            return
        if asked.method not in _READ_ONLY:
            await self._send(Answer(body=b"this API is read-only\n", status=HTTPStatus.METHOD_NOT_ALLOWED))
            return
        try:
            answer = await respond(request)
        except Exception as error:  # noqa: BLE001  It ends nothing but this answer, and is logged.
            _log.error("internal error, contained", request="/".join(request.path), error=repr(error), exc_info=error)
            answer = Answer(body=b"internal error\n", status=HTTPStatus.INTERNAL_SERVER_ERROR)
        await self._send(answer, only_head=asked.method == b"HEAD")

    async def _hear(self) -> h11.Request | None:
        """Raises RemoteProtocolError."""
        while True:
            event = self._protocol.next_event()
            if isinstance(event, h11.Request):
                return event
            if event is not h11.NEED_DATA:
                return None
            self._protocol.receive_data(await self._reader.read(_READ_BYTES))

    def _request(self, asked: h11.Request) -> Request:
        """Raises ValueError when what is asked for is no address."""
        path = urlsplit(asked.target.decode("ascii")).path
        return Request(
            path=tuple(map(unquote, path.split("/")[1:])),
            host=dict(asked.headers).get(b"host", b"").decode("latin-1"),
            unix=self._writer.get_extra_info("socket").family == socket.AF_UNIX,
        )

    async def _send(self, answer: Answer, *, only_head: bool = False) -> None:
        headers = [("Content-Type", answer.content_type), ("Connection", "close")]
        if isinstance(answer.body, bytes):
            headers.append(("Content-Length", str(len(answer.body))))
        head = h11.Response(status_code=answer.status, reason=answer.status.phrase.encode(), headers=headers)
        await self._write(head)
        if isinstance(answer.body, bytes):
            if not only_head:
                await self._write(h11.Data(answer.body))
        else:
            async with contextlib.aclosing(answer.body) as pieces:
                if not only_head:
                    async for piece in pieces:
                        await self._write(h11.Data(piece))
        await self._write(h11.EndOfMessage())

    async def _write(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        self._writer.write(self._protocol.send(event) or b"")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._writer.drain()
