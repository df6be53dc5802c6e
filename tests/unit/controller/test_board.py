"""When a verdict becomes the status that is published."""

from __future__ import annotations

import datetime as dt

from tidegate.controller.board import OUTCOME_PATIENCE_S, StatusBoard
from tidegate.core.statuses import Verdict
from tidegate.model.meta import Condition
from tidegate.model.status import GatewayClassStatus, Status
from tidegate.names import GATEWAY_GROUP, ObjectKey

KEY = ObjectKey(GATEWAY_GROUP, "Gateway", "default", "gw")
OTHER = ObjectKey(GATEWAY_GROUP, "Gateway", "default", "other")
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SOON = OUTCOME_PATIENCE_S / 2
DUE = OUTCOME_PATIENCE_S


def verdict(message: str, *, waiting: bool = False, status: str = "True") -> Verdict:
    """A verdict with one condition."""
    condition = Condition(type="Accepted", status=status, reason="Accepted", message=message)
    return Verdict(GatewayClassStatus(conditions=(condition,)), waiting=waiting)


class Timed:
    """A board, and what it published: messages by name."""

    def __init__(self) -> None:
        self.board = StatusBoard()

    def take(self, at: float, **verdicts: Verdict | None) -> dict[str, str | None]:
        """Let the board take verdicts at a time in seconds; ``gw`` and ``other`` are the objects."""
        keys = {"gw": KEY, "other": OTHER}
        published = self.board.take(
            {keys[name]: found for name, found in verdicts.items()},
            monotonic=at,
            now=START + dt.timedelta(seconds=at),
        )
        return {key.name: said(status) for key, status in published.items()}


def said(status: Status | None) -> str | None:
    """The message of a status."""
    if status is None:
        return None
    assert isinstance(status, GatewayClassStatus)
    return status.conditions[0].message


def test_a_settled_verdict_is_published_at_once() -> None:
    """No outcome is to come, so nobody waits."""
    timed = Timed()
    assert timed.take(0, gw=verdict("one")) == {"gw": "one"}
    assert timed.board.next_deadline is None
    assert said(timed.board.statuses[KEY]) == "one"


def test_the_same_again_is_not_published() -> None:
    """A verdict that says what is published already is no news, and keeps its transition time."""
    timed = Timed()
    timed.take(0, gw=verdict("one"))
    assert timed.take(5, gw=verdict("one")) == {}
    status = timed.board.statuses[KEY]
    assert isinstance(status, GatewayClassStatus)
    assert status.conditions[0].last_transition_time == START


def test_a_waiting_verdict_is_held_for_its_outcome() -> None:
    """The outcome comes in time: one change is published as one status."""
    timed = Timed()
    assert timed.take(0, gw=verdict("pending", waiting=True)) == {}
    assert timed.board.next_deadline == DUE
    assert timed.take(SOON, gw=verdict("done")) == {"gw": "done"}
    assert timed.board.next_deadline is None
    assert timed.take(DUE) == {}


def test_patience_ends() -> None:
    """Without an outcome the verdict is published as it is when its time is up."""
    timed = Timed()
    timed.take(0, gw=verdict("pending", waiting=True))
    assert timed.take(SOON) == {}
    assert timed.take(DUE) == {"gw": "pending"}
    assert timed.board.next_deadline is None
    assert timed.take(2 * DUE, gw=verdict("done")) == {"gw": "done"}


def test_waiting_again_does_not_extend_the_wait() -> None:
    """Changes that keep coming cannot hold a status back for ever; the newest one is published."""
    timed = Timed()
    timed.take(0, gw=verdict("first", waiting=True))
    timed.take(SOON, gw=verdict("second", waiting=True))
    assert timed.board.next_deadline == DUE
    assert timed.take(DUE, gw=verdict("third", waiting=True)) == {"gw": "third"}


def test_what_is_published_stays_while_the_next_waits() -> None:
    """The old status is in force until the new one is."""
    timed = Timed()
    timed.take(0, gw=verdict("one"))
    timed.take(1, gw=verdict("two", waiting=True))
    assert said(timed.board.statuses[KEY]) == "one"


def test_a_detour_is_never_seen() -> None:
    """A change that is undone before its outcome publishes nothing."""
    timed = Timed()
    timed.take(0, gw=verdict("one"))
    timed.take(1, gw=verdict("two", waiting=True))
    assert timed.take(1.1, gw=verdict("one")) == {}
    assert timed.take(9) == {}


def test_withdrawal() -> None:
    """A status that was published is withdrawn once, one that only waited leaves no trace."""
    timed = Timed()
    timed.take(0, gw=verdict("one"), other=verdict("two", waiting=True))
    assert timed.take(SOON, gw=None, other=None) == {"gw": None}
    assert timed.board.statuses == {}
    assert timed.board.next_deadline is None
    assert timed.take(9, gw=None) == {}


def test_deadlines_are_per_object() -> None:
    """Each verdict has its own time; the board names the first."""
    timed = Timed()
    timed.take(0, gw=verdict("one", waiting=True))
    timed.take(SOON, other=verdict("two", waiting=True))
    assert timed.board.next_deadline == DUE
    assert timed.take(DUE) == {"gw": "one"}
    assert timed.board.next_deadline == SOON + DUE
    assert timed.take(SOON + DUE) == {"other": "two"}
