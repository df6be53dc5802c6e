"""A fleet in a test cluster, with the rights that an installation gives it and nothing more."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from support import manifests
from support.cluster import Cluster
from support.infrastructures import CONTAINER, IMAGE, gateway_key, infrastructure
from support.manifests import Manifest
from support.running import running
from support.waiting import eventually, steadily
from tidegate.fleet.applier import Fleet, ObjectOptions
from tidegate.fleet.authority import Authority
from tidegate.fleet.kinds import GENERATED
from tidegate.fleet.pki import facts
from tidegate.fleet.secretdata import decoded
from tidegate.fleet.trust import LIFETIMES, Lifetimes
from tidegate.installation.manifests import documents
from tidegate.installation.options import NAME, Options
from tidegate.kube.client import KubeClient
from tidegate.kube.config import connected
from tidegate.kube.resources import Object
from tidegate.names import CONTROLLER_NAME, ObjectKey
from tidegate.plan.infrastructure import Infrastructure, Trouble

RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


class Recorded(KubeClient):
    """A client that remembers what it changed: the verb, and ``plural/name``."""

    def __init__(self, client: KubeClient) -> None:
        super().__init__(client._transport)
        self.requests: list[tuple[str, str]] = []

    async def apply(self, path: str, body: Object, *, field_manager: str, force: bool = True) -> Object:
        """Server-side apply."""
        self.requests.append(("apply", _short(path)))
        return await super().apply(path, body, field_manager=field_manager, force=force)

    async def merge_patch(self, path: str, body: Object) -> Object:
        """JSON merge patch."""
        self.requests.append(("patch", _short(path)))
        return await super().merge_patch(path, body)

    async def delete(self, path: str, *, uid: str | None = None, propagation: str = "Background") -> bool:
        """Deletion."""
        self.requests.append(("delete", _short(path)))
        return await super().delete(path, uid=uid, propagation=propagation)


class FleetBench:
    """Replicas of a controller that keep data planes, of which one at most leads.

    ``troubles`` are those of each Gateway now, ``tellings`` all that was ever told of them.
    """

    def __init__(self, cluster: Cluster, client: KubeClient, lifetimes: Lifetimes) -> None:
        self.cluster = cluster
        self.api = cluster.api
        self.client = Recorded(client)
        self.troubles: dict[str, str] = {}
        self.tellings: list[Trouble | None] = []
        self.authority = Authority(
            self.client, namespace=cluster.namespace, server_names=("tidegate.svc",), lifetimes=lifetimes
        )
        self.wanted: dict[ObjectKey, Any] = {}
        self.fleet = self._replica()

    async def gateway(self, gateway: str = "public", /, **differences: Any) -> Infrastructure:
        """What a Gateway that is in the cluster asks for; the Gateway is made if need be."""
        (made,) = await self.api.apply(manifests.gateway(gateway, [manifests.listener("tcp", 80)]))
        key = gateway_key(gateway, self.cluster.namespace)
        return infrastructure(key, uid=made["metadata"]["uid"], **differences)

    def want(self, *infrastructures: Infrastructure) -> None:
        """Exactly these data planes from now on."""
        wanted = {one.gateway: one for one in infrastructures}
        self.fleet.set({**dict.fromkeys(self.wanted), **wanted})
        self.wanted = wanted

    @contextlib.asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        """A replica leads while the block lasts; the next time it is another one."""
        async with running(self.authority.lead(), self.authority.follow(), self.fleet.run()):
            yield
        # Whoever leads next tells of what is wrong then.
        self.troubles.clear()
        self.fleet = self._replica()
        self.fleet.set(self.wanted)

    async def objects(self, name: str = "public-tidegate") -> dict[str, Manifest]:
        """The objects of a data plane that are there, by kind."""
        found = {kind.name: await self.api.find(kind.name, name) for kind in GENERATED}
        return {kind: one for kind, one in found.items() if one is not None}

    async def settled(self, name: str = "public-tidegate", *, count: int = 5) -> dict[str, Manifest]:
        """The objects of a data plane once all of them are there."""
        return await eventually(
            lambda: self.objects(name), lambda found: len(found) == count, what=f"{name} has {count} objects"
        )

    async def until(
        self, kind: str, holds: Callable[[Manifest], object], *, what: str, name: str = "public-tidegate"
    ) -> Manifest:
        """An object once it is as wanted."""
        return await self.api.wait(kind, name, holds, what=what)

    async def told(self, name: str = "public") -> str:
        """The trouble of a Gateway once there is one."""

        async def message() -> str:
            return self.troubles.get(name, "")

        return await eventually(message, what=f"{name} is told of its trouble")

    async def looked(self) -> None:
        """Returns once the leader has looked at everything that it had to look at before."""
        before = self.wanted
        self.want(*before.values(), await self.gateway("last"))
        await self.settled("last-tidegate")
        self.want(*before.values())
        await self.settled("last-tidegate", count=0)

    async def untroubled(self) -> None:
        """Returns once no Gateway has any trouble."""

        async def troubles() -> dict[str, str]:
            return self.troubles

        await eventually(troubles, lambda known: not known, what="no trouble is left", within=15)

    async def quiet(self, during: float = 0.5) -> None:
        """Fails when the fleet changes anything for some time."""
        before = len(self.client.requests)

        async def requests() -> list[tuple[str, str]]:
            return self.client.requests[before:]

        await steadily(requests, lambda seen: not seen, what="nothing is changed", during=during)

    def _replica(self) -> Fleet:
        options = ObjectOptions(container=lambda _: CONTAINER, image=IMAGE, controller=CONTROLLER_NAME)
        return Fleet(self.client, self.authority, options, troubled=self._troubled)

    def _troubled(self, gateway: ObjectKey, trouble: Trouble | None) -> None:
        self.tellings.append(trouble)
        if trouble is None:
            del self.troubles[gateway.name]
        else:
            self.troubles[gateway.name] = trouble.message


@contextlib.asynccontextmanager
async def fleet_in(
    cluster: Cluster, *, lifetimes: Lifetimes = LIFETIMES, without: str = ""
) -> AsyncIterator[FleetBench]:
    """A fleet as the controller's service account; ``without`` names a resource that it may not touch after all."""
    for document in documents(Options(namespace=cluster.namespace)):
        if document.manifest["kind"] in RIGHTS:
            await cluster.api.apply(_narrowed(dict(document.manifest), without))
    account = f"system:serviceaccount:{cluster.namespace}:{NAME}"
    async with connected(kubeconfig=cluster.kubeconfig, impersonate=account) as client:
        yield FleetBench(cluster, client, lifetimes)


def changed(before: dict[str, Manifest], after: dict[str, Manifest]) -> set[str]:
    """The kinds of which another version is there than before."""
    versions = {kind: one["metadata"]["resourceVersion"] for kind, one in before.items()}
    return {kind for kind, one in after.items() if versions.get(kind) != one["metadata"]["resourceVersion"]}


def identity_in(secret: Manifest) -> str:
    """Whose certificate a Secret holds."""
    found = facts(decoded(secret)["tls.crt"])
    assert found is not None
    return found.identity


def _short(path: str) -> str:
    """``plural/name`` of an object."""
    return "/".join(path.split("/")[-2:])


def _narrowed(manifest: Manifest, without: str) -> Manifest:
    if not without or manifest["kind"] != "ClusterRole":
        return manifest
    rules = [
        rule | {"resources": [one for one in rule["resources"] if one != without]}
        if "create" in rule["verbs"]
        else rule
        for rule in manifest["rules"]
    ]
    reading = {"apiGroups": [""], "resources": [without], "verbs": ["get", "list", "watch"]}
    return manifest | {"rules": [*rules, reading]}
