"""How the source puts its parts together; what it does on a real API server is in tests/cluster_api."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from support import manifests
from support.scripted_api import bookmark, event, refused, serving, watched
from support.waiting import eventually
from tidegate.kube.config import connected
from tidegate.kube.discovery import BUNDLE_VERSION_ANNOTATION
from tidegate.model.kinds import KINDS
from tidegate.model.observed import Observed
from tidegate.names import ObjectKey
from tidegate.sources.base import Batch
from tidegate.sources.kubernetes import KubernetesSource
from tidegate.sources.kubernetes_versions import CUSTOM_KINDS, definition_name

DEFINITIONS = "customresourcedefinitions"
ROUTES = "tcproutes"


class Collection:
    """The objects of one plural: what a list has, and what watches say from then on."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.refuses = False


class World:
    """A cluster with these definitions, whose objects the test moves by hand."""

    def __init__(self) -> None:
        self.collections: dict[str, Collection] = {plural: Collection() for plural in [DEFINITIONS, *_plurals()]}
        self.served = {definition_name(kind): kind.versions for kind in CUSTOM_KINDS}
        for name in self.served:
            self.collections[DEFINITIONS].objects[name] = self._definition(name)
        self.observed: list[tuple[str, Observed | None]] = []
        self.listed: list[str] = []
        self._version = 100

    async def handle(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.split("/")
        if parts[-2] == DEFINITIONS:
            return self._inspected(parts[-1])
        collection = self.collections[parts[-1]]
        if "watch" in request.query:
            said = await collection.said.get()
            return await watched(said)(request)
        if collection.refuses:
            return await refused(503, "ServiceUnavailable")(request)
        self.listed.append(request.path)
        items = list(collection.objects.values())
        body = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "100"}, "items": items}
        return web.json_response(body)

    def put(self, plural: str, document: dict[str, Any], *, tell: bool = True) -> None:
        """An object is made or changed."""
        self._version += 1
        metadata = {"namespace": "ns", "uid": "u", **document["metadata"], "resourceVersion": str(self._version)}
        stored = {**document, "metadata": metadata}
        self.collections[plural].objects[metadata["name"]] = stored
        if tell:
            self.collections[plural].said.put_nowait(event("MODIFIED", stored))

    def drop(self, plural: str, name: str) -> None:
        """An object is deleted."""
        self._version += 1
        gone = self.collections[plural].objects.pop(name)
        gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self._version)}}
        self.collections[plural].said.put_nowait(event("DELETED", gone))

    def serve(self, kind: str, *versions: str) -> None:
        """A kind is served in other versions from now on."""
        name = next(definition_name(one) for one in CUSTOM_KINDS if one.kind == kind)
        self.served[name] = versions
        self.put(DEFINITIONS, self._definition(name))

    def note(self, key: ObjectKey, observed: Observed | None) -> None:
        self.observed.append((key.name, observed))

    def _inspected(self, name: str) -> web.Response:
        versions = [{"name": version, "served": True} for version in self.served[name]]
        status = {"conditions": [{"type": "Established", "status": "True"}]}
        return web.json_response({"spec": {"versions": versions}, "status": status})

    def _definition(self, name: str) -> dict[str, Any]:
        annotations = {BUNDLE_VERSION_ANNOTATION: "v1.6.1"}
        return {"metadata": {"name": name, "resourceVersion": "1", "annotations": annotations}}


def _plurals() -> list[str]:
    return [kind.plural for kind in KINDS]


class Delivered:
    """What a source delivers, one batch at a time."""

    def __init__(self, batches: AsyncIterator[Batch]) -> None:
        self._batches = batches

    async def next(self) -> Batch:
        async with asyncio.timeout(10):
            return await anext(self._batches)

    async def until(self, name: str) -> Batch:
        """The first batch that has a change of this object."""
        while True:
            batch = await self.next()
            if any(change.key.name == name for change in batch.changes):
                return batch


@contextlib.asynccontextmanager
async def delivering(world: World) -> AsyncIterator[Delivered]:
    async with (
        serving(world.handle) as api,
        connected(kubeconfig=api.kubeconfig) as client,
        contextlib.aclosing(KubernetesSource(client, observed=world.note).batches()) as batches,
    ):
        yield Delivered(batches)


def route(name: str) -> dict[str, Any]:
    return manifests.tcproute(name, [manifests.parent("edge")], [manifests.backend("db")])


def names(batch: Batch) -> dict[str, bool]:
    """The objects of a batch, and whether each is there."""
    return {change.key.name: change.resource is not None for change in batch.changes}


async def test_first_batch_has_everything() -> None:
    """All kinds come together, with what is installed and what there is to say, be it nothing."""
    world = World()
    world.put(ROUTES, route("r"), tell=False)
    world.put("services", manifests.service("s", 80), tell=False)
    async with delivering(world) as delivered:
        batch = await delivered.next()
    assert names(batch) == {"r": True, "s": True}
    assert batch.diagnostics == ()
    assert batch.apis is not None
    assert batch.apis.served["TCPRoute"] == "v1"
    assert set(batch.apis.bundle_versions.values()) == {"v1.6.1"}


async def test_first_batch_waits_for_every_kind() -> None:
    """A kind that cannot be listed holds it up: half a picture would be taken for the whole."""
    world = World()
    world.collections["endpointslices"].refuses = True
    world.put(ROUTES, route("r"), tell=False)
    async with delivering(world) as delivered:
        waiting = asyncio.ensure_future(delivered.next())  # noqa: TID251 - awaited below

        async def listed() -> int:
            return len(world.listed)

        await eventually(listed, lambda count: count == len(KINDS), what="definitions and all kinds but one are listed")
        assert not waiting.done()
        world.collections["endpointslices"].refuses = False
        assert names(await waiting) == {"r": True}


