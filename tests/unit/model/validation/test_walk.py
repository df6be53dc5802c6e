"""The state of one walk."""

from __future__ import annotations

from tidegate.model.validation.problems import FieldProblem
from tidegate.model.validation.rules import RuleSet
from tidegate.model.validation.walk import UNSOUND, Walk


def test_problems_and_warnings_are_kept_apart() -> None:
    """A problem yields the marker that stands for the value; a warning rejects nothing."""
    walk = Walk(RuleSet())
    walk.warn(("a",), "odd")
    assert not walk.problems
    assert walk.reject(("b",), "wrong") is UNSOUND
    assert walk.problems.frozen() == (FieldProblem(("b",), "wrong"),)
    assert walk.warnings.frozen() == (FieldProblem(("a",), "odd"),)
