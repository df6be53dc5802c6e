"""Sets of rules, and the rule that entries differ."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.model.meta import LabelSelector, ObjectMeta
from tidegate.model.validation.problems import FieldProblem
from tidegate.model.validation.rules import RuleSet, unique


def first(_value: object) -> Iterator[FieldProblem]:
    """A rule that objects."""
    yield FieldProblem((), "first")


def second(_value: object) -> Iterator[FieldProblem]:
    """Another rule that objects."""
    yield FieldProblem((), "second")


def test_sets_are_joined_in_order() -> None:
    """Joined sets keep every rule, the left one's first, and leave both sides as they are."""
    left = RuleSet(structs={ObjectMeta: (first,)}, lists={(ObjectMeta, "labels"): (first,)})
    right = RuleSet(
        structs={ObjectMeta: (second,), LabelSelector: (second,)}, lists={(ObjectMeta, "labels"): (second,)}
    )
    joined = left | right
    assert joined.structs == {ObjectMeta: (first, second), LabelSelector: (second,)}
    assert joined.lists == {(ObjectMeta, "labels"): (first, second)}
    assert left.structs == {ObjectMeta: (first,)}


def test_unique_entries() -> None:
    """Each repetition is named with the first place, at its own index; entries without a key are exempt."""
    problems = unique(
        [(0, "a"), (2, ""), (3, ""), (5, "a"), (6, "a")],
        lambda text: text or None,
        lambda text, earlier: FieldProblem(("name",), f"{text} like {earlier}"),
    )
    assert [str(problem) for problem in problems] == ["[5].name: a like 0", "[6].name: a like 0"]
