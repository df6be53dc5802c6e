"""The admin API on real sockets."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from support.manifests import gateway, listener
from support.states import listener_view, state
from tidegate.admin.address import AdminAddress, TcpAddress, UnixAddress
from tidegate.admin.server import SLICE, Providers, json_slices, serve
from tidegate.admin.view import State
from tidegate.errors import SettingsError

LOOPBACK = TcpAddress("127.0.0.1", 0)
STATE = state(listener_view(), objects=(gateway("g", [listener("foo", 8080)], namespace="default"),))


class Answers:
    """What the API is fed with; a test may change it."""

    ready = True

    def providers(self) -> Providers:
        return Providers(state=self.state, ready=lambda: self.ready, metrics=self.metrics)

    async def state(self) -> State:
        return STATE

    async def metrics(self) -> AsyncGenerator[bytes, None]:
        yield b"up "
        yield b"1\n"


@asynccontextmanager
async def client(
    address: AdminAddress = LOOPBACK, answers: Answers | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    async with serve(address, (answers or Answers()).providers()) as bound:
        if isinstance(bound, UnixAddress):
            session = aiohttp.ClientSession("http://localhost", connector=aiohttp.UnixConnector(bound.path))
        else:
            session = aiohttp.ClientSession(f"http://{bound}")
        async with session:
            yield session


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory with a short path."""
    with tempfile.TemporaryDirectory(prefix="tg", dir="/tmp") as name:
        yield Path(name)


async def get(session: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, Any]:
    async with session.get(path, headers=headers) as response:
        body = await response.read()
        return response.status, msgspec.json.decode(body) if response.content_type == "application/json" else body


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_it_answers_on_loopback(host: str) -> None:
    """Health, metrics and state are served on IPv4 and IPv6."""
    async with client(TcpAddress(host, 0)) as session:
        assert await get(session, "/healthz") == (200, b"ok\n")
        assert await get(session, "/metrics") == (200, b"up 1\n")
        _, value = await get(session, "/api/v1/state")
        assert msgspec.convert(value, State) == STATE


async def test_a_socket_is_for_its_owner_only(folder: Path) -> None:
    """A Unix domain socket has mode 0600 and is gone at the end."""
    path = folder / "a.sock"
    async with client(UnixAddress(str(path))) as session:
        assert path.stat().st_mode & 0o777 == 0o600
        assert await get(session, "/healthz") == (200, b"ok\n")
    assert not path.exists()


async def test_readiness_is_told() -> None:
    """Not ready is 503 with a sentence, ready is 200."""
    answers = Answers()
    answers.ready = False
    async with client(answers=answers) as session:
        status, body = await get(session, "/readyz")
        assert (status, b"not ready" in body) == (503, True)
        answers.ready = True
        assert await get(session, "/readyz") == (200, b"ok\n")


async def test_objects_are_found_by_path() -> None:
    """All, those of a kind, those of a namespace, and one object have paths."""
    async with client() as session:
        for path in ("", "/gateways", "/gtw", "/gateways/default"):
            status, value = await get(session, f"/api/v1/objects{path}")
            assert (status, value["kind"], len(value["items"])) == (200, "List", 1), path
        assert await get(session, "/api/v1/objects/gateways/default/g") == (200, STATE.objects[0])
        assert (await get(session, "/api/v1/objects/gateways/other"))[1]["items"] == []
        assert (await get(session, "/api/v1/objects/gatewayclasses"))[1]["items"] == []


@pytest.mark.parametrize(
    "path", ["gateways/default/nope", "pods", "gatewayclasses/nope", "namespaces/a/b", "gateways/default/g/more"]
)
async def test_what_is_not_there_is_404(path: str) -> None:
    """A missing object or kind is 404."""
    async with client() as session:
        assert (await get(session, f"/api/v1/objects/{path}"))[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "192.0.2.1:80", ""])
async def test_requests_for_other_hosts_are_refused(host: str) -> None:
    """A name that somebody points at 127.0.0.1 leads nowhere."""
    async with client() as session:
        assert (await get(session, "/api/v1/state", Host=host))[0] == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1", "[::1]", "[::1]:80"])
async def test_requests_for_this_host_are_answered(host: str) -> None:
    """Loopback names are served with and without a port."""
    async with client() as session:
        assert (await get(session, "/healthz", Host=host))[0] == 200


async def test_nothing_can_be_written() -> None:
    """The API is read-only."""
    async with client() as session, session.post("/api/v1/state") as response:
        assert response.status == 405


async def test_a_busy_port_is_a_clear_error() -> None:
    """The message names the address and the flag."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = TcpAddress("127.0.0.1", other.getsockname()[1])
        with pytest.raises(SettingsError, match=rf"cannot listen on {address}: .*--admin"):
            async with client(address):
                pass


async def test_an_abandoned_socket_is_replaced(folder: Path) -> None:
    """What a killed instance left behind is not in the way."""
    path = folder / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with client(UnixAddress(str(path))) as session:
        assert (await get(session, "/healthz"))[0] == 200


async def test_a_socket_in_use_and_a_file_are_left_alone(folder: Path) -> None:
    """What belongs to somebody else is not removed."""
    path, file = folder / "a.sock", folder / "file"
    file.touch()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        for taken in (path, file):
            with pytest.raises(SettingsError, match="cannot listen"):
                async with client(UnixAddress(str(taken))):
                    pass
            assert taken.exists()


async def test_what_is_exposed_is_health_and_metrics_only() -> None:
    """Probes of a cluster ask by an address of the Pod; the objects are not for them."""
    async with (
        serve(LOOPBACK, Answers().providers(), exposed=True) as bound,
        aiohttp.ClientSession(f"http://{bound}") as session,
    ):
        assert await get(session, "/readyz", Host="10.1.2.3:8080") == (200, b"ok\n")
        assert await get(session, "/metrics", Host="tidegate.example") == (200, b"up 1\n")
        assert (await get(session, "/api/v1/state"))[0] == 404


@pytest.mark.parametrize("count", [0, 1, SLICE, 2 * SLICE + 1])
def test_long_lists_are_encoded_in_slices(count: int) -> None:
    """However many listeners there are, few are encoded at a time; together they are the same value."""
    value = state(*(listener_view(f"l{number}") for number in range(count)))
    pieces = list(json_slices(value))
    assert msgspec.json.decode(b"".join(pieces), type=State) == value
    assert msgspec.json.decode(b"".join(pieces)) == msgspec.json.decode(msgspec.json.encode(value))
    assert max(piece.count(b'"listener":') for piece in pieces) == min(count, SLICE)
    whole = {"kind": "List", "metadata": {"resourceVersion": ""}, "items": [{"n": number} for number in range(count)]}
    assert msgspec.json.decode(b"".join(json_slices(whole))) == whole
