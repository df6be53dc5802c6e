"""A status writer at a real API server, fed by watches, and what it asks of the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from support.cluster import Cluster
from support.manifests import Manifest
from support.memory_server import Writing
from tidegate.kube.client import KubeClient
from tidegate.kube.config import connected
from tidegate.kube.reflector import Changed, Reflector, Removed, Replaced
from tidegate.kube.resources import ApiResource
from tidegate.model.observed import Observed
from tidegate.names import GATEWAY_GROUP, ObjectKey

KINDS = {"GatewayClass": "gatewayclasses", "Gateway": "gateways", "TCPRoute": "tcproutes"}


class CountingClient:
    """Passes on what a status writer asks, and remembers it: method and path."""

    def __init__(self, client: KubeClient) -> None:
        self.requests: list[tuple[str, str]] = []
        self._client = client

    async def get(self, path: str) -> dict[str, Any]:
        """Read an object."""
        self.requests.append(("GET", path))
        return await self._client.get(path)

    async def merge_patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change an object."""
        self.requests.append(("PATCH", path))
        return await self._client.merge_patch(path, body)

    def count(self, method: str, name: str = "") -> int:
        """How many requests of a method there were, to objects whose path has ``name`` in it."""
        return sum(one == method and f"/{name}" in path for one, path in self.requests)


class ClusterWriting(Writing):
    """A writer, the watches that feed it, and the requests that it makes. ``decide`` is called with every object that
    is there, as the controller would be, after the writer has seen it.
    """

    def __init__(self, client: KubeClient, version: str = "v1") -> None:
        self.client = CountingClient(client)
        self.version = version
        self.decide: Callable[[ObjectKey], None] = lambda _: None
        super().__init__(self.client)
        self._kube = client
        self._known: dict[str, set[ObjectKey]] = {kind: set() for kind in KINDS}

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Show the writer what is in the cluster while the block runs."""
        async with asyncio.TaskGroup() as tasks:
            listed = [asyncio.Event() for _ in KINDS]
            watches = [
                tasks.create_task(self._watch(kind, done)) for kind, done in zip(KINDS, listed, strict=True)
            ]  # fmt: skip
            try:
                for done in listed:
                    await done.wait()
                yield
            finally:
                for watch in watches:
                    watch.cancel()

    def seen(self, found: Manifest) -> None:
        """Show the writer one version of an object."""
        self.writer.observe(key_of(found), observed(found, self.version))

    def _show(self, key: ObjectKey, seen: Observed) -> None:
        self.writer.observe(key, seen)
        self.decide(key)

    async def _watch(self, kind: str, listed: asyncio.Event) -> None:
        version = self.version if kind == "TCPRoute" else "v1"
        resource = ApiResource(GATEWAY_GROUP, version, KINDS[kind], namespaced=kind != "GatewayClass")
        async with contextlib.aclosing(Reflector(self._kube, resource).events()) as events:
            async for event in events:
                match event:
                    case Replaced(objects=found):
                        present = {key_of(one): observed(one, version) for one in found}
                        for key in self._known[kind] - present.keys():
                            self.writer.observe(key, None)
                        self._known[kind] = set(present)
                        for key, one in present.items():
                            self._show(key, one)
                        listed.set()
                    case Changed(object=one):
                        self._known[kind].add(key_of(one))
                        self._show(key_of(one), observed(one, version))
                    case Removed(object=one):
                        self._known[kind].discard(key_of(one))
                        self.writer.observe(key_of(one), None)


@contextlib.asynccontextmanager
async def writing_to(cluster: Cluster, version: str = "v1") -> AsyncIterator[ClusterWriting]:
    """A writer with a client of its own; routes are read and written in a version."""
    async with connected(kubeconfig=cluster.kubeconfig) as client:
        yield ClusterWriting(client, version)


@contextlib.asynccontextmanager
async def leading_in(cluster: Cluster, version: str = "v1") -> AsyncIterator[ClusterWriting]:
    """A writer that sees what is there and leads."""
    async with writing_to(cluster, version) as writing, writing.watching(), writing.leading():
        yield writing


def key_of(found: Manifest) -> ObjectKey:
    """The identity of an object of the Gateway API."""
    metadata = found["metadata"]
    return ObjectKey(GATEWAY_GROUP, found["kind"], metadata.get("namespace", ""), metadata["name"])


def observed(found: Manifest, version: str = "v1") -> Observed:
    """What a source sees of an object."""
    metadata = found["metadata"]
    return Observed(
        version=version,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata["generation"],
        status=found.get("status", {}),
    )
