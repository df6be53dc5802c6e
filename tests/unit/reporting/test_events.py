"""Telling operators what happens, as Kubernetes Events."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from support.resources import class_key, gateway_key
from support.running import running as beside
from support.statuses import Raw, crd_default, raw_condition
from support.waiting import arrival, silence
from tidegate.errors import KubeError
from tidegate.names import CONTROLLER_NAME, ObjectKey
from tidegate.reporting.base import Subject, Written
from tidegate.reporting.events import LONGEST_NOTE, EventRecorder
from tidegate.reporting.happenings import Tone

GATEWAY = Subject(gateway_key("gw"), "v1", "u")


class Events:
    """Takes events, or fails as it is told; remembers what was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Raw]] = []
        self.failures: collections.deque[KubeError] = collections.deque()

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Take an event."""
        self._take("POST", path, body)
        return {**body, "metadata": {"name": f"event-{len(self.requests)}"}}

    async def merge_patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Take a change."""
        self._take("PATCH", path, body)
        return {}

    def _take(self, method: str, path: str, body: Raw) -> None:
        self.requests.append((method, path, body))
        if self.failures:
            raise self.failures.popleft()

    async def come(self, count: int) -> None:
        """Returns once there were so many requests."""
        await arrival(self.requests, count, what="requests")

    async def rest(self) -> None:
        """Fails when there are more requests for a moment."""
        await silence(self.requests, during=0.1)


@pytest.fixture
def server() -> Events:
    """A server for events."""
    return Events()


@pytest.fixture
def recorder(server: Events) -> EventRecorder:
    """A recorder that does not run yet."""
    return EventRecorder(server, controller_name=CONTROLLER_NAME, instance="pod-1")


@contextlib.asynccontextmanager
async def running(recorder: EventRecorder) -> AsyncIterator[None]:
    """Let it write while the block runs."""
    async with beside(recorder.run()):
        await asyncio.sleep(0)
        yield


def tell(recorder: EventRecorder, note: str = "text", subject: Subject = GATEWAY) -> None:
    """Tell of some trouble."""
    recorder.tell(subject, tone=Tone.WARNING, reason="Broken", note=note, action="Mend")


def written(key: ObjectKey, *conditions: Raw) -> Written:
    """A first status."""
    before = crd_default("Accepted", "Programmed")
    return Written(subject=Subject(key, "v1", "u"), before=before, after={"conditions": list(conditions)})


async def test_an_event_names_its_object_and_its_reporter(server: Events, recorder: EventRecorder) -> None:
    """With all that the API wants to know."""
    async with running(recorder):
        tell(recorder)
        await server.come(1)
    ((method, path, body),) = server.requests
    assert (method, path) == ("POST", "/apis/events.k8s.io/v1/namespaces/default/events")
    assert body.pop("eventTime").endswith("Z")
    assert body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "gw-", "namespace": "default"},
        "type": "Warning",
        "reason": "Broken",
        "action": "Mend",
        "note": "text",
        "regarding": {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "namespace": "default",
            "name": "gw",
            "uid": "u",
        },
        "reportingController": CONTROLLER_NAME,
        "reportingInstance": "pod-1",
    }


async def test_what_a_status_means_is_told(server: Events, recorder: EventRecorder) -> None:
    """A status that was written; one that means nothing new is no event."""
    async with running(recorder):
        recorder.wrote(written(gateway_key("gw"), raw_condition()))
        recorder.wrote(written(gateway_key("gw")))
        await server.come(1)
        await server.rest()
    assert [(body["type"], body["reason"]) for _, _, body in server.requests] == [("Normal", "Accepted")]


async def test_what_a_status_has_no_room_for_is_told(server: Events, recorder: EventRecorder) -> None:
    """Whoever wonders why a route has no entry of ours finds it there."""
    async with running(recorder):
        recorder.left_out(GATEWAY, "no room")
        await server.come(1)
    assert [(body["reason"], body["note"]) for _, _, body in server.requests] == [("StatusFull", "no room")]


