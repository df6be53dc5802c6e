"""The requests that write statuses, and what their failures mean."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from support.memory_server import MemoryServer, Writing, observed, path_of
from support.resources import class_key, gateway_key, route_key
from support.statuses import FOREIGN, class_status, crd_default, gateway_status, raw_parent, route_status
from support.waiting import eventually, silence
from tidegate.errors import KubeError
from tidegate.reporting.kubernetes import CONCURRENCY, WriteOutcome

GATEWAY = gateway_key("gw")
ROUTE = route_key("route")
DEFAULTS = crd_default("Accepted", "Programmed")


@pytest.fixture
def server() -> MemoryServer:
    """An empty server."""
    return MemoryServer()


@pytest.fixture
def writing(server: MemoryServer) -> Writing:
    """A writer to the server that does not lead yet."""
    return Writing(server)


@pytest.fixture
def ready(server: MemoryServer, writing: Writing) -> Writing:
    """A writer with a status that is to be written."""
    writing.writer.observe(GATEWAY, server.put(GATEWAY, DEFAULTS))
    writing.writer.publish({GATEWAY: gateway_status()})
    return writing


def answer(status: int | None, *, retry_after: float | None = None) -> KubeError:
    """What the server says instead of doing it."""
    return KubeError(f"no: {status}", status=status, retry_after=retry_after)


async def counted(writing: Writing, outcome: WriteOutcome, count: int = 1, kind: str = "") -> None:
    """Returns once there are so many outcomes."""

    async def probe() -> int:
        return writing.count(outcome, kind)

    await eventually(probe, lambda found: found >= count, what=f"{count} times {outcome}")


async def test_a_status_is_written_and_told(server: MemoryServer, ready: Writing) -> None:
    """With one request to the status subresource; whoever asked for it learns of it."""
    async with ready.leading():
        await counted(ready, WriteOutcome.WRITTEN)
    assert server.requests == [f"PATCH {path_of(GATEWAY)}/status"]
    assert server.status(GATEWAY)["attachedListenerSets"] == 0
    assert ready.counts == {("Gateway", WriteOutcome.WRITTEN): 1}
    assert [(one.subject.key, one.before) for one in ready.written] == [(GATEWAY, DEFAULTS)]
    assert ready.written[0].after == server.status(GATEWAY)


async def test_nothing_is_written_without_leading(server: MemoryServer, ready: Writing) -> None:
    """Not before the lead, nor after it."""
    await silence(server.requests, during=0.05)
    async with ready.leading():
        await counted(ready, WriteOutcome.WRITTEN)
    ready.writer.publish({GATEWAY: gateway_status(addresses=())})
    await silence(server.requests, during=0.2)
    async with ready.leading():
        await counted(ready, WriteOutcome.WRITTEN, 2)
    assert server.status(GATEWAY)["addresses"] == []


async def test_what_is_there_needs_no_request(server: MemoryServer, ready: Writing) -> None:
    """A new leader finds everything in place."""
    async with ready.leading():
        await counted(ready, WriteOutcome.WRITTEN)
    later = Writing(server)
    later.writer.observe(GATEWAY, server.put(GATEWAY, server.status(GATEWAY)))
    later.writer.publish({GATEWAY: gateway_status()})
    server.requests.clear()
    async with later.leading():
        await counted(later, WriteOutcome.UNCHANGED)
    assert server.requests == []


async def test_the_echo_causes_nothing(server: MemoryServer, ready: Writing) -> None:
    """The watch brings back what we wrote."""
    async with ready.leading():
        await counted(ready, WriteOutcome.WRITTEN)
        ready.writer.observe(GATEWAY, observed(server.objects[path_of(GATEWAY)]))
        await silence(server.requests, during=0.2)
    assert ready.counts == {("Gateway", WriteOutcome.WRITTEN): 1}


async def test_a_conflict_is_resolved_by_a_fresh_read(server: MemoryServer, writing: Writing) -> None:
    """Entries of others that we did not know of are kept."""
    writing.writer.observe(ROUTE, server.put(ROUTE, {"parents": []}))
    foreign = raw_parent("gw", controller=FOREIGN)
    server.put(ROUTE, {"parents": [foreign]})
    writing.writer.publish({ROUTE: route_status()})
    async with writing.leading():
        await counted(writing, WriteOutcome.WRITTEN)
    assert writing.count(WriteOutcome.CONFLICT) == 1
    path = path_of(ROUTE)
    assert server.requests == [f"PATCH {path}/status", f"GET {path}", f"PATCH {path}/status"]
    assert server.status(ROUTE)["parents"][0] == foreign


@pytest.mark.parametrize("when", ["patch", "get"])
async def test_a_lost_object_is_left_alone(server: MemoryServer, ready: Writing, when: str) -> None:
    """The source is about to say that it is gone."""
    server.objects.clear()
    if when == "get":
        server.failures.append(answer(409))
    async with ready.leading():
        await counted(ready, WriteOutcome.CONFLICT if when == "get" else WriteOutcome.UNCHANGED)
        await silence(server.requests, during=0.2)
    assert len(server.requests) == 1 + (when == "get")


async def test_an_invalid_status_is_told_once(server: MemoryServer, ready: Writing) -> None:
    """And not tried again."""
    server.failures.append(answer(422))
    with structlog.testing.capture_logs() as events:
        async with ready.leading():
            await counted(ready, WriteOutcome.FAILED)
            await silence(server.requests, during=0.2)
    assert [(event["event"], event["object"]) for event in events] == [
        ("status refused by the API server", "Gateway default/gw")
    ]


async def test_a_failure_of_one_object_is_its_own(server: MemoryServer, ready: Writing) -> None:
    """A permission that is missing is told once and tried again later; others are written meanwhile."""
    server.failures.append(answer(403))
    ready.writer.observe(ROUTE, server.put(ROUTE, {}))
    ready.writer.publish({ROUTE: route_status()})
    with structlog.testing.capture_logs() as events:
        async with ready.leading():
            await counted(ready, WriteOutcome.WRITTEN, kind="TCPRoute")
            await counted(ready, WriteOutcome.WRITTEN, kind="Gateway")
    assert [event["event"] for event in events] == ["status not written, trying again"]


@pytest.mark.parametrize("status", [None, 429, 503])
async def test_a_server_that_is_away_is_spared(server: MemoryServer, writing: Writing, status: int | None) -> None:
    """All wait, one asks first, and then everything is written; people are told when it begins and ends."""
    keys = [route_key(f"route-{number}") for number in range(3 * CONCURRENCY)]
    for key in keys:
        writing.writer.observe(key, server.put(key, {}))
    writing.writer.publish(dict.fromkeys(keys, route_status()))
    server.failures.extend(answer(status) for _ in range(CONCURRENCY + 1))
    with structlog.testing.capture_logs() as events:
        async with writing.leading():
            await counted(writing, WriteOutcome.WRITTEN, len(keys))
    assert len(server.requests) == len(keys) + CONCURRENCY + 1
    assert [event["event"] for event in events] == [
        "statuses wait for the API server", "statuses are written again",
    ]  # fmt: skip


async def test_a_read_that_fails_is_a_failure(server: MemoryServer, ready: Writing) -> None:
    """A conflict whose fresh read meets a server that went away is resolved when it is back."""
    server.failures.extend([answer(409), answer(None, retry_after=0.01)])
    async with ready.leading():
        await counted(ready, WriteOutcome.WRITTEN)
    assert [request.split()[0] for request in server.requests] == ["PATCH", "GET", "PATCH"]


async def test_few_at_a_time_and_gateways_first(server: MemoryServer, writing: Writing) -> None:
    """Many objects are written by a few requests at a time; nobody waits for a route before a Gateway."""
    keys = [route_key(f"route-{number}") for number in range(20)] + [GATEWAY, class_key("class")]
    for key in keys:
        writing.writer.observe(key, server.put(key, {}))
    writing.writer.publish(dict.fromkeys(keys[:20], route_status()))
    writing.writer.publish({GATEWAY: gateway_status(), keys[-1]: class_status()})
    server.open.clear()
    async with writing.leading():

        async def active() -> int:
            return server.active

        await eventually(active, lambda count: count == CONCURRENCY, what="all are busy")
        server.open.set()
        await counted(writing, WriteOutcome.WRITTEN, len(keys))
    assert server.requests[:2] == [f"PATCH {path_of(keys[-1])}/status", f"PATCH {path_of(GATEWAY)}/status"]
    assert server.most_active == CONCURRENCY


async def test_an_end_of_the_lead_in_the_middle(server: MemoryServer, ready: Writing) -> None:
    """A request that is on its way is given up; the next lead starts over."""
    server.open.clear()
    async with ready.leading():

        async def active() -> int:
            return server.active

        await eventually(active, what="a request is on its way")
    assert server.active == 0
    server.open.set()
    async with ready.leading():
        await counted(ready, WriteOutcome.WRITTEN)


async def test_a_bug_hurts_one_object_only(server: MemoryServer, ready: Writing) -> None:
    """An answer that nobody expected is told as an internal error; others are written."""
    del server.objects[path_of(GATEWAY)]["metadata"]["generation"]
    server.objects[path_of(GATEWAY)]["status"] = None
    ready.writer.observe(ROUTE, server.put(ROUTE, {}))
    ready.writer.publish({ROUTE: route_status()})
    with structlog.testing.capture_logs() as events:
        async with ready.leading():
            await counted(ready, WriteOutcome.WRITTEN, kind="TCPRoute")
    assert [(event["event"], event["object"]) for event in events] == [
        ("internal error, contained", "Gateway default/gw")
    ]


async def test_leftovers_go_when_all_is_published(server: MemoryServer, writing: Writing) -> None:
    """Entries of ours that nobody wants, once it is said that everything was published."""
    writing.writer.observe(ROUTE, server.put(ROUTE, {"parents": [raw_parent()]}))
    async with writing.leading():
        await silence(server.requests, during=0.1)
        writing.writer.complete()
        await counted(writing, WriteOutcome.WRITTEN)
    assert server.status(ROUTE) == {"parents": []}


async def test_entries_without_room_are_told(server: MemoryServer, writing: Writing) -> None:
    """In the log, and to whoever makes an event of it."""
    full = {"parents": [raw_parent(str(number), controller=FOREIGN) for number in range(32)]}
    writing.writer.observe(ROUTE, server.put(ROUTE, full))
    writing.writer.publish({ROUTE: route_status("a", "b")})
    with structlog.testing.capture_logs() as events:
        async with writing.leading():
            await counted(writing, WriteOutcome.UNCHANGED)
    assert [event["event"] for event in events] == ["status incomplete"]
    assert [(subject.key, "for: a, b" in text) for subject, text in writing.crowded] == [(ROUTE, True)]


async def test_a_deleted_object_is_not_written(server: MemoryServer, ready: Writing) -> None:
    """Even when its status is still in force."""
    ready.writer.observe(GATEWAY, None)
    async with ready.leading():
        await silence(server.requests, during=0.1)


async def test_a_slow_server_does_not_hold_up_the_caller(server: MemoryServer, ready: Writing) -> None:
    """What is published meanwhile is taken at once, and only the newest of it is written."""
    server.open.clear()
    async with ready.leading():

        async def active() -> int:
            return server.active

        await eventually(active, what="a request is on its way")
        for number in range(100):
            ready.writer.publish({GATEWAY: gateway_status(addresses=(f"192.0.2.{number}",))})
        await asyncio.sleep(0)
        server.open.set()
        await counted(ready, WriteOutcome.WRITTEN, 2)
    assert server.status(GATEWAY)["addresses"] == [{"type": "IPAddress", "value": "192.0.2.99"}]
    assert len(server.requests) == 2
