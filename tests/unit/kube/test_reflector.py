from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.scripted_api import (
    Asked,
    ScriptedApi,
    Step,
    bookmark,
    event,
    listed,
    pod,
    raw,
    refusal,
    refused,
    scripted,
    watched,
)
from tidegate.kube.client import SILENCE_S
from tidegate.kube.config import connected
from tidegate.kube.reflector import Changed, Event, Reflector, Removed, Replaced
from tidegate.kube.resources import ApiResource, Object
from tidegate.telemetry.events import Event as LogEvent
from tidegate.telemetry.logs import log_to_sink

PODS = ApiResource("", "v1", "pods")


def short(event: Event[Object]) -> tuple[str, ...]:
    """What an event says: which one it is, and the versions in it."""

    def name(item: Object) -> str:
        return f"{item['metadata']['name']}@{item['metadata']['resourceVersion']}"

    match event:
        case Replaced(objects=objects):
            return ("replaced", *map(name, objects))
        case Changed(object=item):
            return ("changed", name(item))
        case Removed(object=item):
            return ("removed", name(item))


class Following:
    """A reflector on a scripted server."""

    def __init__(self, api: ScriptedApi, events: AsyncIterator[Event[Object]]) -> None:
        self.api = api
        self._events = events

    async def next(self, count: int) -> list[tuple[str, ...]]:
        """The next events."""
        async with asyncio.timeout(10):
            return [short(await anext(self._events)) for _ in range(count)]

    async def asked(self, count: int) -> list[Asked]:
        """The first requests, as soon as there are so many; nothing may be delivered meanwhile."""
        waiting = asyncio.ensure_future(anext(self._events))  # noqa: TID251 - ended below
        try:
            async with asyncio.timeout(10):
                while len(self.api.asked) < count:
                    assert not waiting.done(), short(waiting.result())
                    await asyncio.sleep(0.005)
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})
        return self.api.asked


@contextlib.asynccontextmanager
async def following(*steps: Step, silence: float = SILENCE_S, **selection: Any) -> AsyncIterator[Following]:
    async with (
        scripted(*steps) as api,
        connected(kubeconfig=api.kubeconfig) as client,
        contextlib.aclosing(Reflector(client, PODS, silence=silence, **selection).events()) as events,
    ):
        yield Following(api, events)


async def test_lists_and_then_watches_from_the_version_of_the_list() -> None:
    """First comes all there is, then each change; the watch starts where the list ends, and asks for bookmarks."""
    steps = (
        listed(pod("a", "3"), version="7"),
        watched(event("ADDED", pod("b", "8")), event("MODIFIED", pod("a", "9")), event("DELETED", pod("b", "10"))),
    )
    async with following(*steps) as reflector:
        assert await reflector.next(4) == [
            ("replaced", "a@3"),
            ("changed", "b@8"),
            ("changed", "a@9"),
            ("removed", "b@10"),
        ]
        watch = reflector.api.asked[1]
    assert watch.query["resourceVersion"] == "7"
    assert watch.query["watch"] == watch.query["allowWatchBookmarks"] == "true"
    assert 240 <= int(watch.query["timeoutSeconds"]) <= 360


async def test_watch_that_ends_is_resumed_after_its_last_event() -> None:
    """The next watch starts at the version that was seen last, so that nothing is missed and nothing comes twice."""
    steps = (
        listed(version="7"),
        watched(event("ADDED", pod("a", "8"))),
        watched(event("MODIFIED", pod("a", "9"))),
    )
    async with following(*steps) as reflector:
        assert await reflector.next(3) == [("replaced",), ("changed", "a@8"), ("changed", "a@9")]
        assert reflector.api.asked[2].query["resourceVersion"] == "8"


async def test_bookmark_moves_the_version_and_is_not_handed_on() -> None:
    """A bookmark only says from where to resume."""
    steps = (listed(version="7"), watched(bookmark("20")), watched(event("ADDED", pod("a", "21"))))
    async with following(*steps) as reflector:
        assert await reflector.next(2) == [("replaced",), ("changed", "a@21")]
        assert reflector.api.asked[2].query["resourceVersion"] == "20"


