"""What one can ask of an API server: the verbs of its objects.

In: paths and plain mappings. Out: plain mappings. Every method raises ``KubeError``; nothing is repeated here, as only
callers know what a repetition would do. Following changes for ever is `reflector`.
"""

from __future__ import annotations

import contextlib
import http
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, Final, Generic, TypeVar, overload

import msgspec

from tidegate.errors import KubeError
from tidegate.kube.answers import Page, WatchEvent, decoded, event
from tidegate.kube.lines import Lines
from tidegate.kube.refusals import expired
from tidegate.kube.resources import ApiResource, Object
from tidegate.kube.selection import Selection
from tidegate.kube.transport import Request, Transport

T = TypeVar("T")

PAGE: Final = 500
"""So many objects are asked for at a time."""

WATCH_S: Final = (240, 360)
"""The server ends a watch after so many seconds, drawn at random so that watches do not all end at once."""

SILENCE_S: Final = 180.0
"""A watch that says nothing for so long is taken for dead. Servers send a bookmark about every minute or two."""

_RESTARTS: Final = 3
"""So many times a list starts again because the server forgot where it goes on."""


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """All objects at one moment; a watch from ``resource_version`` misses nothing after it."""

    objects: tuple[T, ...]
    resource_version: str


class KubeClient:
    """A client for one API server; `tidegate.kube.config.connected` makes it.

    ``may_write`` is asked before every request that changes something; one that it does not permit is not sent.
    """

    def __init__(self, transport: Transport, *, may_write: Callable[[], bool] = lambda: True) -> None:
        self._transport = transport
        self._may_write = may_write

    def writing_while(self, permitted: Callable[[], bool]) -> KubeClient:
        """A client for the same server that writes only while it is ``permitted``, such as for a leader.

        A process may stand still for minutes, and go on in the middle of what it was doing. Only what it was sending
        just then cannot be held back.
        """
        return KubeClient(self._transport, may_write=permitted)

    @property
    def away(self) -> bool:
        """Whether the server gave no answer at all to the last request; operators know that already."""
        return self._transport.away

    @property
    def heard_at(self) -> float:
        """When the server last gave an answer that was no refusal, or an event of a watch (monotonic); 0: never."""
        return self._transport.heard_at

    async def get(self, path: str, *, params: Mapping[str, str] = {}) -> Object:
        """The object at a path."""
        return await self._object(Request(method="GET", path=path, action=f"read {path}", params=params))

    async def read(self, path: str, shape: type[T]) -> T:
        """What ``shape`` has of the object at a path; the rest is skipped while decoding."""
        request = Request(method="GET", path=path, action=f"read {path}")
        return decoded(request.action, await self._transport.answer(request), shape)

    @overload
    async def items(
        self, resource: ApiResource, *, namespace: str = "", label_selector: str = "", page: int = PAGE
    ) -> Listing[Object]: ...

    @overload
    async def items(
        self,
        resource: ApiResource,
        *,
        namespace: str = "",
        label_selector: str = "",
        page: int = PAGE,
        read: Callable[[Object], T],
    ) -> Listing[T]: ...

    async def items(
        self,
        resource: ApiResource,
        *,
        namespace: str = "",
        label_selector: str = "",
        page: int = PAGE,
        read: Callable[[Object], Any] = lambda item: item,
    ) -> Listing[Any]:
        """All objects of a kind, listed in pages; what ``read`` makes of each is kept, the rest of the page is not."""
        selection = Selection(resource=resource, namespace=namespace, label_selector=label_selector)
        return await self.listing(selection, read, page=page)

    async def listing(self, selection: Selection, read: Callable[[Object], T], *, page: int = PAGE) -> Listing[T]:
        """The same for any selection. Starts again when the server forgets where the list goes on."""
        for _ in range(_RESTARTS):
            try:
                return await self._listing(selection, read, page)
            except KubeError as error:
                if not expired(error):
                    raise
        return await self._listing(selection, read, page)

    async def version(self, selection: Selection) -> str:
        """The version that a list would have now."""
        request = Request(
            method="GET",
            path=selection.path,
            action=f"list {selection.path}",
            params=selection.params | {"limit": "1"},
            accept=selection.accept_list,
        )
        return decoded(request.action, await self._transport.answer(request), Page).metadata.resource_version

    @contextlib.asynccontextmanager
    async def watch(
        self, selection: Selection, *, resource_version: str, silence: float = SILENCE_S
    ) -> AsyncGenerator[AsyncIterator[WatchEvent], None]:
        """Changes after a version, until the server ends the watch: one request.

        Entering means that the server accepted it. Raises KubeError, within too: when the server ends the watch with
        an error, the connection breaks, or nothing is heard for ``silence`` seconds.
        """
        request = Request(
            method="GET",
            path=selection.path,
            action=f"watch {selection.path}",
            params=selection.params
            | {
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": resource_version,
                "timeoutSeconds": str(random.randint(*WATCH_S)),  # noqa: S311 - spreads load
            },
            accept=selection.accept_watch,
            silence=silence,
        )
        async with (
            self._transport.stream(request) as response,
            contextlib.aclosing(self._transport.chunks(request, response)) as chunks,
        ):
            events = _events(request, chunks)
            async with contextlib.aclosing(events):
                yield events

    async def create(self, path: str, body: Object, *, dry_run: bool = False) -> Object:
        """Creates an object in the collection at a path; what became of it. ``dry_run``: what would become of it."""
        params = {"dryRun": "All"} if dry_run else {}
        request = Request(method="POST", path=path, action=f"create in {path}", params=params, body=body)
        return await self._object(request)

    async def replace(self, path: str, body: Object) -> Object:
        """Replaces the object at a path, if it still has ``metadata.resourceVersion`` of the body."""
        return await self._object(Request(method="PUT", path=path, action=f"replace {path}", body=body))

    async def apply(self, path: str, body: Object, *, field_manager: str, force: bool = True) -> Object:
        """Server-side apply. ``force`` takes fields over from other managers."""
        return await self._object(
            Request(
                method="PATCH",
                path=path,
                action=f"apply {path}",
                params={"fieldManager": field_manager, "force": "true" if force else "false"},
                body=body,
                content_type="application/apply-patch+yaml",
            )
        )

    async def merge_patch(self, path: str, body: Object) -> Object:
        """JSON merge patch (RFC 7396)."""
        content_type = "application/merge-patch+json"
        return await self._object(
            Request(method="PATCH", path=path, action=f"change {path}", body=body, content_type=content_type)
        )

    async def delete(self, path: str, *, uid: str | None = None, propagation: str = "Background") -> bool:
        """Deletes the object at a path, with ``uid`` only that very one. False: it was gone already."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._answer(Request(method="DELETE", path=path, action=f"delete {path}", body=options))
        except KubeError as error:
            # A conflict is about the precondition: another object has the name now.
            if error.status == http.HTTPStatus.NOT_FOUND or (uid and error.status == http.HTTPStatus.CONFLICT):
                return False
            raise
        return True

    async def _object(self, request: Request) -> Object:
        return decoded(request.action, await self._answer(request), dict[str, Any])

    async def _answer(self, request: Request) -> bytes:
        if request.method != "GET" and not self._may_write():
            raise KubeError(f"cannot {request.action}: it is not ours to write any more")
        return await self._transport.answer(request)

    async def _listing(self, selection: Selection, read: Callable[[Object], T], page: int) -> Listing[T]:
        found: list[T] = []
        params = selection.params | {"limit": str(page)}
        while True:
            request = Request(
                method="GET",
                path=selection.path,
                action=f"list {selection.path}",
                params=params,
                accept=selection.accept_list,
            )
            body = decoded(request.action, await self._transport.answer(request), Page)
            found.extend(read(item) for item in body.objects())
            if not body.metadata.continue_:
                return Listing(tuple(found), body.metadata.resource_version)
            params["continue"] = body.metadata.continue_


async def _events(request: Request, chunks: AsyncIterator[bytes]) -> AsyncGenerator[WatchEvent, None]:
    lines = Lines()
    async for chunk in chunks:
        for line in lines.feed(chunk):
            yield event(request.action, line)
