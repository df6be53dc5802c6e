"""What a real Envoy writes for every way in which a connection can end."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from support.backends import Backend
from support.clients import Conversation, connect
from support.static_envoy import StaticEnvoy, cluster, proxy, static_envoy
from support.waiting import eventually
from tidegate.dataplanes.envoy.accesslog import AccessLogOptions, access_log

RESET = struct.pack("ii", 1, 0)
LISTENER = "default/edge/foo"
ROUTE = "default/app"
BACKEND = "default/my-foo-service:6000"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers a word with another one, then does as the word says."""
    word = await reader.readexactly(5)
    writer.write(b"thanks")
    await writer.drain()
    if word == b"reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
    elif word == b"close":
        writer.close()
    else:
        await reader.read()


async def read_away(client: Conversation) -> None:
    """Wait until the gateway ends the connection, in whatever way."""
    try:
        while await client.receive(100):
            pass
    except ConnectionError:
        pass


async def spoken(client: Conversation, word: bytes) -> None:
    """Say a word and hear the answer."""
    await client.send(word)
    assert await client.receive(6) == b"thanks"


async def client_closes(client: Conversation) -> None:
    """An ordinary conversation."""
    await spoken(client, b"hello")


async def client_resets(client: Conversation) -> None:
    """The client is gone without a word."""
    await spoken(client, b"hello")
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def backend_closes(client: Conversation) -> None:
    """The backend is done first."""
    await spoken(client, b"close")
    await read_away(client)


async def backend_resets(client: Conversation) -> None:
    """The backend is gone without a word."""
    await client.send(b"reset")
    await read_away(client)


async def gateway_closes(client: Conversation) -> None:
    """The gateway ends it before anything was said."""
    await read_away(client)


async def spoken_then_ended(client: Conversation) -> None:
    """The gateway ends it after a while."""
    await spoken(client, b"hello")
    await read_away(client)


Act = Callable[[Conversation], Coroutine[Any, Any, None]]


@asynccontextmanager
async def logging(
    directory: Path,
    what: Literal["text", "json"],
    *,
    route: str = ROUTE,
    to: str = "backend",
    idle: float = 0.0,
    longest: float = 0.0,
) -> AsyncIterator[tuple[StaticEnvoy, Path, int]]:
    """One listener that writes a log, its file, and the backend's port."""
    path = directory / "access.log"
    loggers = access_log(AccessLogOptions(format=what, path=path), listener=LISTENER, route=route)
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))  # Bound, but does not listen.
        async with Backend("one", answer) as backend:
            clusters = [
                cluster("backend", {BACKEND: backend.port}),
                cluster("refused", {}, refused=True),
                cluster("dead", {BACKEND: dead.getsockname()[1]}),
                cluster("empty", {}),
            ]
            serving = {"foo": proxy("foo", to, *loggers, idle=idle, longest=longest)}
            async with static_envoy(serving, clusters) as envoy:
                yield envoy, path, backend.port if to == "backend" else dead.getsockname()[1]


async def line_of(path: Path) -> str:
    """The one line of the file, once it is there."""

    def read() -> str:
        return path.read_text() if path.exists() else ""

    async def content() -> str:
        return await asyncio.to_thread(read)

    written = await eventually(content, lambda text: text.endswith("\n"), what="a line in the access log")
    (line,) = written.splitlines()
    return line


