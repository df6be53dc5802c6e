"""What several proxies did with a socket is told as one outcome, and never better than it is."""

from __future__ import annotations

import pytest

from tidegate.dataplanes.envoy.merging import merged
from tidegate.plan.outcome import Failed, FailureReason, Live, Outcome, Pending

LIVE, OLD = Live(revision="new"), Live(revision="old")
WAITING = Pending(revision="new")
TAKEN = Failed(revision="new", reason=FailureReason.PORT_UNAVAILABLE, message="taken")
WRONG = Failed(revision="new", reason=FailureReason.INVALID, message="wrong")
PAST = Failed(revision="old", reason=FailureReason.INVALID, message="past")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([LIVE], LIVE),
        ([WAITING, LIVE], LIVE),
        ([TAKEN, LIVE], LIVE),
        ([TAKEN, WRONG], TAKEN),
        ([TAKEN, WAITING], WAITING),
        ([TAKEN, None], WAITING),
        ([TAKEN, PAST], WAITING),
        ([OLD], WAITING),
        ([OLD, PAST], WAITING),
        ([None], WAITING),
        ([WAITING], WAITING),
    ],
)
def test_one_outcome_of_many(outcomes: list[Outcome | None], expected: Outcome) -> None:
    """One proxy that serves the planned revision is enough; only when all failed has it failed."""
    assert merged("new", outcomes) == expected


def test_what_is_on_its_way_has_no_message() -> None:
    """A message would make whoever writes statuses write at once, instead of waiting a moment."""
    assert merged("new", [Pending(revision="new", message="down"), OLD]) == Pending(revision="new", message="")
