"""Who may have which conversation is decided by the certificate of the other side alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
import structlog
from cryptography import x509
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from support.certificates import Issuer
from support.front import Front
from support.ports import Ports
from support.streams import Echo, discovery, secure_channel
from support.waiting import eventually
from tidegate.dataplanes.envoy.fleetserver import REPORT, FleetServer
from tidegate.errors import DataPlaneError
from tidegate.fleet.pki import KeyPair
from tidegate.names import CONTROLLER_IDENTITY, proxy_identity

A = "team-a/gw"
Request = discovery_pb2.DeltaDiscoveryRequest


class Replica:
    """What another replica said."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: list[bytes] = []
        self.ended = False

    def receive(self, message: bytes) -> None:
        self.messages.append(message)

    def end(self) -> None:
        self.ended = True


class Served:
    """A server, and whom it let in."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.proxies: list[tuple[str, str]] = []
        self.conversations: list[Echo] = []
        self.replicas: list[Replica] = []
        self.credentials = issuer.server()
        self.server = FleetServer("127.0.0.1:0", lambda: self.credentials, converse=self._converse, attend=self._attend)

    def _converse(self, scope: str, node: base_pb2.Node) -> Echo:
        self.proxies.append((scope, node.id))
        self.conversations.append(Echo())
        return self.conversations[-1]

    def _attend(self, name: str) -> Replica:
        self.replicas.append(Replica(name))
        return self.replicas[-1]

    async def ask(self, pair: KeyPair | None) -> grpc.StatusCode | str:
        """What becomes of a proxy with this certificate: the answer it gets, or why there is none."""
        async with secure_channel(self.server.port, pair, self.issuer.authorities) as channel:
            call = discovery(channel)
            try:
                await call.write(Request(type_url="hello", node=base_pb2.Node(id="pod")))
                answer = await call.read()
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return await call.code()
            return await call.code() if answer is grpc.aio.EOF else answer.type_url

    async def report(self, pair: KeyPair, *messages: bytes) -> grpc.StatusCode:
        """What becomes of a replica with this certificate that says these things."""
        service, method = REPORT
        async with secure_channel(self.server.port, pair, self.issuer.authorities) as channel:
            call = channel.stream_unary(f"/{service}/{method}", bytes, bytes)(_each(*messages))
            return await call.code()


async def _each(*messages: bytes) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    """A server with an authority of its own."""
    served = Served(Issuer())
    await served.server.start()
    try:
        yield served
    finally:
        await served.server.stop()


async def test_a_proxy_gets_the_conversation_of_its_scope() -> None:
    """The scope is the one that the certificate names; the node is passed on as the proxy told it."""
    async with serving() as served:
        assert await served.ask(served.issuer.proxy(A)) == "hello"
        assert served.proxies == [(A, "pod")]


@pytest.mark.parametrize(
    "identity",
    [CONTROLLER_IDENTITY, "spiffe://example.org/gateway/team-a/gw", proxy_identity("")],
)
async def test_an_identity_that_is_no_proxys_is_denied(identity: str) -> None:
    """A certificate of ours that names no Gateway gets no configuration."""
    async with serving() as served:
        assert await served.ask(served.issuer.pair(identity)) is grpc.StatusCode.PERMISSION_DENIED
        assert served.proxies == []


@pytest.mark.parametrize("identity", ["https://example.org/", "spiffe://tidegate.dev"])
async def test_a_certificate_without_an_identity_is_not_authenticated(identity: str) -> None:
    """A certificate of ours with a URI that is no SPIFFE ID says nothing about who shows it."""
    async with serving() as served:
        assert await served.ask(served.issuer.pair(identity)) is grpc.StatusCode.UNAUTHENTICATED
        assert served.proxies == []


async def test_who_shows_no_certificate_or_a_foreign_one_is_not_connected() -> None:
    """Without a certificate of an authority that is trusted, there is no connection at all."""
    async with serving() as served:
        assert await served.ask(None) is grpc.StatusCode.UNAVAILABLE
        assert await served.ask(Issuer().proxy(A)) is grpc.StatusCode.UNAVAILABLE
        assert served.proxies == []


async def test_denials_are_logged_once_a_minute() -> None:
    """Somebody who tries all the time is told of once, each of several on their own."""
    with structlog.testing.capture_logs() as events:
        async with serving() as served:
            for _ in range(3):
                await served.ask(served.issuer.pair(CONTROLLER_IDENTITY))
            await served.ask(served.issuer.pair("spiffe://example.org/x"))
            await served.report(served.issuer.proxy(A))
    denied = [event["identity"] for event in events if event["event"] == "stream denied"]
    assert denied == [CONTROLLER_IDENTITY, "spiffe://example.org/x", proxy_identity(A)]


async def test_only_a_replica_may_report() -> None:
    """A proxy that says what other proxies do is not heard."""
    async with serving() as served:
        assert await served.report(served.issuer.proxy(A), b"lies") is grpc.StatusCode.PERMISSION_DENIED
        assert served.replicas == []


async def test_reports_arrive_in_order_and_streams_are_told_apart() -> None:
    """Each stream of a replica has a name of its own, its messages in order, and an end."""
    async with serving() as served:
        pair = served.issuer.pair(CONTROLLER_IDENTITY)
        assert await served.report(pair, b"one", b"two") is grpc.StatusCode.OK
        assert await served.report(pair, b"three") is grpc.StatusCode.OK
        first, second = served.replicas
        assert first.messages == [b"one", b"two"]
        assert second.messages == [b"three"]
        assert first.name != second.name

        async def ended() -> bool:
            return first.ended and second.ended

        await eventually(ended, what="the streams have ended")


async def test_new_credentials_are_used_at_once() -> None:
    """After the authority was replaced, the proxies of the new one are let in, and those of the old one are not."""
    async with serving() as served:
        former = served.issuer
        served.issuer = Issuer()
        served.credentials = served.issuer.server()
        assert await served.ask(served.issuer.proxy(A)) == "hello"
        served.issuer, latter = former, served.issuer
        assert await served.ask(served.issuer.proxy(A)) is grpc.StatusCode.UNAVAILABLE
        assert latter.authorities != former.authorities


async def test_an_address_that_is_taken_is_an_error() -> None:
    """Where it cannot listen, that is said, with the system's reason and what to do."""
    async with serving() as served:
        address = f"127.0.0.1:{served.server.port}"
        second = FleetServer(address, lambda: served.credentials, converse=lambda *_: Echo(), attend=Replica)
        said = f"^cannot listen for proxies at {address}: Address already in use; choose another port with --xds-port$"
        with pytest.raises(DataPlaneError, match=said):
            await second.start()
        await second.stop()