@pytest.mark.parametrize(
    ("to", "act", "ended", "limits"),
    [
        ("backend", client_closes, "Normal", {}),
        ("backend", client_resets, "RemoteReset", {}),
        ("backend", backend_closes, "Normal", {}),
        ("backend", backend_resets, "backend_reset", {}),
        ("backend", spoken_then_ended, "tcp_session_idle_timeout", {"idle": 0.1}),
        ("backend", spoken_then_ended, "time_limit", {"longest": 0.1}),
        ("refused", gateway_closes, "refused", {}),
        ("dead", gateway_closes, "connect_failed", {}),
        ("empty", gateway_closes, "no_backend", {}),
        ("unknown", gateway_closes, "no_backend", {}),
    ],
)
async def test_why_it_ended(tmp_path: Path, to: str, act: Act, ended: str, limits: dict[str, float]) -> None:
    """Each end of a connection has its word, and the fields say what was chosen."""
    async with logging(tmp_path, "json", to=to, **limits) as (envoy, path, port):
        client = await connect(envoy.port["foo"])
        local = client.socket.getsockname()
        await act(client)
        client.close()
        line = json.loads(await line_of(path))
    served = to == "backend"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line.pop("duration_ms") in range(5000)
    assert ("Connection_refused" in (line.pop("detail") or "")) is (to == "dead")
    assert line == {
        "listener": LISTENER,
        "route": ROUTE,
        "client": f"{local[0]}:{local[1]}",
        "backend": {"backend": BACKEND, "dead": BACKEND, "refused": "refused"}.get(to),
        "endpoint": f"127.0.0.1:{port}" if to in ("backend", "dead") else None,
        "received": 5 if served else 0,
        "sent": 6 if served else 0,
        "ended": ended,
    }


async def test_text_line(tmp_path: Path) -> None:
    """The text form is one line of the same fields in a fixed order."""
    async with logging(tmp_path, "text") as (envoy, path, port):
        client = await connect(envoy.port["foo"])
        await spoken(client, b"hello")
        client.close()
        line = await line_of(path)
    assert re.fullmatch(
        r"\S+Z listener=default/edge/foo route=default/app client=127\.0\.0\.1:\d+ "
        rf"backend={BACKEND} endpoint=127\.0\.0\.1:{port} received=5 sent=6 duration_ms=\d+ ended=Normal detail=-",
        line,
    )


async def test_refused_text_line(tmp_path: Path) -> None:
    """A refused connection shows neither an endpoint nor the path of the refusing socket; no route is a dash."""
    async with logging(tmp_path, "text", route="", to="refused") as (envoy, path, _):
        client = await connect(envoy.port["foo"])
        await read_away(client)
        client.close()
        line = await line_of(path)
    assert " route=- " in line
    assert " backend=refused endpoint=- received=0 sent=0 " in line
    assert line.endswith(" ended=refused detail=-")


@pytest.mark.parametrize("what", ["text", "json"])
async def test_percent_signs(tmp_path: Path, what: Literal["text", "json"]) -> None:
    """A percent sign in a name is printed, not interpreted."""
    async with logging(tmp_path, what, route="default/100%START_TIME%") as (envoy, path, _):
        client = await connect(envoy.port["foo"])
        await spoken(client, b"hello")
        client.close()
        assert "default/100%START_TIME%" in await line_of(path)


async def test_standard_output() -> None:
    """Without a path, the lines go to Envoy's standard output, whatever that is."""
    backend_label = {BACKEND: 1}
    loggers = access_log(AccessLogOptions(format="text", path=None), listener=LISTENER, route=ROUTE)
    async with static_envoy({"foo": proxy("p", "dead", *loggers)}, [cluster("dead", backend_label)]) as envoy:
        client = await connect(envoy.port["foo"])
        await read_away(client)
        client.close()

        async def output() -> str:
            return await asyncio.to_thread((envoy.directory / "envoy.log").read_text)

        await eventually(output, lambda text: f"listener={LISTENER}" in text, what="a line on standard output")


def test_off(tmp_path: Path) -> None:
    """Switched off, there is no logger."""
    options = AccessLogOptions(format="off", path=tmp_path / "access.log")
    assert access_log(options, listener=LISTENER, route=ROUTE) == []


def test_same_bytes(tmp_path: Path) -> None:
    """The same options give the same bytes, so that nothing is sent to Envoy without a change."""
    options = AccessLogOptions(format="json", path=tmp_path / "access.log")
    first, second = (access_log(options, listener=LISTENER, route=ROUTE) for _ in range(2))
    assert [one.SerializeToString() for one in first] == [one.SerializeToString() for one in second]