async def test_objects_of_no_namespace(server: Events, recorder: EventRecorder) -> None:
    """Their events lie in the default one, and name none."""
    async with running(recorder):
        recorder.wrote(written(class_key("class"), raw_condition()))
        tell(recorder, subject=Subject(ObjectKey("", "Node", "", "n"), "v1", "u"))
        await server.come(2)
    assert [path for _, path, _ in server.requests] == ["/apis/events.k8s.io/v1/namespaces/default/events"] * 2
    references = [body["regarding"] for _, _, body in server.requests]
    assert all("namespace" not in reference for reference in references)
    assert references[1]["apiVersion"] == "v1"


async def test_without_the_lead_nothing_is_told(server: Events, recorder: EventRecorder) -> None:
    """Neither at the time nor later."""
    tell(recorder)
    async with running(recorder):
        await server.rest()
    tell(recorder)
    await server.rest()
    assert server.requests == []


async def test_repetitions_count_up(server: Events, recorder: EventRecorder) -> None:
    """What is repeated before it was told is told as a series."""
    async with running(recorder):
        tell(recorder)
        tell(recorder)
        await server.come(1)
        await server.rest()
    ((_, _, body),) = server.requests
    assert body["series"]["count"] == 2
    assert body["series"]["lastObservedTime"].endswith("Z")


async def test_a_series_is_updated_by_name(
    server: Events, recorder: EventRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And told anew when its event is forgotten."""
    monkeypatch.setattr("tidegate.reporting.journal.UPDATE_S", 0.01)
    async with running(recorder):
        tell(recorder)
        await server.come(1)
        tell(recorder)
        await server.come(2)
        server.failures.append(KubeError("forgotten", status=404))
        tell(recorder)
        await server.come(4)
    assert [method for method, _, _ in server.requests] == ["POST", "PATCH", "PATCH", "POST"]
    assert server.requests[1][1] == "/apis/events.k8s.io/v1/namespaces/default/events/event-1"
    assert [body["series"]["count"] for _, _, body in server.requests[1:]] == [2, 3, 3]


@pytest.mark.parametrize("note", ["x" * 2000, "ü" * 1000])
async def test_long_notes_are_shortened(server: Events, recorder: EventRecorder, note: str) -> None:
    """To what the API server takes, which counts bytes."""
    async with running(recorder):
        tell(recorder, note)
        await server.come(1)
    told = server.requests[0][2]["note"]
    assert LONGEST_NOTE - 4 <= len(told.encode()) <= LONGEST_NOTE
    assert told.endswith("…")


async def test_what_is_refused_is_left_out(server: Events, recorder: EventRecorder) -> None:
    """It is logged once, and others are told."""
    server.failures.extend(KubeError("no", status=status) for status in (403, 422))
    with structlog.testing.capture_logs() as events:
        async with running(recorder):
            for number in range(3):
                tell(recorder, f"text {number}")
            await server.come(3)
            await server.rest()
    assert [event["event"] for event in events] == ["an event was not written; more of these are not logged"]
    assert [body["note"] for _, _, body in server.requests] == ["text 0", "text 1", "text 2"]


async def test_a_server_that_is_away_is_waited_for(server: Events, recorder: EventRecorder) -> None:
    """The event is written when it is back."""
    server.failures.append(KubeError("away"))
    async with running(recorder):
        tell(recorder)
        await server.come(2)
    assert server.requests[0][2] == server.requests[1][2]


async def test_too_many_are_left_out(server: Events, recorder: EventRecorder) -> None:
    """Nobody waits for them."""
    async with running(recorder):
        for number in range(20):
            tell(recorder, f"text {number}")
        await server.come(10)
        await server.rest()
    assert len(server.requests) == 10


async def test_a_bug_does_not_reach_the_writer(server: Events, recorder: EventRecorder) -> None:
    """A status that cannot be told of is logged as an internal error."""
    with structlog.testing.capture_logs() as events:
        async with running(recorder):
            recorder.wrote(written(gateway_key("gw"), {"type": "Accepted"}))
    assert [event["event"] for event in events] == ["internal error, contained"]
