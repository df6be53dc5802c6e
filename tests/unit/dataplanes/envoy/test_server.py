"""The xDS server carries requests and responses between streams and conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from support.planes import short_directory
from support.streams import Echo, discovery
from support.waiting import eventually
from tidegate.dataplanes.envoy.server import XdsServer
from tidegate.errors import DataPlaneError

Request = discovery_pb2.DeltaDiscoveryRequest


@asynccontextmanager
async def serving(socket: Path) -> AsyncIterator[list[Echo]]:
    """A server whose conversations are kept for the test."""
    conversations: list[Echo] = []

    def converse() -> Echo:
        conversations.append(Echo())
        return conversations[-1]

    server = XdsServer(socket, converse)
    await server.start()
    try:
        yield conversations
    finally:
        await server.stop()


@asynccontextmanager
async def stream(socket: Path) -> AsyncIterator[Any]:
    """A stream as Envoy would open it."""
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        call = discovery(channel)
        yield call
        call.cancel()


async def until_ended(conversation: Echo) -> None:
    async def probe() -> bool:
        return conversation.ended

    await eventually(probe, what="the conversation ends")


async def test_requests_and_responses() -> None:
    """Requests reach the conversation; its answers, and what it says unasked, reach the client in order."""
    with short_directory() as directory:
        async with serving(directory / "xds.sock") as conversations, stream(directory / "xds.sock") as call:
            for text in ("one", "two"):
                await call.write(Request(type_url=text))
                assert (await call.read()).type_url == text
            conversations[0].say("unasked")
            conversations[0].say("again")
            assert [(await call.read()).type_url for _ in range(2)] == ["unasked", "again"]


async def test_end_of_stream_ends_the_conversation() -> None:
    """A client that goes ends its conversation only; a client that is done too."""
    with short_directory() as directory:
        socket = directory / "xds.sock"
        async with serving(socket) as conversations, stream(socket) as stays:
            await stays.write(Request(type_url="x"))
            await stays.read()
            async with stream(socket) as goes:
                await goes.write(Request(type_url="y"))
                await goes.read()
            await until_ended(conversations[1])
            assert not conversations[0].ended
            await stays.done_writing()
            assert await stays.read() is grpc.aio.EOF
            await until_ended(conversations[0])


async def test_a_conversation_that_is_over_ends_its_stream() -> None:
    """We can end a stream too."""
    with short_directory() as directory:
        async with serving(directory / "xds.sock") as conversations, stream(directory / "xds.sock") as call:
            await call.write(Request(type_url="x"))
            await call.read()
            conversations[0].over = True
            conversations[0].say("last")
            assert (await call.read()).type_url == "last"
            assert await call.read() is grpc.aio.EOF
            await until_ended(conversations[0])


async def test_stop_ends_all_conversations() -> None:
    """Stopping waits for no stream."""
    with short_directory() as directory:
        async with serving(directory / "xds.sock") as conversations, stream(directory / "xds.sock") as call:
            await call.write(Request(type_url="x"))
            await call.read()
        await until_ended(conversations[0])


async def test_path_of_a_dead_server_is_taken_over() -> None:
    """A socket file that a killed controller left is no obstacle."""
    with short_directory() as directory:
        socket = directory / "xds.sock"
        socket.touch()
        for _ in range(2):
            async with serving(socket), stream(socket) as call:
                await call.write(Request(type_url="x"))
                assert (await call.read()).type_url == "x"


async def test_unusable_path_is_an_error(tmp_path: Path) -> None:
    """Where nothing can listen, that is said."""
    with pytest.raises(DataPlaneError, match="cannot listen for Envoy"):
        await XdsServer(tmp_path / "missing" / "xds.sock", Echo).start()


async def test_stop_without_start() -> None:
    """Nothing to stop is no error."""
    await XdsServer(Path("/nowhere"), Echo).stop()


async def test_path_that_cannot_be_taken_over_is_an_error(tmp_path: Path) -> None:
    """Where something else than a file is in the way, that is said."""
    with pytest.raises(DataPlaneError, match="cannot listen for Envoy"):
        await XdsServer(tmp_path, Echo).start()
