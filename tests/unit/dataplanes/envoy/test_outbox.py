"""The outbox holds the newest of each proxy, and what it gives adds up to all that was put into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.plans import socket_key
from tidegate.dataplanes.envoy.outbox import Heard, Outbox, decode, encode
from tidegate.dataplanes.envoy.proxyevents import Changed, Connecting, Lost, ProxyEvent, Settled
from tidegate.dataplanes.envoy.roster import Roster
from tidegate.plan.outcome import Failed, FailureReason, Live, Outcome, Pending, SocketReport

KEYS = [socket_key(80, "*", "a/gw"), socket_key(81, "::1", "a/gw")]
FAILED = Failed(revision="r1", reason=FailureReason.PORT_UNAVAILABLE, message="taken")

NODES, INSTANCES = st.sampled_from(["one", "two"]), st.sampled_from(["1", "2"])
LIVE, PENDING = Live(revision="r1"), Pending(revision="r1")
OUTCOMES: st.SearchStrategy[Outcome | None] = st.sampled_from([LIVE, PENDING, FAILED, None])
REPORTS = st.lists(st.builds(SocketReport, socket=st.sampled_from(KEYS), outcome=OUTCOMES), max_size=3).map(tuple)
ADDRESSES = st.just(("10.0.0.1",))
EVENTS: st.SearchStrategy[ProxyEvent] = st.one_of(
    st.builds(Connecting, scope=st.just("a/gw"), node=NODES, instance=INSTANCES),
    st.builds(
        Settled,
        scope=st.just("a/gw"),
        node=NODES,
        instance=INSTANCES,
        addresses=ADDRESSES,
        reports=REPORTS,
    ),
    st.builds(Changed, scope=st.just("a/gw"), node=NODES, reports=REPORTS),
    st.builds(Lost, scope=st.just("a/gw"), node=NODES),
)


async def batch(outbox: Outbox) -> list[ProxyEvent]:
    """What it has to say now."""
    async for events in outbox.batches():
        return list(events)
    raise AssertionError("it never ends")


def settled(*reports: SocketReport) -> Settled:
    """A proxy that has settled."""
    return Settled(scope="a/gw", node="one", instance="1", addresses=("10.0.0.1",), reports=reports)


def report(outcome: Outcome | None, number: int = 0) -> SocketReport:
    """What became of a socket."""
    return SocketReport(socket=KEYS[number], outcome=outcome)


async def test_begins_with_what_is_there() -> None:
    """A new stream to a leader tells all that holds, then what happens."""
    outbox = Outbox([settled()])
    assert await batch(outbox) == [settled()]
    lost = Lost(scope="a/gw", node="one")
    outbox.put(lost)
    assert await batch(outbox) == [lost]


async def test_changes_are_added_to_what_waits() -> None:
    """A slow leader gets one event per proxy, with the newest outcome of each socket."""
    outbox = Outbox([settled(report(Pending(revision="r1")))])
    outbox.put(Changed(scope="a/gw", node="one", reports=(report(FAILED), report(FAILED, 1))))
    outbox.put(Changed(scope="a/gw", node="one", reports=(report(Live(revision="r1")),)))
    assert await batch(outbox) == [settled(report(Live(revision="r1")), report(FAILED, 1))]
    outbox.put(Changed(scope="a/gw", node="one", reports=(report(FAILED),)))
    outbox.put(Changed(scope="a/gw", node="one", reports=(report(None),)))
    assert await batch(outbox) == [Changed(scope="a/gw", node="one", reports=(report(None),))]


@given(st.lists(EVENTS))
def test_a_leader_ends_up_with_the_same(events: list[ProxyEvent]) -> None:
    """However events are put together on the way, the leader's roster has the same outcomes after the grace.

    A proxy that was lost before the leader heard of it never counted there.
    """
    direct, told = (Roster(grace=5.0) for _ in range(2))
    outbox = Outbox()
    for roster in (direct, told):
        roster.set_ready("a/gw", ["10.0.0.1"])
        for key in KEYS:
            roster.plan(key, "r1")
    for event in _as_streams_do(events):
        direct.take("b", event, 0.0)
        outbox.put(event)
    for event in outbox.waiting():
        told.take("b", event, 0.0)
    for roster in (direct, told):
        roster.expire(5.0)
    assert [direct.outcome(key) for key in KEYS] == [told.outcome(key) for key in KEYS]


def _as_streams_do(events: list[ProxyEvent]) -> list[ProxyEvent]:
    """Of any events those that can happen: a proxy changes only after it has settled on the present stream."""
    state: dict[str, str] = {}
    possible: list[ProxyEvent] = []
    for event in events:
        match event:
            case Connecting():
                state[event.node] = event.instance
            case Settled() if state.get(event.node) == event.instance:
                state[event.node] = "settled"
            case Changed() if state.get(event.node) == "settled":
                pass
            case Lost() if event.node in state:
                del state[event.node]
            case _:
                continue
        possible.append(event)
    return possible


@given(st.lists(EVENTS).map(tuple))
def test_events_survive_the_wire(events: tuple[ProxyEvent, ...]) -> None:
    """What another replica reads is what was written."""
    assert decode(encode(events)) == Heard(events)


@pytest.mark.parametrize("message", [b"", b"{}", b"[1]", b"\xff"])
def test_what_is_no_batch_is_an_error(message: bytes) -> None:
    """There is nothing in it to understand."""
    with pytest.raises(ValueError, match=r".+"):
        decode(message)


def test_of_what_another_version_says_only_what_is_unknown_is_left_out() -> None:
    """Of a socket whose outcome has no meaning here nothing is known, so what was known before does not stand."""
    told = [settled(report(FAILED), report(LIVE, 1)), Lost(scope="a/gw", node="two")]
    message = encode(told).replace(b'"PortUnavailable"', b'"Overloaded"')
    assert message != encode(told)
    moved = b'[{"type":"Moved","scope":"a/gw"},{"type":"Settled","scope":"a/gw"},'
    heard = decode(moved + message[1:])
    assert heard.events == [settled(report(None), report(LIVE, 1)), told[1]]
    assert len(heard.problems) == 3
    assert "Overloaded" in heard.problems[2]


def test_a_report_about_an_unknown_kind_of_socket_is_left_out() -> None:
    """The rest of the event counts."""
    told = Changed(scope="a/gw", node="one", reports=(report(LIVE), report(LIVE, 1)))
    message = encode([told]).replace(b'"port":80', b'"port":"all"')
    heard = decode(message)
    assert heard.events == [Changed(scope="a/gw", node="one", reports=(report(LIVE, 1),))]
    assert len(heard.problems) == 1
