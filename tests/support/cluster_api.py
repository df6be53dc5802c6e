"""A thin client of a test cluster's API server, for tests: plain HTTP as an administrator, objects as dicts.

It knows the server's kinds from discovery, so any kind that is installed can be named by its ``kind`` alone. It shares
nothing with the client that is tested.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import aiohttp
import msgspec

from support.manifests import Manifest, flat
from support.waiting import eventually

FIELD_MANAGER = "test"
CRD = "CustomResourceDefinition"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
DISCOVERY = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList"
ONLY_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class ApiError(Exception):
    """What the API server answered instead of doing it."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {body.get('reason', '')}: {body.get('message', body)}")
        self.status = status
        self.reason = str(body.get("reason", ""))
        self.message = str(body.get("message", ""))


class ServedKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind in a version that the server serves."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Of an object, or of all objects when ``name`` is empty; of all namespaces when that is empty."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        within = ("namespaces", namespace) if self.namespaced and namespace else ()
        return "/".join(filter(None, (root, *within, self.plural, name, subresource)))


class Api:
    """Speaks to one API server. ``namespace`` is where objects are that name none, as with ``kubectl --namespace``."""

    def __init__(self, http: aiohttp.ClientSession, namespace: str = "default") -> None:
        self.namespace = namespace
        self._http = http
        self._kinds: tuple[ServedKind, ...] = ()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """One request; its answer as parsed JSON. Raises ApiError when it is not a success."""
        headers = {"Accept": accept, "Content-Type": content_type}
        data = None if body is None else json.dumps(body)
        async with self._http.request(method, path, data=data, headers=headers, params=params) as response:
            text = await response.text()
            try:
                answer = json.loads(text)
            except ValueError:
                answer = {"message": text}
            if response.status >= 400:
                raise ApiError(response.status, answer)
            return answer

    async def kinds(self, *, again: bool = False) -> tuple[ServedKind, ...]:
        """All kinds that the server serves, the preferred version of each first."""
        if again or not self._kinds:
            core, groups = [await self.request("GET", path, accept=DISCOVERY) for path in ("/api", "/apis")]
            self._kinds = tuple(served for page in (core, groups) for served in _served(page))
        return self._kinds

    async def kind(self, kind: str, api_version: str | None = None) -> ServedKind:
        """A kind that the server serves, in the named version or in the preferred one.

        Discovery follows a new CRD after some time, so a kind that is not there yet is waited for.
        """

        def matching() -> ServedKind | None:
            return next(
                (one for one in self._kinds if one.kind == kind and api_version in (None, one.api_version)), None
            )

        async def discovered() -> ServedKind | None:
            await self.kinds(again=True)
            return matching()

        found = matching() or await eventually(discovered, what=f"{kind} {api_version or ''} is served", every=0.05)
        assert found is not None
        return found

    async def apply(
        self, *documents: Manifest | list[Manifest], manager: str = FIELD_MANAGER, dry_run: bool = False
    ) -> list[Manifest]:
        """Create or change objects by server-side apply, in this order; what the server made of them."""
        params = {"fieldManager": manager, "force": "true"} | _dry(dry_run)
        answers = []
        for document in flat(documents):
            path = await self._path_of(document)
            answers.append(await self.request("PATCH", path, body=document, content_type=APPLY, params=params))
        return answers

    async def create(self, document: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create an object that does not exist yet."""
        served = await self.kind(document["kind"], document["apiVersion"])
        path = served.path(self._namespace_of(document))
        created: Manifest = await self.request("POST", path, body=document, params=_dry(dry_run))
        return created

    async def replace(self, document: Manifest, *, subresource: str = "") -> Manifest:
        """Put an object in the place of its former version."""
        replaced: Manifest = await self.request("PUT", await self._path_of(document, subresource), body=document)
        return replaced

    async def patch(
        self, kind: str, name: str, change: Manifest, *, namespace: str | None = None, subresource: str = ""
    ) -> Manifest:
        """Change some fields (JSON merge patch)."""
        path = (await self.kind(kind)).path(self._within(namespace), name, subresource)
        patched: Manifest = await self.request("PATCH", path, body=change, content_type=MERGE)
        return patched

    async def patch_status(self, kind: str, name: str, status: Manifest, *, namespace: str | None = None) -> Manifest:
        """Change fields of the status."""
        return await self.patch(kind, name, {"status": status}, namespace=namespace, subresource="status")

    async def get(self, kind: str, name: str, *, namespace: str | None = None) -> Manifest:
        """An object; ApiError 404 when there is none."""
        found: Manifest = await self.request("GET", (await self.kind(kind)).path(self._within(namespace), name))
        return found

    async def find(self, kind: str, name: str, *, namespace: str | None = None) -> Manifest | None:
        """An object, or None when there is none."""
        try:
            return await self.get(kind, name, namespace=namespace)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def items(
        self, kind: str, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> list[Manifest]:
        """All objects of a kind: of the default namespace when None, of all namespaces when empty."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        params = {name: text for name, text in selectors.items() if text}
        served = await self.kind(kind)
        page = await self.request("GET", served.path(self._within(namespace)), params=params)
        # A list leaves out what all its items have in common.
        return [{"apiVersion": served.api_version, "kind": kind, **item} for item in page["items"] or ()]

    async def delete(self, kind: str, name: str, *, namespace: str | None = None) -> None:
        """Delete an object; it may be gone already."""
        await self._delete((await self.kind(kind)).path(self._within(namespace), name))

    async def wait(
        self,
        kind: str,
        name: str,
        holds: Callable[[Manifest], object] = bool,
        *,
        what: str,
        namespace: str | None = None,
        within: float = 10.0,
    ) -> Manifest:
        """The first version of an object for which ``holds`` is true; the object may have to appear first."""

        async def probe() -> Manifest | None:
            return await self.find(kind, name, namespace=namespace)

        found = await eventually(
            probe, lambda found: found is not None and bool(holds(found)), what=what, within=within, every=0.02
        )
        assert found is not None
        return found

    async def wait_condition(
        self,
        kind: str,
        name: str,
        condition: str,
        status: str = "True",
        *,
        reason: str | None = None,
        namespace: str | None = None,
        within: float = 10.0,
    ) -> Manifest:
        """The object once a condition of its status is so, at the object's own generation.

        Of objects whose conditions belong to parents or listeners, wait with a function of your own.
        """

        def holds(found: Manifest) -> bool:
            generation = found["metadata"].get("generation")
            return any(
                entry["type"] == condition
                and entry["status"] == status
                and reason in (None, entry.get("reason"))
                and entry.get("observedGeneration", generation) == generation
                for entry in found.get("status", {}).get("conditions") or ()
            )

        wanted = f"{kind} {name} has {condition}={status}" + (f"/{reason}" if reason else "")
        return await self.wait(kind, name, holds, what=wanted, namespace=namespace, within=within)

    async def wait_gone(self, kind: str, name: str, *, namespace: str | None = None, within: float = 10.0) -> None:
        """Returns once the object does not exist."""
        await eventually(
            lambda: self.find(kind, name, namespace=namespace),
            lambda found: found is None,
            what=f"{kind} {name} is gone",
            within=within,
            every=0.02,
        )

    async def wipe(self, keep: Callable[[ServedKind, Manifest], bool]) -> None:
        """Delete all objects in the cluster but those to ``keep``, finalizers or not.

        Nobody else would: garbage collection and the end of namespaces are work of the controller manager, which
        a test cluster does not have.
        """

        async def left() -> list[str]:
            found = [entry for entry in await self.everything() if not keep(*entry)]
            # A CRD that is being deleted waits for its objects, but is not discovered any more: they go first.
            found = [entry for entry in found if entry[0].kind != CRD] or found
            async with asyncio.TaskGroup() as group:
                for served, item in found:
                    group.create_task(self._remove(served, item))
            return [f"{served.kind} {item['metadata']['name']}" for served, item in found]

        await eventually(left, lambda names: not names, what="all objects are removed", within=30, every=0.05)

    async def everything(self) -> Sequence[tuple[ServedKind, Manifest]]:
        """Every object in the cluster once: only its metadata."""
        seen: dict[str, tuple[ServedKind, Manifest]] = {}

        async def collect(served: ServedKind) -> None:
            with contextlib.suppress(ApiError):  # A kind may go while it is asked for.
                for item in (await self.request("GET", served.path(), accept=ONLY_METADATA))["items"] or ():
                    seen.setdefault(item["metadata"]["uid"], (served, item))

        async with asyncio.TaskGroup() as group:
            for served in await self.kinds(again=True):
                if {"list", "delete"} <= served.verbs:
                    group.create_task(collect(served))
        return tuple(seen.values())

    async def _remove(self, served: ServedKind, item: Manifest) -> None:
        metadata = item["metadata"]
        path = served.path(metadata.get("namespace", ""), metadata["name"])
        with contextlib.suppress(ApiError):  # Gone in between, or still in use: the next round sees.
            if metadata.get("finalizers") and served.kind != CRD:
                await self.request("PATCH", path, body={"metadata": {"finalizers": None}}, content_type=MERGE)
            await self._delete(path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
            if served.kind == "Namespace":
                name = {"name": metadata["name"]}
                body = {"apiVersion": "v1", "kind": "Namespace", "metadata": name, "spec": {"finalizers": []}}
                await self.request("PUT", f"{path}/finalize", body=body)

    async def _delete(self, path: str, options: Manifest | None = None) -> None:
        try:
            await self.request("DELETE", path, body=options)
        except ApiError as error:
            if error.status != 404:
                raise

    async def _path_of(self, document: Manifest, subresource: str = "") -> str:
        served = await self.kind(document["kind"], document["apiVersion"])
        return served.path(self._namespace_of(document), document["metadata"]["name"], subresource)

    def _namespace_of(self, document: Manifest) -> str:
        return self._within(document["metadata"].get("namespace"))

    def _within(self, namespace: str | None) -> str:
        return self.namespace if namespace is None else namespace


def _served(page: Manifest) -> list[ServedKind]:
    """The kinds of an answer to aggregated discovery."""
    return [
        ServedKind(
            api_version="/".join(filter(None, (group["metadata"].get("name"), version["version"]))),
            kind=resource["responseKind"]["kind"],
            plural=resource["resource"],
            namespaced=resource["scope"] == "Namespaced",
            verbs=frozenset(resource["verbs"]),
        )
        for group in page["items"]
        for version in group["versions"]
        for resource in version.get("resources", ())
    ]


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


@contextlib.asynccontextmanager
async def connected(url: str, trust: ssl.SSLContext, namespace: str = "default") -> AsyncIterator[Api]:
    """A client of the API server at ``url``, with the certificate that ``trust`` holds."""
    connector = aiohttp.TCPConnector(ssl=trust, limit=20)
    async with aiohttp.ClientSession(url, connector=connector) as http:
        yield Api(http, namespace)
