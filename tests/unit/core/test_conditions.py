"""Every shape of condition."""

from __future__ import annotations

import pytest

from tidegate.core import conditions
from tidegate.core.reasons import ConditionType, Reason
from tidegate.core.rejection import Rejection
from tidegate.model.meta import Condition

REFUSED = Rejection(Reason.PORT_UNAVAILABLE, "taken")
CLASH = Rejection(Reason.PROTOCOL_CONFLICT, "clash")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (conditions.met(ConditionType.ACCEPTED, 4, "fine"), ("Accepted", "True", "Accepted", "fine")),
        (
            conditions.met(ConditionType.ACCEPTED, 4, "some", Reason.LISTENERS_NOT_VALID),
            ("Accepted", "True", "ListenersNotValid", "some"),
        ),
        (
            conditions.unmet(ConditionType.PROGRAMMED, 4, REFUSED),
            ("Programmed", "False", "PortUnavailable", "taken"),
        ),
        (conditions.unknown(ConditionType.ACCEPTED, 4, "soon"), ("Accepted", "Unknown", "Pending", "soon")),
        (
            conditions.judged(ConditionType.RESOLVED_REFS, 4, None, "all"),
            ("ResolvedRefs", "True", "ResolvedRefs", "all"),
        ),
        (
            conditions.judged(ConditionType.PROGRAMMED, 4, REFUSED, "all"),
            ("Programmed", "False", "PortUnavailable", "taken"),
        ),
        (conditions.conflicted(4, CLASH), ("Conflicted", "True", "ProtocolConflict", "clash")),
        (
            conditions.partially_invalid(4, "Dropped Rule: one"),
            ("PartiallyInvalid", "True", "UnsupportedValue", "Dropped Rule: one"),
        ),
    ],
)
def test_condition(made: Condition, expected: tuple[str, str, str, str]) -> None:
    """Type, status, reason and message are as said, the generation is the object's, the time is left open."""
    assert (made.type, made.status, made.reason, made.message) == expected
    assert made.observed_generation == 4
    assert made.last_transition_time is None


@pytest.mark.parametrize(
    "kind",
    [ConditionType.ACCEPTED, ConditionType.PROGRAMMED, ConditionType.RESOLVED_REFS, ConditionType.SUPPORTED_VERSION],
)
def test_every_positive_condition_has_its_reason(kind: ConditionType) -> None:
    """A condition that is met is explained by the reason of its own name."""
    assert conditions.met(kind, 1, "yes").reason == kind.value
