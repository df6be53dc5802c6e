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
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

import msgspec
from aiohttp import web

from tidegate.admin.address import AdminAddress, TcpAddress, UnixAddress
from tidegate.admin.objects import kind_named, list_of, select
from tidegate.admin.view import State
from tidegate.errors import SettingsError
from tidegate.telemetry.metrics import CONTENT_TYPE

SLICE = 200
"""How many listeners or objects are encoded at a time: some 2 ms."""

_GOODBYE_SECONDS = 1.0
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
    runner = web.AppRunner(
        _exposed(providers) if exposed and isinstance(address, TcpAddress) else _application(providers),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_GOODBYE_SECONDS,
    )
    try:
        await runner.setup()
        await web.SockSite(runner, listening).start()
        yield _bound(address, listening)
    finally:
        await runner.cleanup()
        _stop_listening(address, listening)


def _application(providers: Providers) -> web.Application:
    handlers = _Handlers(providers)
    application = web.Application(middlewares=[_local_only])
    application.add_routes(
        [
            *_health(handlers),
            web.get("/api/v1/state", handlers.state),
            web.get("/api/v1/objects", handlers.objects),
            web.get("/api/v1/objects/{plural}", handlers.objects),
            web.get("/api/v1/objects/{plural}/{first}", handlers.objects),
            web.get("/api/v1/objects/{plural}/{first}/{name}", handlers.objects),
        ]
    )
    return application


def _exposed(providers: Providers) -> web.Application:
    application = web.Application()
    application.add_routes(_health(_Handlers(providers)))
    return application


def _health(handlers: _Handlers) -> list[web.RouteDef]:
    return [
        web.get("/healthz", handlers.healthz),
        web.get("/readyz", handlers.readyz),
        web.get("/metrics", handlers.metrics),
    ]


class _Handlers:
    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    async def healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        if self._providers.ready():
            return web.Response(text="ok\n")
        return web.Response(
            text="not ready: the first configuration is not applied yet\n", status=HTTPStatus.SERVICE_UNAVAILABLE
        )

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        async with contextlib.aclosing(self._providers.metrics()) as pieces:
            return await _streamed(request, pieces, CONTENT_TYPE)

    async def state(self, request: web.Request) -> web.StreamResponse:
        return await _json_in_slices(request, await self._providers.state())

    async def objects(self, request: web.Request) -> web.StreamResponse:
        plural, first = request.match_info.get("plural"), request.match_info.get("first")
        name = request.match_info.get("name")
        objects = (await self._providers.state()).objects
        if plural is None:
            return await _json_in_slices(request, list_of(objects))
        kind = kind_named(plural)
        if kind is None or (name is not None and not kind.namespaced):
            return _missing(f"there is no kind at {request.path}")
        if not kind.namespaced:
            first, name = None, first
        found = select(objects, kind, namespace=first, name=name)
        if name is None:
            return await _json_in_slices(request, list_of(found))
        return _json(found[0]) if found else _missing(f'{kind.plural} "{name}" not found')


@web.middleware
async def _local_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if request.transport is not None and request.transport.get_extra_info("socket").family != socket.AF_UNIX:
        host = request.host.rpartition(":")[0] if not request.host.endswith("]") else request.host
        if not _is_loopback(host or request.host):
            return _json({"message": f"requests for the host {request.host} are not answered"}, HTTPStatus.FORBIDDEN)
    return await handler(request)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


async def _streamed(request: web.Request, pieces: AsyncIterable[bytes], content_type: str) -> web.StreamResponse:
    """Answer as the pieces come, and no faster than they are read."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    async for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response


async def _json_in_slices(request: web.Request, value: msgspec.Struct | Mapping[str, object]) -> web.StreamResponse:
    async def turns() -> AsyncIterator[bytes]:
        for piece in json_slices(value):
            yield piece
            await asyncio.sleep(0)

    return await _streamed(request, turns(), _JSON)


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


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type=_JSON)


def _missing(message: str) -> web.Response:
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
