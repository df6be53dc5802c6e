"""Streams of discovery as Envoy opens them, and a conversation that answers them, for tests of the xDS servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from support.certificates import SERVER_NAME
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
