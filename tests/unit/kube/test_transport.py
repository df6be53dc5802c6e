from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from support.ports import Ports
from support.scripted_api import answered, kubeconfig, scripted, serving, waits, watched
from tidegate.errors import KubeError
from tidegate.kube.config import connected
from tidegate.kube.resources import ApiResource
from tidegate.kube.selection import Selection
from tidegate.telemetry.events import Event
from tidegate.telemetry.logs import log_to_sink

PODS = Selection(resource=ApiResource("", "v1", "pods"))


async def test_server_that_is_away_is_told_once_and_so_is_its_return(ports: Ports, tmp_path: Path) -> None:
    """However many requests fail, operators read two lines; every request says why it failed."""
    told: list[Event] = []
    log_to_sink(told.append)
    port = ports.reserve()
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig(f"http://127.0.0.1:{port}", {"token": "x"})))
    async with connected(kubeconfig=path) as client:
        for _ in range(3):
            with pytest.raises(KubeError, match=r"cannot read /x: .* cannot be reached: Connection refused") as caught:
                await client.get("/x")
            assert caught.value.status is None
        assert client.away
        async with serving(answered({}), port=port):
            await client.get("/x")
            await client.get("/x")
        assert not client.away
    assert [(one.level, one.message) for one in told] == [
        ("warning", "the API server does not answer; what is known stays in force"),
        ("info", "the API server answers again"),
    ]
    assert told[0].details["problem"] == "it cannot be reached: Connection refused"


async def test_parameters_are_quoted() -> None:
    """Selectors have characters that mean something in an address."""
    async with scripted(answered({})) as api, connected(kubeconfig=api.kubeconfig) as client:
        await client.get("/x", params={"labelSelector": "a in (b,c),d=e&f", "continue": "eyJ+/=="})
        assert api.asked[0].query == {"labelSelector": "a in (b,c),d=e&f", "continue": "eyJ+/=="}


async def test_connection_that_ends_before_the_answer() -> None:
    """A server that dies with our request in its hands is told as such."""

    async def dies(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return await waits(request)

    async with scripted(dies, dies) as api, connected(kubeconfig=api.kubeconfig) as client:
        with pytest.raises(KubeError, match="closed the connection before its answer was complete"):
            await client.create("/x", {})


async def test_watch_that_breaks_off_is_an_error() -> None:
    """Only a watch that the server ends in order ends without one."""
    async with scripted(watched("{", end="cut")) as api, connected(kubeconfig=api.kubeconfig) as client:
        with pytest.raises(KubeError, match="closed the connection"):
            async with client.watch(PODS, resource_version="1") as events:
                assert [event async for event in events] == []
        assert not client.away


async def test_silence_is_an_error() -> None:
    """A stream that says nothing for longer than it may is given up."""
    async with scripted(watched(end="open")) as api, connected(kubeconfig=api.kubeconfig) as client:
        with pytest.raises(KubeError, match=r"cannot watch /api/v1/pods: .* said nothing for 0.1 s"):
            async with client.watch(PODS, resource_version="1", silence=0.1) as events:
                assert [event async for event in events] == []


async def test_leaving_a_watch_ends_its_request() -> None:
    """Nobody goes on listening when the consumer has gone."""
    gone = asyncio.Event()

    async def open_ended(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            return await waits(request)
        finally:
            gone.set()

    async with serving(open_ended) as api, connected(kubeconfig=api.kubeconfig) as client:
        async with client.watch(PODS, resource_version="1"):
            pass
        async with asyncio.timeout(5):
            await gone.wait()
