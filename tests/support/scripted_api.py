"""An API server that plays a script: for what a real one does rarely, such as forgetting, falling silent or refusing.

    async with scripted(listed(version="5"), watched(bookmark("7"), end="cut")) as api:
        async with connected(kubeconfig=api.kubeconfig) as client: ...
    assert api.asked[1].query["resourceVersion"] == "5"

Each request gets the next step of the script; one that finds none waits for the end of the test. How a server behaves
otherwise is tested against a real one (``support.cluster``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml
from aiohttp import web

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]
Document = dict[str, Any]
End = Literal["whole", "cut", "open"]


class Asked(msgspec.Struct, frozen=True):
    """A request that was made."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class ScriptedApi:
    """The server. ``handle`` takes every request."""

    def __init__(self, handle: Step, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.asked: list[Asked] = []
        self.url = ""
        self._handle = handle

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Note the request and answer it."""
        text = await request.text()
        self.asked.append(
            Asked(
                request.method,
                request.path,
                dict(request.query),
                dict(request.headers),
                json.loads(text) if text else None,
            )
        )
        return await self._handle(request)

    def write_kubeconfig(self, user: Document) -> None:
        """Name this server, and a user, in the kubeconfig."""
        self.kubeconfig.write_text(yaml.safe_dump(kubeconfig(self.url, user)))


def kubeconfig(server: str, user: Document) -> Document:
    """A kubeconfig with one context, which is called ``test``."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }


@contextlib.asynccontextmanager
async def scripted(*steps: Step) -> AsyncIterator[ScriptedApi]:
    """A server that plays these steps, one for each request."""
    left = deque(steps)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await (left.popleft() if left else waits)(request)

    async with serving(handle) as api:
        yield api


@contextlib.asynccontextmanager
async def serving(handle: Step, *, port: int = 0) -> AsyncIterator[ScriptedApi]:
    """A server that gives every request to ``handle``; on a free port, if none is named."""
    with tempfile.TemporaryDirectory() as directory:
        api = ScriptedApi(handle, Path(directory) / "kubeconfig")
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", api.answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        try:
            api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            api.write_kubeconfig({"token": "secret"})
            yield api
        finally:
            await runner.cleanup()


async def waits(_: web.Request) -> web.StreamResponse:
    """A request that is never answered."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def answered(body: Document, status: int = 200, headers: dict[str, str] | None = None) -> Step:
    """A plain answer."""

    async def step(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return step


def raw(text: str, status: int = 200) -> Step:
    """An answer that no API server gives."""

    async def step(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status)

    return step


def refusal(status: int, reason: str, message: str = "no", *, retry_after: int | None = None) -> Document:
    """A ``Status`` that refuses."""
    details = {} if retry_after is None else {"details": {"retryAfterSeconds": retry_after}}
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": status,
        **details,
    }


def refused(status: int, reason: str, message: str = "no", *, retry_after: int | None = None) -> Step:
    """An answer that refuses."""
    return answered(refusal(status, reason, message, retry_after=retry_after), status)


def listed(*objects: Document, version: str, more: str = "", kind: str = "PodList") -> Step:
    """A page of a list; ``more`` is the token for the next one."""
    metadata = {"resourceVersion": version} | ({"continue": more} if more else {})
    return answered({"apiVersion": "v1", "kind": kind, "metadata": metadata, "items": list(objects)})


def watched(*said: Document | str, end: End = "whole") -> Step:
    """A watch that says these things, and ends: as it should, ``cut`` off, or not at all (``open``).

    A text is sent as it stands: part of a line, perhaps.
    """

    async def step(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for one in said:
            await response.write((one if isinstance(one, str) else json.dumps(one) + "\n").encode())
        if end == "open":
            await waits(request)
        if end == "cut":
            assert request.transport is not None
            request.transport.abort() if not said else request.transport.close()
        return response

    return step


def pod(name: str, version: str, **spec: Any) -> Document:
    """An object of whatever kind."""
    return {"metadata": {"name": name, "namespace": "default", "resourceVersion": version}, "spec": spec}


def event(type_: str, document: Document) -> Document:
    """Something that a watch says."""
    return {"type": type_, "object": document}


def bookmark(version: str) -> Document:
    """How far the server is."""
    return event("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": version}})
