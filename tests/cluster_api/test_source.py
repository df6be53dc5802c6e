"""The source of a cluster on a real API server: the picture that it gives is the truth, soon, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from support import manifests
from support.cluster import Cluster
from support.cluster_api import ApiError
from support.waiting import eventually
from tidegate.kube.config import connected
from tidegate.model.apis import InstalledApis
from tidegate.model.diagnostics import Diagnostic
from tidegate.model.gateway import Gateway
from tidegate.model.kinds import Resource
from tidegate.model.observed import Observed
from tidegate.model.routes import TCPRoute
from tidegate.names import ObjectKey
from tidegate.sources.kubernetes import KubernetesSource

ROUTES = "tcproutes.gateway.networking.k8s.io"


class Picture:
    """What the consumer of a source knows."""

    def __init__(self) -> None:
        self.resources: dict[ObjectKey, Resource] = {}
        self.observed: dict[ObjectKey, Observed] = {}
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.apis = InstalledApis()
        self.batches = 0
        self.removed: list[ObjectKey] = []

    async def follow(self, kubeconfig: Path, impersonate: str | None = None) -> None:
        async with connected(kubeconfig=kubeconfig, impersonate=impersonate) as client:
            source = KubernetesSource(client, observed=self._observe)
            async with contextlib.aclosing(source.batches()) as batches:
                async for batch in batches:
                    self.batches += 1
                    self.apis = batch.apis or self.apis
                    if batch.diagnostics is not None:
                        self.diagnostics = batch.diagnostics
                    for change in batch.changes:
                        if change.resource is None:
                            del self.resources[change.key]
                            self.removed.append(change.key)
                        else:
                            self.resources[change.key] = change.resource

    def names(self, kind: str) -> set[str]:
        """The objects of a kind, outside the namespaces that every cluster has."""
        return {key.path for key in self.resources if key.kind == kind}

    async def shows(self, what: str, holds: Callable[[Picture], object], *, within: float = 15) -> None:
        """Returns once this is so."""

        async def probe() -> bool:
            return self.batches > 0 and bool(holds(self))

        await eventually(probe, what=what, within=within)

    def _observe(self, key: ObjectKey, observed: Observed | None) -> None:
        if observed is None:
            del self.observed[key]
        else:
            self.observed[key] = observed


@contextlib.asynccontextmanager
async def pictured(cluster: Cluster, impersonate: str | None = None) -> AsyncIterator[Picture]:
    """The picture, from the first batch on."""
    picture = Picture()
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(picture.follow(cluster.kubeconfig, impersonate))
        await picture.shows("the first batch has come", lambda _: True)
        yield picture
        following.cancel()


def route(name: str, backend: str = "db", **arguments: Any) -> dict[str, Any]:
    return manifests.tcproute(name, [manifests.parent("edge")], [manifests.backend(backend)], **arguments)


async def test_everything_is_there_and_followed(cluster: Cluster) -> None:
    """Objects from before are in the first batch, later ones follow, and what is deleted goes."""
    edge = manifests.gateway("edge", [manifests.listener("tcp", 8080)])
    await cluster.api.apply(edge, manifests.service("db"), route("before"))
    ns = cluster.namespace
    async with pictured(cluster) as picture:
        assert picture.names("TCPRoute") == {f"{ns}/before"}
        assert f"{ns}/db" in picture.names("Service")
        assert ns in picture.names("Namespace")
        assert picture.apis.served["TCPRoute"] == "v1"
        await cluster.api.apply(route("later"))
        await cluster.api.delete("TCPRoute", "before")
        await picture.shows("the change", lambda now: now.names("TCPRoute") == {f"{ns}/later"})
        (gateway,) = (each for each in picture.resources.values() if isinstance(each, Gateway))
        stored = await cluster.api.get("Gateway", "edge")
        assert gateway.metadata.uid == stored["metadata"]["uid"]
        assert gateway.metadata.generation == stored["metadata"]["generation"] == 1
        assert f"{gateway.metadata.creation_timestamp:%FT%TZ}" == stored["metadata"]["creationTimestamp"]


async def test_status_goes_to_its_writer_and_is_no_change(cluster: Cluster) -> None:
    """A write of the status alone is observed, and delivers nothing."""
    await cluster.api.apply(manifests.gateway("edge", [manifests.listener("tcp", 8080)]))
    condition = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "by somebody",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    key = ObjectKey("gateway.networking.k8s.io", "Gateway", cluster.namespace, "edge")
    async with pictured(cluster) as picture:
        before = picture.observed[key]
        batches = picture.batches
        await cluster.api.patch_status("Gateway", "edge", {"conditions": [condition]})
        await picture.shows("the status", lambda now: now.observed[key].resource_version != before.resource_version)
        assert picture.observed[key].status["conditions"][0]["message"] == "by somebody"
        assert (picture.observed[key].version, picture.observed[key].generation) == ("v1", 1)
        assert picture.batches == batches
        await cluster.api.delete("Gateway", "edge")
        await picture.shows("it is gone", lambda now: key not in now.observed and key not in now.resources)


async def test_route_of_an_older_version_is_read_as_it_is(experimental_cluster: Cluster) -> None:
    """A route with two rules can only be written in v1alpha2; v1 gives it out, and it is taken."""
    two_rules = route("two", version="v1alpha2")
    two_rules["spec"]["rules"] *= 2
    await experimental_cluster.api.apply(two_rules)
    async with pictured(experimental_cluster) as picture:
        (found,) = (each for each in picture.resources.values() if isinstance(each, TCPRoute))
        assert len(found.spec.rules) == 2
        assert picture.diagnostics == ()
        assert {each.version for key, each in picture.observed.items() if key.kind == "TCPRoute"} == {"v1"}


async def _serve(cluster: Cluster, **served: bool) -> None:
    """Change which versions of TCPRoute are served."""
    definition = await cluster.api.get("CustomResourceDefinition", ROUTES)
    for version in definition["spec"]["versions"]:
        version["served"] = served.get(version["name"], version["served"])
    await cluster.api.replace(definition)


async def test_versions_and_kinds_that_come_and_go(own_cluster: Cluster) -> None:
    """TCPRoute in an old version, then in a better one, then not at all, and then again: never is anything stopped."""
    await own_cluster.api.apply(route("r"))
    definition = await own_cluster.api.get("CustomResourceDefinition", ROUTES)
    await _serve(own_cluster, v1=False, v1alpha2=True)
    key = ObjectKey("gateway.networking.k8s.io", "TCPRoute", own_cluster.namespace, "r")
    async with pictured(own_cluster) as picture:
        await picture.shows("v1alpha2 is read", lambda now: now.apis.served["TCPRoute"] == "v1alpha2")
        await picture.shows("the route is read", lambda now: key in now.resources)
        assert picture.observed[key].version == "v1alpha2"

        await _serve(own_cluster, v1=True)
        await picture.shows("v1 is read", lambda now: now.apis.served["TCPRoute"] == "v1")
        await picture.shows("the status is that of v1", lambda now: now.observed[key].version == "v1")
        assert key in picture.resources

        await own_cluster.api.delete("CustomResourceDefinition", ROUTES)
        await picture.shows("the kind is gone", lambda now: now.apis.served["TCPRoute"] is None)
        await picture.shows("its objects are gone", lambda now: key not in now.resources and key not in now.observed)
        await own_cluster.api.apply(manifests.gateway("edge", [manifests.listener("tcp", 8080)]))
        await picture.shows("others go on", lambda now: now.names("Gateway"))

        await own_cluster.api.create({"metadata": {"name": ROUTES}} | _fresh(definition))
        await picture.shows("the kind is back", lambda now: now.apis.served["TCPRoute"] == "v1")
        await _insisting(own_cluster.api.apply, route("r"))
        await picture.shows("its objects are back", lambda now: key in now.resources)


def _fresh(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition as one would apply it."""
    annotations = definition["metadata"]["annotations"]
    spec = definition["spec"]
    for version in spec["versions"]:
        version["served"] = version["name"] == "v1"
    return {
        "apiVersion": definition["apiVersion"],
        "kind": definition["kind"],
        "metadata": {"name": ROUTES, "annotations": annotations},
        "spec": spec,
    }


