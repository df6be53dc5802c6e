"""Which custom kinds of some groups are installed, in which versions, and from which bundle.

In: a client, and names of CustomResourceDefinitions. Out: definitions, anew whenever one changes. All definitions of a
cluster are watched, but only their metadata, as their schemas are big; of those whose versions matter, the few fields
that count are read when something about them changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import time
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from typing import Final

import msgspec

from tidegate.errors import KubeError
from tidegate.kube.backoff import Backoff
from tidegate.kube.client import KubeClient
from tidegate.kube.reflector import Changed, Reflector, Removed, Replaced
from tidegate.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, Object
from tidegate.kube.trouble import Trouble

BUNDLE_VERSION_ANNOTATION: Final = "gateway.networking.k8s.io/bundle-version"


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A CustomResourceDefinition. ``served`` has its versions that can be asked for now; it stays empty for one whose
    versions nobody wanted to know. ``bundle_version`` is its annotation, or empty.
    """

    name: str
    bundle_version: str
    served: tuple[str, ...] = ()


class Discovery:
    """Follows the definitions of ``groups``; ``inspect`` names those whose versions matter (``<plural>.<group>``)."""

    def __init__(self, client: KubeClient, *, groups: Collection[str], inspect: Collection[str]) -> None:
        self._client = client
        self._groups = frozenset(groups)
        self._inspect = frozenset(inspect)
        self._reflector = Reflector(client, CUSTOM_RESOURCE_DEFINITIONS, metadata_only=True, read=_seen)
        self._definitions: dict[str, Definition] = {}
        self._backoff = Backoff()
        self._trouble = Trouble(client, "reading custom resource definitions")

    async def definitions(self) -> AsyncGenerator[Mapping[str, Definition], None]:
        """All definitions of the groups by name, then again after each change of them; never ends."""
        told: dict[str, Definition] | None = None
        async with contextlib.aclosing(self._reflector.events()) as events:
            async for event in events:
                match event:
                    case Replaced(objects=seen):
                        self._definitions = dict([found async for found in self._found(seen)])
                    case Changed(object=seen_one):
                        self._definitions.pop(seen_one.name, None)
                        self._definitions.update([found async for found in self._found([seen_one])])
                    case Removed(object=seen_one):
                        self._definitions.pop(seen_one.name, None)
                if told != self._definitions:
                    told = dict(self._definitions)
                    yield told

    async def _found(self, seen: Iterable[_Seen]) -> AsyncGenerator[tuple[str, Definition], None]:
        """The definitions among those seen that concern us and are still there."""
        for one in seen:
            if one.group not in self._groups:
                continue
            served = await self._served(one.name) if one.name in self._inspect else ()
            if served is not None:
                yield one.name, Definition(name=one.name, bundle_version=one.bundle_version, served=served)

    async def _served(self, name: str) -> tuple[str, ...] | None:
        """The versions of a definition that are served; None when it is gone."""
        path = CUSTOM_RESOURCE_DEFINITIONS.object("", name)
        while True:
            try:
                definition = await self._client.read(path, _Definition)
            except KubeError as error:
                if error.status == http.HTTPStatus.NOT_FOUND:
                    return None
                self._trouble.failed(error)
                await asyncio.sleep(self._backoff.next(time.monotonic(), at_least=error.retry_after))
            else:
                self._trouble.over()
                return definition.served


class _Seen(msgspec.Struct, frozen=True):
    """What the metadata say. The name of a definition is ``<plural>.<group>``, by rule."""

    name: str
    bundle_version: str

    @property
    def group(self) -> str:
        return self.name.partition(".")[2]


def _seen(definition: Object) -> _Seen:
    metadata = definition["metadata"]
    annotations = metadata.get("annotations") or {}
    return _Seen(metadata["name"], annotations.get(BUNDLE_VERSION_ANNOTATION, ""))


class _Version(msgspec.Struct):
    name: str
    served: bool


class _Spec(msgspec.Struct):
    versions: list[_Version]


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Status(msgspec.Struct):
    conditions: list[_Condition] | None = None


class _Definition(msgspec.Struct):
    """What is read of a definition; its schemas are skipped."""

    spec: _Spec
    status: _Status = msgspec.field(default_factory=_Status)

    @property
    def served(self) -> tuple[str, ...]:
        """The versions that can be asked for: none before the API server has taken the definition up."""
        conditions = self.status.conditions or []
        if not any(one.type == "Established" and one.status == "True" for one in conditions):
            return ()
        return tuple(version.name for version in self.spec.versions if version.served)
