"""All objects of a kind, followed for ever.

In: a client and which objects. Out: first all there are, then every change once. Peeled like an onion: one request is
`client.KubeClient.watch`; here, a watch is resumed where it ended, until the server no longer knows that version; and
around that, a list says all there is and where to go on, for ever. Whatever the server does is waited out with
back-off. What differs after a new list is for the consumer to find.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Generic, TypeAlias, TypeVar, overload

import msgspec

from tidegate.errors import KubeError
from tidegate.kube.answers import WatchEvent
from tidegate.kube.backoff import Backoff
from tidegate.kube.client import SILENCE_S, KubeClient, Listing
from tidegate.kube.refusals import version_unknown
from tidegate.kube.resources import ApiResource, Object
from tidegate.kube.selection import Selection
from tidegate.kube.trouble import Trouble

T = TypeVar("T")


class Replaced(msgspec.Struct, Generic[T], frozen=True):
    """All objects there are now; those that were there before and are not among them are gone."""

    objects: tuple[T, ...]


class Changed(msgspec.Struct, Generic[T], frozen=True):
    """An object that is new or has changed."""

    object: T


class Removed(msgspec.Struct, Generic[T], frozen=True):
    """An object that is gone, as it was at last."""

    object: T


Event: TypeAlias = Replaced[T] | Changed[T] | Removed[T]


class Reflector(Generic[T]):
    """Follows the objects of a kind, or some of them; ``read`` makes of each what is to be handed on.

    ``read`` is called as soon as an object arrives, so that no list is held in full unless the consumer does. It must
    not raise. ``silence`` is how long a watch may say nothing before it is taken for dead.
    """

    @overload
    def __init__(
        self: Reflector[Object],
        client: KubeClient,
        resource: ApiResource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        silence: float = SILENCE_S,
    ) -> None: ...

    @overload
    def __init__(
        self,
        client: KubeClient,
        resource: ApiResource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        silence: float = SILENCE_S,
        read: Callable[[Object], T],
    ) -> None: ...

    def __init__(
        self,
        client: KubeClient,
        resource: ApiResource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        silence: float = SILENCE_S,
        read: Callable[[Object], Any] = lambda item: item,
    ) -> None:
        self._client = client
        self._selection = Selection(
            resource=resource,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=metadata_only,
        )
        self._silence = silence
        self._read = read
        self._backoff = Backoff()
        self._trouble = Trouble(client, f"following {resource}")

    async def events(self) -> AsyncGenerator[Event[T], None]:
        """All there is, then changes; never ends. To be closed when it is no longer wanted (`contextlib.aclosing`)."""
        while True:
            listing = await self._list()
            yield Replaced(listing.objects)
            version = listing.resource_version
            del listing  # Or it would stay in memory until the next one.
            async with contextlib.aclosing(self._changes(version)) as changes:
                async for change in changes:
                    yield change

    async def _list(self) -> Listing[T]:
        """All there is, as soon as the server says it."""
        while True:
            try:
                listing = await self._client.listing(self._selection, self._read)
            except KubeError as error:
                await self._failed(error)
            else:
                self._trouble.over()
                return listing

    async def _changes(self, version: str) -> AsyncGenerator[Event[T], None]:
        """Changes after a version, over any number of watches; ends when the server does not know where to go on.

        A server whose data were restored from a backup meanwhile takes a version of its future for one to wait for.
        """
        doubtful = False
        while True:
            try:
                if doubtful and await self._set_back(version):
                    return
                doubtful = False
                async with contextlib.aclosing(self._watch(version)) as events:
                    async for event in events:
                        version = event.resource_version
                        if (change := self._change(event)) is not None:
                            yield change
                await self._pause()
            except KubeError as error:
                doubtful = doubtful or error.status is None
                await self._failed(error)
                if version_unknown(error):
                    return

    async def _set_back(self, version: str) -> bool:
        """Whether the server's newest version is older than one that it gave us once."""
        now = await self._client.version(self._selection)
        return now.isdecimal() and version.isdecimal() and int(now) < int(version)

    async def _watch(self, version: str) -> AsyncGenerator[WatchEvent, None]:
        """Changes after a version, until this watch ends."""
        async with self._client.watch(self._selection, resource_version=version, silence=self._silence) as events:
            self._trouble.over()
            async for event in events:
                yield event

    def _change(self, event: WatchEvent) -> Event[T] | None:
        """What an event means; None: it only says how far the server is."""
        match event.type:
            case "BOOKMARK":
                return None
            case "DELETED":
                return Removed(self._read(event.object))
            case _:
                return Changed(self._read(event.object))

    async def _failed(self, error: KubeError) -> None:
        self._trouble.failed(error)
        await self._pause(error.retry_after)

    async def _pause(self, at_least: float | None = None) -> None:
        """Even a watch that ended as it should is not repeated at once: some servers end every one of them."""
        await asyncio.sleep(self._backoff.next(time.monotonic(), at_least=at_least))
