"""The roster knows which proxies count, wherever their streams are, and what that means for each socket."""

from __future__ import annotations

import pytest

from support.plans import socket_key
from tidegate.dataplanes.envoy.proxyevents import Changed, Connecting, Lost, ProxyEvent, Settled
from tidegate.dataplanes.envoy.roster import Roster
from tidegate.names import SocketKey
from tidegate.plan.outcome import Failed, FailureReason, Live, Outcome, Pending, SocketReport

GRACE = 5.0
OURS, THEIRS, OTHERS = "", "replica b", "replica c"
KEY, OTHER = socket_key(80, scope="a/gw"), socket_key(80, scope="b/gw")
LIVE = Live(revision="r1")
NOBODY = Pending(revision="r1", message="no proxy of this Gateway is connected")
UNREADY = Pending(revision="r1", message="no proxy of this Gateway is ready yet")
ON_ITS_WAY = Pending(revision="r1")


def connecting(node: str = "one", *, scope: str = "a/gw", instance: str = "1") -> Connecting:
    """A stream began."""
    return Connecting(scope=scope, node=node, instance=instance)


def settled(
    node: str = "one",
    outcome: Outcome | None = LIVE,
    *,
    key: SocketKey = KEY,
    instance: str = "1",
    address: str = "10.0.0.1",
) -> Settled:
    """A proxy that has settled, with one socket."""
    reports = (SocketReport(socket=key, outcome=outcome),) if outcome is not None else ()
    return Settled(scope=key.scope, node=node, instance=instance, addresses=(address,), reports=reports)


def changed(outcome: Outcome | None, node: str = "one") -> Changed:
    """Another outcome of the socket."""
    return Changed(scope="a/gw", node=node, reports=(SocketReport(socket=KEY, outcome=outcome),))


def lost(node: str = "one") -> Lost:
    """The stream is over."""
    return Lost(scope="a/gw", node=node)


def roster(*events: ProxyEvent, ready: tuple[str, ...] = ("10.0.0.1",)) -> Roster:
    """A roster with a planned socket, after these events at this replica."""
    made = Roster(grace=GRACE)
    made.plan(KEY, "r1")
    made.set_ready("a/gw", ready)
    for event in events:
        made.take(OURS, event, 0.0)
    return made


def test_a_socket_that_is_not_planned_has_no_outcome() -> None:
    """What the plan does not have has no outcome, whatever a proxy says of it."""
    made = roster(settled())
    assert made.outcome(OTHER) is None
    made.plan(KEY, None)
    assert made.outcome(KEY) is None


def test_people_are_told_why_nothing_serves() -> None:
    """Without a proxy that counts, the message says what is missing."""
    assert roster().outcome(KEY) == NOBODY
    assert roster(connecting()).outcome(KEY) == UNREADY
    assert roster(settled(), ready=()).outcome(KEY) == UNREADY
    assert roster(settled(), ready=("10.0.0.9",)).outcome(KEY) == UNREADY


def test_a_ready_proxy_decides() -> None:
    """Settled and ready, its outcome is the socket's; what it has not answered yet is on its way."""
    assert roster(settled()).outcome(KEY) == LIVE
    assert roster(settled(outcome=None)).outcome(KEY) == ON_ITS_WAY
    failed = Failed(revision="r1", reason=FailureReason.PORT_UNAVAILABLE, message="taken")
    assert roster(settled(outcome=failed)).outcome(KEY) == failed


def test_addresses_match_in_any_form() -> None:
    """An address is the same however it is written."""
    assert roster(settled(address="2001:db8:0::1"), ready=("2001:DB8::1",)).outcome(KEY) == LIVE


def test_only_ready_proxies_are_asked() -> None:
    """A proxy that gets no traffic makes nothing Live and nothing Failed."""
    failed = Failed(revision="r1", reason=FailureReason.INVALID, message="wrong")
    made = roster(settled("one", failed), settled("two", LIVE, address="10.0.0.2"))
    assert made.outcome(KEY) == failed
    made.set_ready("a/gw", ("10.0.0.1", "10.0.0.2"))
    assert made.outcome(KEY) == LIVE


