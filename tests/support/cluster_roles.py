"""The parts of a cluster that a test cluster does not have, played openly: they read and write API objects like the
real ones, and know nothing of tidegate.

Each role looks at the objects again and again and brings about what should be (``play``), so it does not matter what
happened in between, an API server that was away included. ``support.cluster_kubelet`` plays the kubelet.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Protocol

import aiohttp

from support import manifests
from support.cluster_api import Api, ApiError

LOOK_SECONDS = 0.1

SERVICE_NAME = "kubernetes.io/service-name"


class Role(Protocol):
    """A part that is played; not while it is ``resting``."""

    resting: bool

    async def look(self) -> None:
        """Compare what is with what should be, and act on the difference."""


@contextlib.asynccontextmanager
async def play(*roles: Role) -> AsyncIterator[None]:
    """The roles are played while the block runs."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_keep_looking(role), name=type(role).__name__) for role in roles]
        yield
        for task in tasks:
            task.cancel()


async def _keep_looking(role: Role) -> None:
    while True:
        try:
            if not role.resting:
                await role.look()
        except aiohttp.ClientError:
            pass  # The API server is away: what is known stays as it is.
        except ApiError as error:
            if error.status not in (404, 409) and error.status < 500:
                raise
        await asyncio.sleep(LOOK_SECONDS)


class LoadBalancer:
    """The provider of load balancers: gives each Service of that type an address, the one that it asks for if any.

    It answers for Services without a ``loadBalancerClass`` and for those of its own. No traffic flows through it: a
    test connects to the ready endpoints, as given by ``serving``.
    """

    def __init__(self, api: Api, *, own_class: str | None = None, addresses: Iterable[str] | None = None) -> None:
        self.resting = False
        self._api = api
        self._classes = {None, own_class}
        self._addresses = iter(addresses or (f"192.0.2.{number}" for number in itertools.count(1)))

    async def look(self) -> None:
        """Give addresses to Services that have none."""
        for service in await self._api.items("Service", namespace="", fields="spec.type=LoadBalancer"):
            spec, status = service["spec"], service.get("status", {})
            if spec.get("loadBalancerClass") not in self._classes:
                continue
            if not status.get("loadBalancer", {}).get("ingress"):
                address = spec.get("loadBalancerIP") or next(self._addresses)
                await self.assign(service["metadata"]["name"], service["metadata"]["namespace"], [{"ip": address}])

    async def assign(self, name: str, namespace: str, ingress: Sequence[Mapping[str, str]]) -> None:
        """Give a Service these addresses (``ip`` or ``hostname``), instead of others if it had some."""
        status = {"loadBalancer": {"ingress": list(ingress)}}
        await self._api.patch_status("Service", name, status, namespace=namespace)


class GarbageCollector:
    """Deletes objects all of whose owners are gone, by their ownerReferences."""

    def __init__(self, api: Api) -> None:
        self.resting = False
        self._api = api

    async def look(self) -> None:
        """Delete what has lost its owners."""
        objects = await self._api.everything()
        present = {item["metadata"]["uid"] for _, item in objects}
        for served, item in objects:
            owners = item["metadata"].get("ownerReferences", ())
            if owners and not any(owner["uid"] in present for owner in owners):
                path = served.path(item["metadata"].get("namespace", ""), item["metadata"]["name"])
                await self._api.request("DELETE", path)


async def publish_endpoints(
    api: Api,
    service: str,
    addresses: Sequence[tuple[str, int]],
    *,
    namespace: str | None = None,
    conditions: Mapping[str, bool] | None = None,
) -> None:
    """The endpoints of a Service's port ``main`` are these and no others, as the EndpointSlice controller has it."""
    wanted = manifests.slice_of(service, addresses, namespace=namespace, conditions=conditions)
    await api.apply(wanted)
    names = {document["metadata"]["name"] for document in wanted}
    for present in await api.items("EndpointSlice", namespace=namespace, labels=f"{SERVICE_NAME}={service}"):
        if present["metadata"]["name"] not in names:
            await api.delete("EndpointSlice", present["metadata"]["name"], namespace=namespace)


async def serving(api: Api, service: str, port: int, *, namespace: str | None = None) -> list[tuple[str, int]]:
    """Where connections to a port of a Service may go now, as kube-proxy reads it; sorted."""
    spec = (await api.get("Service", service, namespace=namespace))["spec"]
    names = {entry.get("name", "") for entry in spec["ports"] if entry["port"] == port}
    slices = await api.items("EndpointSlice", namespace=namespace, labels=f"{SERVICE_NAME}={service}")
    return sorted(
        (address, entry["port"])
        for one in slices
        for entry in one.get("ports") or ()
        if entry.get("name", "") in names
        for endpoint in one["endpoints"]
        if _is_ready(endpoint)
        for address in endpoint["addresses"]
    )


def _is_ready(endpoint: Mapping[str, Any]) -> bool:
    return bool(endpoint.get("conditions", {}).get("ready", True))