async def test_event_that_was_cut_off_comes_whole_with_the_next_watch() -> None:
    """Half a line when the connection breaks counts for nothing: the server says it again."""
    steps = (
        listed(version="7"),
        watched(event("ADDED", pod("a", "8")), '{"type":"ADDED","object":{"metadata":{"na', end="cut"),
        listed(version="8"),
        watched(event("ADDED", pod("b", "9"))),
    )
    async with following(*steps) as reflector:
        assert await reflector.next(3) == [("replaced",), ("changed", "a@8"), ("changed", "b@9")]
        assert reflector.api.asked[3].query["resourceVersion"] == "8"


async def test_a_server_that_comes_back_with_older_data_is_listed_anew() -> None:
    """It would take a watch from a version of its future, and be silent until it gets there."""
    steps = (
        listed(pod("a", "7"), version="7"),
        watched(event("ADDED", pod("b", "8")), end="cut"),
        listed(pod("a", "5"), version="6"),
        listed(pod("a", "5"), version="6"),
        watched(event("ADDED", pod("c", "7"))),
    )
    async with following(*steps) as reflector:
        expected = [("replaced", "a@7"), ("changed", "b@8"), ("replaced", "a@5"), ("changed", "c@7")]
        assert await reflector.next(4) == expected
        asked = [(one.query.get("limit"), one.query.get("resourceVersion")) for one in reflector.api.asked]
        assert asked == [("500", None), (None, "7"), ("1", None), ("500", None), (None, "6")]


@pytest.mark.parametrize(
    "end",
    [
        refused(410, "Expired", "too old resource version: 7 (400)"),
        watched(event("ERROR", refusal(410, "Expired", "too old resource version: 7 (400)"))),
        refused(504, "Timeout", "Too large resource version: 7, current: 5"),
    ],
    ids=["answer", "event", "too-new"],
)
async def test_version_that_the_server_does_not_know_leads_to_a_new_list(end: Step) -> None:
    """After a 410, as an answer or as an event, and when the server's data went back, all there is comes anew."""
    steps = (
        listed(pod("a", "3"), version="7"),
        end,
        listed(pod("b", "30"), version="50"),
        watched(event("ADDED", pod("c", "51"))),
    )
    async with following(*steps) as reflector:
        assert await reflector.next(3) == [("replaced", "a@3"), ("replaced", "b@30"), ("changed", "c@51")]
        assert reflector.api.asked[3].query["resourceVersion"] == "50"


async def test_other_errors_of_a_watch_are_waited_out_without_a_new_list() -> None:
    """A server that is overloaded is not asked for everything again."""
    steps = (
        listed(version="7"),
        refused(503, "ServiceUnavailable"),
        watched(event("ERROR", refusal(500, "InternalError"))),
        watched(event("ADDED", pod("a", "8"))),
    )
    async with following(*steps) as reflector:
        assert await reflector.next(2) == [("replaced",), ("changed", "a@8")]
        assert [asked.query.get("resourceVersion") for asked in reflector.api.asked] == [None, "7", "7", "7"]


async def test_list_comes_in_pages() -> None:
    """Pages are asked for one after the other; the version is that of the list."""
    steps = (
        listed(pod("a", "3"), version="7", more="next"),
        listed(pod("b", "4"), version="7"),
    )
    async with following(*steps) as reflector:
        assert await reflector.next(1) == [("replaced", "a@3", "b@4")]
        first, second = reflector.api.asked[:2]
    assert first.query == {"limit": "500"}
    assert second.query == {"limit": "500", "continue": "next"}


async def test_list_starts_again_when_the_server_forgets_where_it_goes_on() -> None:
    """An expired continue token costs a new list, of which every page counts."""
    steps = (
        listed(pod("a", "3"), version="7", more="next"),
        refused(410, "Expired", "The provided continue parameter is too old"),
        listed(pod("b", "8"), version="9", more="next"),
        listed(pod("c", "9"), version="9"),
    )
    async with following(*steps) as reflector:
        assert await reflector.next(1) == [("replaced", "b@8", "c@9")]