def test_changes_tell_which_sockets_they_touch() -> None:
    """Whoever publishes outcomes learns which to look at, and nothing for what changed nothing."""
    made = roster()
    assert list(made.set_ready("a/gw", ("10.0.0.1",))) == []
    assert list(made.set_ready("a/gw", ("10.0.0.2",))) == [KEY]
    assert list(made.take(OURS, connecting(), 0.0)) == [KEY]
    assert list(made.take(OURS, settled(), 0.0)) == [KEY]
    assert list(made.take(OURS, changed(None), 0.0)) == [KEY]
    assert made.outcome(KEY) == UNREADY


def test_a_scope_concerns_no_other() -> None:
    """Proxies and ready addresses of one Gateway say nothing about another's sockets."""
    made = roster(settled())
    made.plan(OTHER, "r1")
    assert list(made.take(OURS, settled(key=OTHER), 0.0)) == [OTHER]
    assert made.outcome(OTHER) == UNREADY
    assert made.outcome(KEY) == LIVE


def test_a_newer_revision_is_on_its_way() -> None:
    """After a change of the plan nothing is Live until a proxy says so."""
    made = roster(settled())
    made.plan(KEY, "r2")
    assert made.outcome(KEY) == Pending(revision="r2")
    made.take(OURS, changed(Live(revision="r2")), 0.0)
    assert made.outcome(KEY) == Live(revision="r2")


def test_a_lost_proxy_counts_until_its_time_is_over() -> None:
    """Its stream is gone, and it most likely serves on: it is let go only after the grace."""
    made = roster(settled())
    made.take(OURS, lost(), 10.0)
    assert made.outcome(KEY) == LIVE
    assert list(made.expire(10.0 + GRACE - 0.1)) == []
    assert made.outcome(KEY) == LIVE
    assert list(made.expire(10.0 + GRACE)) == [KEY]
    assert made.outcome(KEY) == NOBODY
    assert list(made.expire(100.0)) == []


def test_a_lost_proxy_does_not_follow_the_plan() -> None:
    """At what it had it counts, at a newer revision it does not."""
    made = roster(settled(), lost())
    made.plan(KEY, "r2")
    assert made.outcome(KEY) == Pending(revision="r2")


@pytest.mark.parametrize("source", [OURS, THEIRS])
def test_a_proxy_that_comes_back_counts_all_the_time(source: str) -> None:
    """Back here or elsewhere, it counts at what it had until it has settled again, and then for good."""
    made = roster(settled(), lost())
    made.take(source, connecting(), 1.0)
    assert made.outcome(KEY) == LIVE
    made.take(source, settled(), 2.0)
    assert list(made.expire(100.0)) == []
    assert made.outcome(KEY) == LIVE


def test_a_proxy_that_comes_back_and_never_settles_is_let_go() -> None:
    """A second loss, or a stream that gets nowhere, does not prolong the grace."""
    made = roster(settled(), lost())
    made.take(OURS, connecting(), 3.0)
    made.take(OURS, lost(), 4.0)
    made.take(OURS, connecting(), 4.5)
    made.expire(GRACE)
    assert made.outcome(KEY) == UNREADY


def test_another_process_of_the_name_starts_from_nothing() -> None:
    """What a process had that was restarted counts no more, from the moment in which its successor shows up."""
    made = roster(settled(), lost())
    made.take(OURS, connecting(instance="2"), 1.0)
    assert made.outcome(KEY) == UNREADY
    made.take(OURS, settled(instance="2"), 1.5)
    assert made.outcome(KEY) == LIVE
    assert list(made.expire(100.0)) == []


