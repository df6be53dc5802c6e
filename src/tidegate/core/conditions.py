"""The catalogue of conditions: every condition that tidegate emits is built here (Gateway API, GEP-1364).

``observed_generation`` is always that of the object that carries the status. Transition times are
filled in by whoever writes the status. Most objects are well in the same words: equal conditions are one object.
"""

from __future__ import annotations

from functools import lru_cache

from tidegate.core.reasons import ConditionType, Reason
from tidegate.core.rejection import Rejection
from tidegate.model.meta import Condition


def met(kind: ConditionType, generation: int, message: str, reason: Reason | None = None) -> Condition:
    """A condition that is True; its reason is its own type unless given."""
    return _condition(kind, "True", reason or Reason(kind.value), message, generation)


def unmet(kind: ConditionType, generation: int, rejection: Rejection) -> Condition:
    """A condition that is False, with the reason."""
    return _condition(kind, "False", rejection.reason, rejection.message, generation)


def unknown(kind: ConditionType, generation: int, message: str) -> Condition:
    """A condition that cannot be told yet (reason ``Pending``)."""
    return _condition(kind, "Unknown", Reason.PENDING, message, generation)


def judged(kind: ConditionType, generation: int, rejection: Rejection | None, message: str) -> Condition:
    """True with ``message`` when there is no rejection, else False with the rejection."""
    return met(kind, generation, message) if rejection is None else unmet(kind, generation, rejection)


def conflicted(generation: int, rejection: Rejection) -> Condition:
    """The listener clashes with another one (negative polarity: only present while True)."""
    return _condition(ConditionType.CONFLICTED, "True", rejection.reason, rejection.message, generation)


def partially_invalid(generation: int, message: str) -> Condition:
    """A part of the route is not in force (negative polarity: only present while True)."""
    return _condition(ConditionType.PARTIALLY_INVALID, "True", Reason.UNSUPPORTED_VALUE, message, generation)


@lru_cache(maxsize=1024)
def together(*found: Condition) -> tuple[Condition, ...]:
    """The conditions of a listener: those of most are the same, and one object."""
    return found


@lru_cache(maxsize=1024)
def _condition(kind: ConditionType, status: str, reason: Reason, message: str, generation: int) -> Condition:
    return Condition(
        type=kind.value, status=status, reason=reason.value, message=message, observed_generation=generation
    )