async def test_silent_watch_is_taken_for_dead() -> None:
    """A watch that says nothing for too long is resumed on another request."""
    steps = (
        listed(version="7"),
        watched(bookmark("8"), end="open"),
        listed(version="8"),
        watched(event("ADDED", pod("a", "9"))),
    )
    async with following(*steps, silence=0.2) as reflector:
        assert await reflector.next(2) == [("replaced",), ("changed", "a@9")]
        assert reflector.api.asked[3].query["resourceVersion"] == "8"


async def test_watches_that_end_at_once_are_not_repeated_all_the_time() -> None:
    """A server, or a proxy before it, that ends every watch is asked less and less often."""
    async with following(listed(version="7"), *[watched() for _ in range(50)]) as reflector:
        loop = asyncio.get_running_loop()
        await reflector.next(1)
        started = loop.time()
        await reflector.asked(4)
        assert loop.time() - started > 0.1 + 0.2


async def test_retry_after_is_heeded() -> None:
    """A server that names a time to wait gets it."""
    async with following(refused(429, "TooManyRequests", retry_after=1), listed(version="7")) as reflector:
        started = asyncio.get_running_loop().time()
        assert await reflector.next(1) == [("replaced",)]
        assert asyncio.get_running_loop().time() - started >= 1


async def test_selection_goes_with_list_and_watch() -> None:
    """Namespace, selectors and the wish for metadata only are part of every request."""
    selection = {"namespace": "ns", "label_selector": "a=b", "field_selector": "metadata.name=c", "metadata_only": True}
    steps = (listed(version="7", kind="PartialObjectMetadataList"), watched(end="open"))
    async with following(*steps, **selection) as reflector:
        await reflector.next(1)
        asked = await reflector.asked(2)
    for one, kind in zip(asked, ("PartialObjectMetadataList", "PartialObjectMetadata"), strict=True):
        assert one.path == "/api/v1/namespaces/ns/pods"
        assert one.query["labelSelector"] == "a=b"
        assert one.query["fieldSelector"] == "metadata.name=c"
        assert f"as={kind};" in one.headers["Accept"]


async def test_what_is_read_is_handed_on_instead_of_the_objects() -> None:
    """``read`` sees each object as it arrives, and its answer stands in the events."""
    steps = (listed(pod("a", "3"), version="7"), watched(event("DELETED", pod("a", "8"))))
    async with (
        scripted(*steps) as api,
        connected(kubeconfig=api.kubeconfig) as client,
        contextlib.aclosing(Reflector(client, PODS, read=lambda item: item["metadata"]["name"]).events()) as events,
    ):
        assert await anext(events) == Replaced(("a",))
        assert await anext(events) == Removed("a")


async def test_objects_of_built_in_kinds_say_what_they_are() -> None:
    """In a list they do not, so it is filled in; in a watch they do."""
    async with (
        scripted(listed(pod("a", "3"), version="7")) as api,
        connected(kubeconfig=api.kubeconfig) as client,
        contextlib.aclosing(Reflector(client, PODS).events()) as events,
    ):
        replaced = await anext(events)
    assert isinstance(replaced, Replaced)
    assert (replaced.objects[0]["apiVersion"], replaced.objects[0]["kind"]) == ("v1", "Pod")


async def test_trouble_is_told_once_and_its_end_too() -> None:
    """However often a list is refused, operators read one line with the reason, and one when it works again."""
    told: list[LogEvent] = []
    log_to_sink(told.append)
    steps = (*[refused(403, "Forbidden", "pods is forbidden")] * 4, listed(version="7"))
    async with following(*steps) as reflector:
        await reflector.next(1)
    assert [(one.level, one.details["activity"]) for one in told] == [
        ("warning", "following pods.v1"),
        ("info", "following pods.v1"),
    ]
    assert "pods is forbidden" in told[0].details["problem"]


async def test_answer_of_something_else_is_waited_out() -> None:
    """A proxy that answers in the server's place with a page for people does not end the reflector."""
    steps = (
        raw("<html>login</html>"),
        listed(version="7"),
        watched("no JSON\n"),
        listed(version="7"),
        watched(event("ADDED", pod("a", "8"))),
    )
    async with following(*steps) as reflector:
        assert await reflector.next(2) == [("replaced",), ("changed", "a@8")]