def test_the_end_of_an_earlier_stream_changes_nothing() -> None:
    """A proxy that moved to another replica is not lost when the first one notices, nor does that one speak for it."""
    made = roster()
    made.take(THEIRS, settled(), 0.0)
    made.take(OTHERS, connecting(), 1.0)
    made.take(OTHERS, settled(), 1.0)
    assert list(made.take(THEIRS, changed(None), 2.0)) == []
    made.take(THEIRS, lost(), 2.0)
    made.lose(THEIRS, 2.0)
    made.expire(100.0)
    assert made.outcome(KEY) == LIVE


def test_a_replica_that_was_cut_off_does_not_take_a_proxy_along() -> None:
    """It tells anew of a stream whose end it has not noticed yet, after the proxy has settled with another replica."""
    made = roster()
    made.take(THEIRS, settled(), 0.0)
    made.take(OTHERS, connecting(), 1.0)
    made.take(OTHERS, settled(), 1.0)
    made.lose(THEIRS, 2.0)
    again = f"{THEIRS}, again"
    made.take(again, settled(), 3.0)
    made.plan(KEY, "r2")
    made.take(OTHERS, changed(Live(revision="r2")), 3.0)
    assert made.outcome(KEY) == Live(revision="r2")
    made.take(again, lost(), 4.0)
    made.expire(100.0)
    assert made.outcome(KEY) == Live(revision="r2")
    made.take(OTHERS, lost(), 101.0)
    assert made.outcome(KEY) == Live(revision="r2"), "it counts for the grace, as always"
    made.expire(101.0 + GRACE)
    assert isinstance(made.outcome(KEY), Pending)


def test_a_proxy_that_was_last_heard_of_elsewhere_is_gone_with_its_last_stream() -> None:
    """The end of a stream that it has left behind says nothing, even if its replica notices that late."""
    made = roster(settled())
    made.take(THEIRS, settled(), 1.0)
    made.take(OURS, lost(), 2.0)
    assert made.outcome(KEY) == LIVE
    made.take(THEIRS, lost(), 3.0)
    made.expire(3.0 + GRACE)
    assert made.outcome(KEY) == NOBODY


def test_the_end_of_an_unsettled_stream() -> None:
    """A proxy that went before it had settled was never there."""
    made = roster(connecting(), lost())
    assert made.outcome(KEY) == NOBODY


def test_a_replica_that_is_lost_loses_all_its_proxies() -> None:
    """They count for the grace, those of other replicas for good."""
    made = roster(settled("three", address="10.0.0.3"))
    made.take(THEIRS, settled("one"), 0.0)
    made.take(THEIRS, connecting("two"), 0.0)
    assert set(made.lose(THEIRS, 1.0)) == {KEY}
    assert made.outcome(KEY) == LIVE
    assert list(made.expire(1.0 + GRACE)) == [KEY]
    assert made.outcome(KEY) == UNREADY
    made.set_ready("a/gw", ("10.0.0.3",))
    assert made.outcome(KEY) == LIVE


def test_covers_when_every_ready_address_is_known() -> None:
    """A new leader knows enough once each ready proxy is connected somewhere, or was a moment ago."""
    made = roster(ready=("10.0.0.1", "10.0.0.2"))
    assert not made.covers("a/gw")
    made.take(OURS, settled("one"), 0.0)
    assert not made.covers("a/gw")
    made.take(THEIRS, settled("two", address="10.0.0.2"), 0.0)
    assert made.covers("a/gw")
    made.lose(THEIRS, 0.0)
    assert made.covers("a/gw")
    made.expire(GRACE)
    assert not made.covers("a/gw")
    made.set_ready("a/gw", ())
    assert made.covers("a/gw")


def test_nothing_is_kept_of_what_is_gone() -> None:
    """A Gateway that came and went leaves nothing behind."""
    made = roster(settled())
    made.take(OURS, lost(), 0.0)
    made.expire(GRACE)
    made.set_ready("a/gw", ())
    made.plan(KEY, None)
    assert vars(made) == vars(Roster(grace=GRACE))