async def test_changes_come_as_they_happen() -> None:
    """What is new, changed or gone comes in batches; what happened between two comes together."""
    world = World()
    async with delivering(world) as delivered:
        await delivered.next()
        world.put(ROUTES, route("a"))
        assert names(await delivered.next()) == {"a": True}
        world.drop(ROUTES, "a")
        assert names(await delivered.next()) == {"a": False}


async def test_kind_that_is_not_installed_is_no_error() -> None:
    """The first batch does not wait for it, and it is told."""
    world = World()
    world.served["tcproutes.gateway.networking.k8s.io"] = ()
    async with delivering(world) as delivered:
        batch = await delivered.next()
    assert batch.apis is not None
    assert batch.apis.served["TCPRoute"] is None
    assert batch.apis.served["Gateway"] == "v1"


async def test_kind_that_is_installed_later_is_picked_up_and_goes_with_its_objects() -> None:
    """Its objects come when its definition does, and leave with it, statuses included."""
    world = World()
    world.served["tcproutes.gateway.networking.k8s.io"] = ()
    world.put(ROUTES, route("r"), tell=False)
    async with delivering(world) as delivered:
        assert names(await delivered.next()) == {}
        world.serve("TCPRoute", "v1")
        batch = await delivered.until("r")
        assert names(batch) == {"r": True}
        world.serve("TCPRoute")
        assert names(await delivered.until("r")) == {"r": False}
        assert world.observed[-1] == ("r", None)


async def test_better_version_is_taken_as_soon_as_it_is_served() -> None:
    """The objects stay in force meanwhile; only the version to write their statuses in changes."""
    world = World()
    world.served["tcproutes.gateway.networking.k8s.io"] = ("v1alpha2",)
    world.put(ROUTES, route("r"), tell=False)
    async with delivering(world) as delivered:
        first = await delivered.next()
        assert first.apis is not None
        assert first.apis.served["TCPRoute"] == "v1alpha2"
        world.serve("TCPRoute", "v1", "v1alpha2")
        second = await delivered.next()
        assert second.apis is not None
        assert second.apis.served["TCPRoute"] == "v1"
        assert second.changes == ()
        world.put(ROUTES, route("later"))
        assert names(await delivered.next()) == {"later": True}
    assert [observed.version for name, observed in world.observed if name == "r" and observed] == ["v1alpha2", "v1"]


async def test_status_is_observed_before_the_object_is_delivered() -> None:
    """Whoever writes statuses knows what stands in there when the decision about the object comes."""
    world = World()
    world.put(ROUTES, route("r") | {"status": {"parents": [{"controllerName": "x"}]}}, tell=False)
    async with delivering(world) as delivered:
        await delivered.next()
        assert [(name, dict(seen.status)) for name, seen in world.observed if seen] == [
            ("r", {"parents": [{"controllerName": "x"}]})
        ]
        world.put(ROUTES, route("r") | {"status": {"parents": [{"controllerName": "y"}]}})
        world.put("services", manifests.service("s", 80))
        assert names(await delivered.until("s")) == {"s": True}
        world.drop(ROUTES, "r")
        assert names(await delivered.next()) == {"r": False}
        assert [seen and dict(seen.status) for _, seen in world.observed][-2:] == [
            {"parents": [{"controllerName": "y"}]},
            None,
        ]


async def test_only_statuses_that_tidegate_writes_are_observed() -> None:
    """Services come and go without a word to the writer."""
    world = World()
    world.put("services", manifests.service("s", 80), tell=False)
    async with delivering(world) as delivered:
        await delivered.next()
        world.drop("services", "s")
        await delivered.next()
    assert world.observed == []


async def test_refused_object_is_a_diagnostic_and_stops_nothing() -> None:
    """What our validation refuses is told with its key; everything else goes on."""
    world = World()
    async with delivering(world) as delivered:
        await delivered.next()
        broken = route("broken")
        broken["spec"]["rules"] = []
        world.put(ROUTES, broken)
        batch = await delivered.next()
        assert batch.changes == ()
        assert batch.diagnostics is not None
        assert [diagnostic.object and diagnostic.object.name for diagnostic in batch.diagnostics] == ["broken"]
        world.put(ROUTES, route("sound"))
        assert names(await delivered.next()) == {"sound": True}


async def test_nothing_new_is_no_batch() -> None:
    """Bookmarks, and writes that change nothing for us, wake nobody."""
    world = World()
    world.put(ROUTES, route("r"), tell=False)
    async with delivering(world) as delivered:
        await delivered.next()
        world.collections[ROUTES].said.put_nowait(bookmark("500"))
        world.put(ROUTES, route("r"))
        world.put(ROUTES, route("other"))
        assert names(await delivered.next()) == {"other": True}


async def test_bug_in_a_follower_reaches_the_consumer() -> None:
    """The source ends with the error instead of standing still without a word."""
    world = World()
    world.put(ROUTES, route("r"), tell=False)

    def broken(_key: ObjectKey, _observed: Observed | None) -> None:
        raise ZeroDivisionError

    async with (
        serving(world.handle) as api,
        connected(kubeconfig=api.kubeconfig) as client,
        contextlib.aclosing(KubernetesSource(client, observed=broken).batches()) as batches,
    ):
        with pytest.raises(ExceptionGroup) as caught:
            await anext(batches)
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)
