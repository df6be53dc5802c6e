"""The gRPC server of a fleet, over TCP with mutual TLS: proxies ask for their configuration, replicas report theirs.

In: a conversation per stream, which decides what to say. Out: bytes on the wire. Who may have which conversation is
decided here, by the SPIFFE identity in the certificate of the other side and by nothing else: a proxy gets that of the
one scope that its certificate names, and only a replica of the controller may report about proxies.

Certificates may change at any time: a new one is used from the next handshake on, and the end of an old one ends no
stream.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn, Protocol, TypeAlias

import grpc
from envoy.config.core.v3 import base_pb2

from tidegate.dataplanes.envoy import keepalive
from tidegate.dataplanes.envoy.credentials import Credentials, ServerCredentials
from tidegate.dataplanes.envoy.server import OPTIONS, Calls, Context, Conversation, discovery_handlers, hold
from tidegate.errors import DataPlaneError
from tidegate.names import CONTROLLER_IDENTITY, proxy_scope
from tidegate.telemetry.logs import logger

REPORT = ("tidegate.Replicas", "Report")
"""Service and method by which a replica reports: a stream of messages that is never answered."""

_SERVER_OPTIONS = (
    *OPTIONS,
    *keepalive.GRPC_OPTIONS,
    # The other side asks as often, which would otherwise count as an attack.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),
)
_REPEAT_SECONDS = 60.0
_MAX_REMEMBERED = 1000
_PATIENCE_SECONDS = 2.0
_RETRY_SECONDS = 0.05
_LATER_SECONDS = 0.5

_AnyContext: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_log = logger("envoy")


class Replica(Protocol):
    """What another replica says on one stream. Called from the server's event loop only."""

    def receive(self, message: bytes) -> None:
        """A message arrived."""
        ...

    def end(self) -> None:
        """The stream is over."""
        ...


class FleetServer:
    """Serves at ``address``, ``host:port``; port 0 takes a free one.

    ``converse`` makes the conversation of a proxy of a scope that introduces itself, ``attend`` that of a replica,
    which gets a name that no other stream has.
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        *,
        converse: Callable[[str, base_pb2.Node], Conversation],
        attend: Callable[[str], Replica],
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._converse = converse
        self._attend = attend
        self._server: grpc.aio.Server | None = None
        self._port = 0
        self._numbers = itertools.count(1)
        self._denials = _Denials()
        self._calls = Calls()

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        return self._port

    async def start(self) -> None:
        """Listen. Raises DataPlaneError."""
        self._server = await self._listen()

    async def restart(self) -> None:
        """End all connections, and listen at the same place again, however long that takes.

        To end streams would not do: an Envoy opens the next one on the same connection.
        """
        await self.stop()
        patient_until, told = time.monotonic() + _PATIENCE_SECONDS, ""
        while self._server is None:
            try:
                self._server = await self._listen()
            except DataPlaneError as error:
                # gRPC closes what it listened on a moment after it says so.
                patient = time.monotonic() < patient_until
                if not patient and str(error) != told:
                    told = str(error)
                    _log.error("no proxy can connect, trying again", reason=told)
                await asyncio.sleep(_RETRY_SECONDS if patient else _LATER_SECONDS)
        if told:
            _log.info("proxies can connect again")

    async def _listen(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=_SERVER_OPTIONS)
        service, method = REPORT
        report = grpc.stream_unary_rpc_method_handler(self._report)
        server.add_generic_rpc_handlers(
            (discovery_handlers(self._stream), grpc.method_handlers_generic_handler(service, {method: report}))
        )
        try:
            host, _, port = self._address.rpartition(":")
            address = f"{host}:{self._port or port}"
            _try_to_listen(address)
            self._port = server.add_secure_port(address, _server_credentials(self._credentials))
        except (OSError, RuntimeError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).partition(" (")[0]
            raise DataPlaneError(
                f"cannot listen for proxies at {self._address}: {reason}; choose another port with --xds-port"
            ) from error
        await server.start()
        return server

    async def stop(self) -> None:
        """End all streams and stop listening."""
        server, self._server = self._server, None
        if server is not None:
            await self._calls.end()
            await server.stop(grace=None)

    async def _stream(self, _requests: Any, context: Context) -> None:
        identity = await self._identity(context)
        scope = proxy_scope(identity)
        if scope is None:
            await self._deny(context, identity, "only a proxy is given a configuration")
        with self._calls.answered():
            await hold(context, lambda node: self._converse(scope, node))

    async def _report(self, messages: AsyncIterator[bytes], context: _AnyContext) -> bytes:
        identity = await self._identity(context)
        if identity != CONTROLLER_IDENTITY:
            await self._deny(context, identity, "only a replica of the controller may report")
        replica = self._attend(f"{context.peer()}#{next(self._numbers)}")
        try:
            with self._calls.answered():
                async for message in messages:
                    replica.receive(message)
        finally:
            replica.end()
        return b""

    async def _identity(self, context: _AnyContext) -> str:
        # gRPC fills this in for a certificate with exactly one URI, and that a SPIFFE ID.
        found = list(context.auth_context().get("peer_spiffe_id", ()))
        if len(found) != 1:
            self._denials.log("", context.peer(), "its certificate names no identity")
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the certificate names no identity")
        return found[0].decode(errors="replace")

    async def _deny(self, context: _AnyContext, identity: str, why: str) -> NoReturn:
        self._denials.log(identity, context.peer(), why)
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, why)
        raise AssertionError("abort ends the call")


class _Denials:
    """Logs who was turned away: each of them once a minute, since they try again several times a second."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def log(self, identity: str, peer: str, why: str) -> None:
        """One more."""
        host = peer.rpartition(":")[0]
        key, now = f"{identity} {host}", time.monotonic()
        if now < self._told.get(key, 0.0):
            return
        self._told.pop(key, None)
        self._told[key] = now + _REPEAT_SECONDS
        if len(self._told) > _MAX_REMEMBERED:
            del self._told[next(iter(self._told))]
        _log.warning("stream denied", identity=identity, peer=peer, reason=why)


def _try_to_listen(address: str) -> None:
    """Raises OSError with the system's reason, which gRPC tells nobody but its own log."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host.removeprefix("[").removesuffix("]"), int(port)), family=family).close()


def _server_credentials(credentials: Credentials) -> grpc.ServerCredentials:
    """Asks for the credentials at every handshake, in a thread of gRPC's."""
    last = credentials()

    def fetch() -> Any:
        nonlocal last
        now = credentials()
        if now == last:
            return None  # To gRPC that means "as before", of which its stubs know nothing.
        last = now
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(_configuration(last), fetch, require_client_authentication=True)


def _configuration(now: ServerCredentials) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(now.key, now.certificate)], root_certificates=now.authorities)
