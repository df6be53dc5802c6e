"""The gRPC server that an Envoy of ours asks for its configuration, on a Unix domain socket.

In: a conversation per stream, which decides what to say. Out: bytes on the wire. It holds no state of its
own: requests go to the conversation, and whenever its ``wake`` event is set, what it has to send is sent.
``fleetserver`` does the same for the proxies of a fleet, which are elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from tidegate.errors import DataPlaneError

Context: TypeAlias = grpc.aio.ServicerContext[discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse]

END: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # The stubs do not have it.
"""What reading gives at the end of a stream."""

OPTIONS: tuple[tuple[str, int], ...] = (
    # The first request of a reconnect names every resource that Envoy has.
    ("grpc.max_receive_message_length", 256 * 1024 * 1024),
    ("grpc.so_reuseport", 0),
)
"""What every server of ours needs."""

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class Conversation(Protocol):
    """What is said on one stream. Called from the server's event loop only."""

    @property
    def wake(self) -> asyncio.Event:
        """Set when there may be something to send."""
        ...

    @property
    def over(self) -> bool:
        """Whether we end the stream; looked at after each ``wake``."""
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


class Calls:
    """The calls that a server is answering, so that they end before it does.

    gRPC cancels what still runs when a server stops, but does not wait for it. What is cancelled once more, while it
    ends, because the event loop ends as well, it logs as an error, with a traceback.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    @contextlib.contextmanager
    def answered(self) -> Iterator[None]:
        """Around the answer to a call."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    async def end(self) -> None:
        """Cancel all, and wait until they have ended."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class XdsServer:
    """Serves delta ADS on ``socket``; ``converse`` makes the conversation of each new stream."""

    def __init__(self, socket: Path, converse: Callable[[], Conversation]) -> None:
        self._socket = socket
        self._converse = converse
        self._server: grpc.aio.Server | None = None
        self._calls = Calls()

    async def start(self) -> None:
        """Listen. Takes over the path of an earlier server that is gone. Raises DataPlaneError."""
        try:
            self._socket.unlink(missing_ok=True)
        except OSError as error:
            raise DataPlaneError(f"cannot listen for Envoy on {self._socket}: {error}") from error
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((discovery_handlers(self._stream),))
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
            await self._calls.end()
            await server.stop(grace=None)

    async def _stream(self, _requests: Any, context: Context) -> None:
        with self._calls.answered():
            await hold(context, lambda _: self._converse())


def discovery_handlers(stream: Callable[[Any, Context], Any]) -> grpc.GenericRpcHandler[Any, Any]:
    """Delta ADS, served by ``stream``."""
    handler = grpc.stream_stream_rpc_method_handler(
        stream,
        request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
        response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(_SERVICE, {"DeltaAggregatedResources": handler})


async def hold(context: Context, converse: Callable[[base_pb2.Node], Conversation]) -> None:
    """Hold the conversation of a stream to its end. Its first request says who asks."""
    first = await context.read()
    if first is END:
        return
    conversation = converse(first.node)
    try:
        conversation.receive(first)
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(_read(conversation, context), name="xds reader")
            writer = tasks.create_task(_write(conversation, context), name="xds writer")
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            reader.cancel()
            writer.cancel()
    finally:
        conversation.end()


async def _read(conversation: Conversation, context: Context) -> None:
    while True:
        request = await context.read()
        if request is END:
            return
        conversation.receive(request)


async def _write(conversation: Conversation, context: Context) -> None:
    while not conversation.over:
        await conversation.wake.wait()
        conversation.wake.clear()
        for response in conversation.take():
            try:
                await context.write(response)
            except grpc.aio.InternalError:
                return  # The connection broke, which gRPC notices here first.