def test_certificates_of_these_tests_are_what_they_say() -> None:
    """A certificate with one URI and no name is what proxies have."""
    certificate = x509.load_pem_x509_certificate(Issuer().proxy(A).certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [proxy_identity(A)]


async def test_a_place_that_is_taken_in_between_is_waited_for() -> None:
    """The replica lives on, says why no proxy can connect to it, and serves as soon as it can."""
    async with serving() as served:
        await served.server.stop()
        with structlog.testing.capture_logs() as events:
            async with asyncio.TaskGroup() as tasks:
                with socket.create_server(("127.0.0.1", served.server.port)):
                    restarting = tasks.create_task(served.server.restart())

                    async def said() -> bool:
                        return bool(events)

                    await eventually(said, what="it is said in the log")
                    assert not restarting.done()
        assert [event["event"] for event in events] == [
            "no proxy can connect, trying again",
            "proxies can connect again",
        ]
        assert await served.ask(served.issuer.proxy(A)) == "hello"


async def test_a_connection_that_breaks_while_something_is_sent(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    """It ends the conversation, and is nothing to tell anybody of."""
    async with serving() as served, Front("127.0.0.1", ports.reserve()) as front:
        front.targets.append(f"127.0.0.1:{served.server.port}")
        async with secure_channel(front.port, served.issuer.proxy(A), served.issuer.authorities) as channel:
            call = discovery(channel)
            await call.write(Request(type_url="hello", node=base_pb2.Node(id="pod")))
            assert (await call.read()).type_url == "hello"
            (conversation,) = served.conversations
            front.cut()
            # More than a connection holds, so that it is still being sent when it turns out that nobody is there.
            conversation.say("x" * (16 << 20))

            async def ended() -> bool:
                return conversation.ended

            await eventually(ended, what="the conversation ends")
    # gRPC wakes the loops of all tests of this process, closed ones included, and asyncio says so here.
    said = [record.getMessage() for record in caplog.records]
    assert not [text for text in said if "PollerCompletionQueue" not in text]
