"""The admin HTTP API of a running instance. Read-only, for this host.

Comes in: callables that give the state, readiness and metrics of the moment. Goes out:

=========================================  =====================================================
``/healthz``                               200 while the process works
``/readyz``                                200 once the first configuration is applied, else 503
``/metrics``                               Prometheus text
``/api/v1/state``                          ``view.State`` as JSON
``/api/v1/objects``                        all API objects with their status, as a List
``/api/v1/objects/{plural}``               those of a kind; ``gateways``, ``gtw``
``/api/v1/objects/{plural}/{ns}/{name}``   one; ``/{plural}/{ns}`` lists a namespace
=========================================  =====================================================

What stands behind a request on a TCP address is checked by its Host header, so that a web page
cannot reach the API through a name that it points at 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import msgspec

from tidegate.admin.address import AdminAddress, TcpAddress, UnixAddress
from tidegate.admin.answering import Answer, Request, answering
from tidegate.admin.objects import kind_named, list_of, select
from tidegate.admin.view import State
from tidegate.errors import SettingsError
from tidegate.telemetry.metrics import CONTENT_TYPE

SLICE = 200
"""How many listeners or objects are encoded at a time: some 2 ms."""

_JSON = "application/json"


class Providers(msgspec.Struct, frozen=True, kw_only=True):
    """Where the answers come from; each is asked once per request."""

    state: Callable[[], Awaitable[State]]
    ready: Callable[[], bool]
    metrics: Callable[[], AsyncGenerator[bytes, None]]


@contextlib.asynccontextmanager
async def serve(address: AdminAddress, providers: Providers, *, exposed: bool = False) -> AsyncIterator[AdminAddress]:
    """Serve while the block lasts; gives the address that was bound, with its real port.

    ``exposed``: on a TCP address only health and metrics are served, and to every host that asks, as probes and
    scrapers of a cluster do.

    A Unix domain socket is accessible to its owner only, replaces one that nobody listens on, and is
    removed at the end. Raises SettingsError when the address cannot be bound.
    """
    listening = _listen(address)
    try:
        pages = _Pages(providers, exposed=exposed and isinstance(address, TcpAddress))
        async with answering(listening, pages.respond):
            yield _bound(address, listening)
    finally:
        _stop_listening(address, listening)


class _Pages:
    """What there is to see. ``exposed``: health and metrics only, for whoever asks."""

    def __init__(self, providers: Providers, *, exposed: bool) -> None:
        self._providers = providers
        self._exposed = exposed

    async def respond(self, request: Request) -> Answer:
        if not (self._exposed or request.unix or _is_this_host(request.host)):
            message = f"requests for the host {request.host} are not answered"
            return _json({"message": message}, HTTPStatus.FORBIDDEN)
        match request.path:
            case ("healthz",):
                return Answer(body=b"ok\n")
            case ("readyz",):
                return self._readiness()
            case ("metrics",):
                return Answer(body=self._providers.metrics(), content_type=CONTENT_TYPE)
            case ("api", "v1", "state") if not self._exposed:
                return _json_in_slices(await self._providers.state())
            case ("api", "v1", "objects", *place) if not self._exposed:
                return await self._objects(place)
        return _missing(f"there is nothing at /{'/'.join(request.path)}")

    def _readiness(self) -> Answer:
        if self._providers.ready():
            return Answer(body=b"ok\n")
        return Answer(
            body=b"not ready: the first configuration is not applied yet\n", status=HTTPStatus.SERVICE_UNAVAILABLE
        )

    async def _objects(self, place: Sequence[str]) -> Answer:
        """All; or those of a kind, of a kind and a namespace, or one, as far as ``place`` says."""
        objects = (await self._providers.state()).objects
        if not place:
            return _json_in_slices(list_of(objects))
        kind = kind_named(place[0])
        if kind is None or len(place) > (3 if kind.namespaced else 2):
            return _missing(f"there is no kind at {'/'.join(place)}")
        namespace = place[1] if kind.namespaced and len(place) > 1 else None
        name = place[-1] if len(place) == (3 if kind.namespaced else 2) else None
        found = select(objects, kind, namespace=namespace, name=name)
        if name is None:
            return _json_in_slices(list_of(found))
        return _json(found[0]) if found else _missing(f'{kind.plural} "{name}" not found')


def _is_this_host(host: str) -> bool:
    return _is_loopback(host if host.endswith("]") else host.rpartition(":")[0] or host)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _json_in_slices(value: msgspec.Struct | Mapping[str, object]) -> Answer:
    async def turns() -> AsyncGenerator[bytes, None]:
        for piece in json_slices(value):
            yield piece
            await asyncio.sleep(0)

    return Answer(body=turns(), content_type=_JSON)


def json_slices(value: msgspec.Struct | Mapping[str, object]) -> Iterator[bytes]:
    """A value as JSON, whose long lists are encoded ``SLICE`` items at a time: while one call encodes all of 10,000
    listeners, nothing else has its turn for a tenth of a second.
    """
    if isinstance(value, msgspec.Struct):
        value = {one.encode_name: getattr(value, one.name) for one in msgspec.structs.fields(value)}
    opening = b"{"
    for name, member in value.items():
        yield opening + msgspec.json.encode(name) + b":"
        opening = b","
        if not isinstance(member, tuple | list):
            yield msgspec.json.encode(member)
            continue
        for start in range(0, len(member), SLICE):
            # Without the brackets of the list.
            yield (b"," if start else b"[") + msgspec.json.encode(member[start : start + SLICE])[1:-1]
        yield b"]" if member else b"[]"
    yield b"}"


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(body=msgspec.json.encode(value), status=status, content_type=_JSON)


def _missing(message: str) -> Answer:
    return _json({"message": message}, HTTPStatus.NOT_FOUND)


def _listen(address: AdminAddress) -> socket.socket:
    try:
        if isinstance(address, UnixAddress):
            return _listen_unix(Path(address.path))
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        # Python adds the address to the system's words, in its own notation.
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise SettingsError(
            f"the admin API cannot listen on {address}: {reason}; choose another with --admin"
        ) from error


def _listen_unix(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # The socket must not be open to others even for a moment.
    try:
        _remove_abandoned(path)
        listening.bind(str(path))
        listening.listen()
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


def _remove_abandoned(path: Path) -> None:
    """Remove a socket that a killed instance left behind; anything else stays and fails the bind."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)


def _stop_listening(address: AdminAddress, listening: socket.socket) -> None:
    listening.close()
    if isinstance(address, UnixAddress):
        Path(address.path).unlink(missing_ok=True)


def _bound(address: AdminAddress, listening: socket.socket) -> AdminAddress:
    if isinstance(address, TcpAddress):
        return TcpAddress(address.host, listening.getsockname()[1])
    return address