async def _insisting(write: Callable[..., Awaitable[object]], *arguments: Any) -> None:
    """Write, as soon as the server takes it: it may have come up just now, or not serve the kind yet."""

    async def attempt() -> bool:
        try:
            await write(*arguments)
        except ApiError:
            return False
        return True

    await eventually(attempt, what="the write is taken", within=15, every=0.05)


async def test_picture_is_right_after_the_server_was_away(own_cluster: Cluster) -> None:
    """While the server is away everything known stays; afterwards the picture is what is stored, for every kind."""
    dice = random.Random(11)
    stored: set[tuple[str, str]] = {("TCPRoute", "stays")}
    await own_cluster.api.apply(route("stays"))
    async with pictured(own_cluster) as picture:
        for _ in range(2):
            for _ in range(20):
                name = f"o{dice.randrange(8)}"
                document = dice.choice([route, manifests.service])(name)
                if dice.random() < 0.3:
                    await _insisting(own_cluster.api.delete, document["kind"], name)
                    stored.discard((document["kind"], name))
                else:
                    await _insisting(own_cluster.api.apply, document)
                    stored.add((document["kind"], name))
            own_cluster.server.process.kill()
            await own_cluster.server.restart()
        for kind in ("TCPRoute", "Service"):
            paths = {f"{own_cluster.namespace}/{name}" for each, name in stored if each == kind}
            await picture.shows(
                f"every {kind} is there",
                lambda now, kind=kind, paths=paths: now.names(kind) - {"default/kubernetes"} == paths,
                within=30,
            )
        assert "stays" not in {key.name for key in picture.removed}


async def test_source_needs_no_more_than_to_read(cluster: Cluster) -> None:
    """A role that may only list and watch what is read, and read definitions, is enough."""
    user = f"system:serviceaccount:{cluster.namespace}:reader"
    rules = [
        {"apiGroups": ["gateway.networking.k8s.io", "tidegate.dev"], "resources": ["*"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["namespaces", "services"], "verbs": ["list", "watch"]},
        {
            "apiGroups": ["apiextensions.k8s.io"],
            "resources": ["customresourcedefinitions"],
            "verbs": ["get", "list", "watch"],
        },
    ]
    api = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    await cluster.api.apply(
        api | {"kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": rules},
        api
        | {
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": cluster.namespace}],
        },
    )
    async with pictured(cluster, impersonate=user) as picture:
        await cluster.api.apply(route("r"))
        await picture.shows("the route", lambda now: now.names("TCPRoute"))
