"""Streams of discovery as Envoy opens them, and both sides of what is said there, for tests of the xDS servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from support.certificates import SERVER_NAME
from support.discovery import request
from tidegate.dataplanes.envoy.proxynode import ProxyNode, as_json
from tidegate.dataplanes.envoy.resources import Kind
from tidegate.dataplanes.envoy.server import END
from tidegate.dataplanes.envoy.translate import TranslateOptions
from tidegate.fleet.pki import KeyPair

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


class Echo:
    """Answers each request with its type, and whatever ``say`` is given."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.over = False
        self.ended = False
        self._said: list[discovery_pb2.DeltaDiscoveryResponse] = []

    def receive(self, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        """Answer."""
        self.say(request.type_url)

    def say(self, text: str) -> None:
        """Say something unasked."""
        self._said.append(discovery_pb2.DeltaDiscoveryResponse(type_url=text))
        self.wake.set()

    def take(self) -> Sequence[discovery_pb2.DeltaDiscoveryResponse]:
        """What is to be said now."""
        said, self._said = self._said, []
        return said

    def end(self) -> None:
        """Note the end."""
        self.ended = True


def discovery(channel: grpc.aio.Channel) -> Any:
    """A stream of delta ADS on a channel."""
    open_stream: Any = channel.stream_stream(
        METHOD,
        request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
        response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
    )
    return open_stream()


@asynccontextmanager
async def secure_channel(port: int, pair: KeyPair | None, authorities: bytes) -> AsyncIterator[grpc.aio.Channel]:
    """A connection to a replica on this machine, as somebody with this certificate."""
    own = (pair.key.pem, pair.certificate) if pair is not None else (None, None)
    credentials = grpc.ssl_channel_credentials(authorities, *own)
    options = [("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
        yield channel


class ScriptedProxy:
    """A proxy without an Envoy: it asks for everything, takes everything, and says so."""

    def __init__(self, name: str, address: str, *, instance: str = "1") -> None:
        node = ProxyNode(name=name, instance=instance, addresses=(address,), surroundings=TranslateOptions())
        self.node = json_format.ParseDict(as_json(node), base_pb2.Node())
        self.holds: dict[Kind, dict[str, str]] = {kind: {} for kind in Kind}
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self, channel: grpc.aio.Channel) -> None:
        """Hold one stream to its end."""
        call = discovery(channel)
        for kind in (Kind.CLUSTER, Kind.LISTENER):
            await call.write(request(kind, has=self.holds[kind], node=self.node))
        self.connected.set()
        try:
            while (response := await call.read()) is not END:
                for answer in self._take(response):
                    await call.write(answer)
        finally:
            self.ended.set()

    def _take(self, response: discovery_pb2.DeltaDiscoveryResponse) -> Iterator[discovery_pb2.DeltaDiscoveryRequest]:
        kind = Kind(response.type_url)
        holds = self.holds[kind]
        new = [one.name for one in response.resources if one.name not in holds]
        holds.update((one.name, one.version) for one in response.resources)
        for name in response.removed_resources:
            holds.pop(name, None)
        yield request(kind, nonce=response.nonce)
        if kind is Kind.CLUSTER and new:
            yield request(Kind.ASSIGNMENT, subscribe=new)
        if kind is Kind.LISTENER and new:
            yield request(Kind.FILTER, subscribe=[f"{name}/tcp" for name in new])
