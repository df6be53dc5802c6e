"""The source of a cluster: every kind that tidegate reads, followed on the API server.

In: a client. Out: batches, by the seam of `base`: the first when every installed kind has been listed once, then what
changed since the last one, as soon as it is asked for. Kinds come and go with their definitions: one that is not
installed is no error, one that is installed later is picked up, and a better version is taken as soon as it is served.
Following is `tidegate.kube`, the meaning of objects `kubernetes_decoding`, what is in force `kubernetes_view`.

What stands in statuses is handed to ``observed`` at once, hence before the batch with the same version of the object.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Final

import msgspec

from tidegate.kube.client import KubeClient
from tidegate.kube.discovery import Discovery
from tidegate.kube.reflector import Changed, Event, Reflector, Removed, Replaced
from tidegate.model.apis import InstalledApis
from tidegate.model.kinds import KINDS, Kind
from tidegate.model.observed import Observed
from tidegate.names import ObjectKey
from tidegate.sources.base import Batch
from tidegate.sources.kubernetes_decoding import KindReader, Reading, has_our_status
from tidegate.sources.kubernetes_versions import CUSTOM_KINDS, GROUPS, definition_name, installed, resource_of
from tidegate.sources.kubernetes_view import View
from tidegate.telemetry.logs import logger

_log = logger("kubernetes")

_NOWHERE: Final = InstalledApis()


class KubernetesSource:
    """Delivers the objects of a cluster; a `tidegate.sources.base.Source`.

    ``observed`` gets what stands in the status of every object whose status tidegate writes; None: it is gone.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        observed: Callable[[ObjectKey, Observed | None], None] = lambda _key, _observed: None,
    ) -> None:
        self._client = client
        self._observed = observed
        self._view = View()
        self._apis = _NOWHERE
        self._untold_apis: InstalledApis | None = None
        self._unlisted: set[str] = set()
        self._stirred = asyncio.Event()

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """All there is, then changes, for ever. To be closed when it is no longer wanted (`contextlib.aclosing`)."""
        following = asyncio.create_task(self._follow(), name="cluster")  # noqa: TID251 - ended in `finally`
        following.add_done_callback(lambda _: self._stirred.set())
        first = True
        try:
            while True:
                await self._stirred.wait()
                self._stirred.clear()
                if following.done():
                    following.result()
                if first and not self._complete:
                    continue
                batch = self._take()
                if first or batch.changes or batch.diagnostics is not None or batch.apis is not None:
                    yield batch
                first = False
        finally:
            following.cancel()
            await asyncio.wait({following})

    @property
    def _complete(self) -> bool:
        """Whether it is known which kinds there are, and each has been listed."""
        return self._apis is not _NOWHERE and not self._unlisted

    def _take(self) -> Batch:
        """What there is to deliver."""
        apis, self._untold_apis = self._untold_apis, None
        return Batch(changes=self._view.take_changes(), diagnostics=self._view.take_diagnostics(), apis=apis)

    async def _follow(self) -> None:
        """Follows every kind that is installed, in the version that is best."""
        discovery = Discovery(self._client, groups=GROUPS, inspect=[definition_name(kind) for kind in CUSTOM_KINDS])
        followers: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks, contextlib.aclosing(discovery.definitions()) as all_definitions:
            async for definitions in all_definitions:
                before, self._apis = self._apis, installed(definitions)
                for kind, version in _moved(before, self._apis):
                    if (follower := followers.pop(kind.kind, None)) is not None:
                        follower.cancel()
                    if version is None:
                        self._withdraw(kind)
                    else:
                        self._unlisted.add(kind.kind)
                        followers[kind.kind] = tasks.create_task(self._follow_kind(kind, version), name=kind.plural)
                if before != self._apis:
                    self._untold_apis = self._apis
                    self._stirred.set()

    async def _follow_kind(self, kind: Kind, version: str) -> None:
        """Follows the objects of one kind in one version."""
        reflector = Reflector(self._client, resource_of(kind, version), read=KindReader(kind, version).read)
        async with contextlib.aclosing(reflector.events()) as events:
            async for event in events:
                self._take_in(kind, event)
                del event  # Or all that a list said would stay in memory until the next change.
                self._stirred.set()

    def _take_in(self, kind: Kind, event: Event[Reading]) -> None:
        """What happened to objects of a kind."""
        match event:
            case Replaced(objects=readings):
                self._replace(kind, readings)
            case Changed(object=reading):
                self._observe(reading)
                self._view.change(reading)
            case Removed(object=reading):
                self._forget(kind, reading.key)
                self._view.remove(reading.key)

    def _replace(self, kind: Kind, readings: tuple[Reading, ...]) -> None:
        for reading in readings:
            self._observe(reading, listed=True)
        for key in self._view.replace(kind, readings):
            self._forget(kind, key)
        self._unlisted.discard(kind.kind)

    def _withdraw(self, kind: Kind) -> None:
        """A kind is not installed, or no longer: neither are its objects."""
        self._unlisted.discard(kind.kind)
        for key in self._view.replace(kind, ()):
            self._forget(kind, key)

    def _observe(self, reading: Reading, *, listed: bool = False) -> None:
        seen = reading.observed
        if seen is not None:
            self._observed(reading.key, msgspec.structs.replace(seen, listed=True) if listed else seen)

    def _forget(self, kind: Kind, key: ObjectKey) -> None:
        if has_our_status(kind):
            self._observed(key, None)


def _moved(before: InstalledApis, now: InstalledApis) -> Iterator[tuple[Kind, str | None]]:
    """The kinds that are read in another version than before, None: not at all; operators are told."""
    for kind in KINDS:
        version = now.served[kind.kind]
        if before is not _NOWHERE and version == before.served[kind.kind]:
            continue
        if version is None:
            wanted = " or ".join(kind.versions)
            _log.warning("kind is not installed and waited for", kind=kind.kind, group=kind.group, version=wanted)
        elif version != kind.versions[0]:
            _log.info("kind is read in an old version", kind=kind.kind, version=version, newest=kind.versions[0])
        elif before is not _NOWHERE:
            _log.info("kind is installed", kind=kind.kind, group=kind.group, version=version)
        yield kind, version
