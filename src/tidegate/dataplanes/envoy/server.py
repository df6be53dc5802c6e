"""The gRPC server that an Envoy asks for its configuration, on a Unix domain socket.

In: a conversation per stream, which decides what to say. Out: bytes on the wire. It holds no state of its
own: requests go to the conversation, and whenever its ``wake`` event is set, what it has to send is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from tidegate.errors import DataPlaneError

_END: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # The stubs do not have it.
_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
# The first request of a reconnect names every resource that Envoy has.
_OPTIONS = [("grpc.max_receive_message_length", 256 * 1024 * 1024), ("grpc.so_reuseport", 0)]

_Context = grpc.aio.ServicerContext[discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse]


class Conversation(Protocol):
    """What is said on one stream. Called from the server's event loop only."""

    @property
    def wake(self) -> asyncio.Event:
        """Set when there may be something to send."""
        ...

    def receive(self, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        """A request arrived."""
        ...

    def take(self) -> Sequence[discovery_pb2.DeltaDiscoveryResponse]:
        """The responses to send now."""
        ...

    def end(self) -> None:
        """The stream is over."""
        ...


class XdsServer:
    """Serves delta ADS on ``socket``; ``converse`` makes the conversation of each new stream."""

    def __init__(self, socket: Path, converse: Callable[[], Conversation]) -> None:
        self._socket = socket
        self._converse = converse
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen. Takes over the path of an earlier server that is gone. Raises DataPlaneError."""
        try:
            self._socket.unlink(missing_ok=True)
        except OSError as error:
            raise DataPlaneError(f"cannot listen for Envoy on {self._socket}: {error}") from error
        server = grpc.aio.server(options=_OPTIONS)
        handler = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
        )
        methods = grpc.method_handlers_generic_handler(_SERVICE, {"DeltaAggregatedResources": handler})
        server.add_generic_rpc_handlers((methods,))
        try:
            server.add_insecure_port(f"unix:{self._socket}")
        except RuntimeError as error:
            raise DataPlaneError(f"cannot listen for Envoy on {self._socket}: {error}") from error
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """End all streams and stop listening."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace=None)

    async def _stream(self, _requests: Any, context: _Context) -> None:
        conversation = self._converse()
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(_write(conversation, context), name="xds writer")
                await _read(conversation, context)
                writer.cancel()
        finally:
            conversation.end()


async def _read(conversation: Conversation, context: _Context) -> None:
    while True:
        request = await context.read()
        if request is _END:
            return
        conversation.receive(request)


async def _write(conversation: Conversation, context: _Context) -> None:
    while True:
        await conversation.wake.wait()
        conversation.wake.clear()
        for response in conversation.take():
            await context.write(response)
