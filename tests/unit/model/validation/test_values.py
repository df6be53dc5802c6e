"""The readers of scalars, and what they say when a value is wrong."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from tidegate.model.validation.rules import RuleSet
from tidegate.model.validation.values import Boolean, Choice, Integer, Moment, NumberOrName, Text, parse_time
from tidegate.model.validation.walk import UNSOUND, Node, Walk

SHORT = Text(low=1, high=3, pattern=re.compile(r"^[a-z]+\Z"), must="must be lower-case letters")
AMOUNT = Text(pattern=re.compile(r"^[0-9.]+m?\Z"), must="must be an amount")
PORT = Integer(low=1, high=65535)


def reading(node: Node, value: object) -> tuple[object, list[str]]:
    """What a reader makes of a value, and what it says."""
    walk = Walk(RuleSet())
    result = node.read(value, (), walk)
    return result, [problem.message for problem in walk.problems.frozen()]


@pytest.mark.parametrize(
    ("node", "value", "result"),
    [
        (SHORT, "abc", "abc"),
        (PORT, 1, 1),
        (PORT, 65535.0, 65535),
        (Boolean(), False, False),
        (Choice(values=("A", "B")), "B", "B"),
        (NumberOrName(number=PORT, name=SHORT), 80, 80),
        (NumberOrName(number=PORT, name=SHORT), "web", "web"),
        (NumberOrName(number=PORT, name=AMOUNT), 80, 80),
        (NumberOrName(number=PORT, name=AMOUNT), "80", "80"),
        (NumberOrName(number=PORT, name=AMOUNT), 80.0, 80),
        (Moment(), "2026-01-02T03:04:05Z", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
    ],
)
def test_sound_values(node: Node, value: object, result: object) -> None:
    """A value within the limits is returned as its type, and nothing is said."""
    read, said = reading(node, value)
    assert (read, type(read), said) == (result, type(result), [])


@pytest.mark.parametrize(
    ("node", "value", "message"),
    [
        (SHORT, "", "must not be empty"),
        (SHORT, "abcd", "must be at most 3 characters long, found 4"),
        (SHORT, "A", "must be lower-case letters, found 'A'"),
        (SHORT, 8080, '8080 is a number: write it in quotes, "8080"'),
        (SHORT, True, 'true is not text: write it in quotes, "true"'),
        (SHORT, None, "must be text, found null"),
        (SHORT, {"a": 1}, "must be text, found a mapping"),
        (PORT, 0, "must be between 1 and 65535, found 0"),
        (PORT, True, "must be a whole number, found true"),
        (PORT, "80", "'80' is text: write the number without quotes"),
        (PORT, "eighty", "must be a whole number, found 'eighty'"),
        (PORT, 1.5, "must be a whole number, found 1.5"),
        (Boolean(), "true", "must be true or false, found 'true'"),
        (Choice(values=("All", "Same")), "all", "must be one of All, Same; found 'all' (did you mean All?)"),
        (Choice(values=("All", "Same")), ["All"], "must be one of All, Same; found a list"),
        (
            Choice(values=("off", "text")),
            False,
            'must be one of off, text; found false (YAML reads off as false: write it in quotes, "off")',
        ),
        (NumberOrName(number=PORT, name=AMOUNT), 0.5, '0.5 is not a whole number: write it in quotes, "0.5"'),
        (NumberOrName(number=PORT, name=SHORT), 0.5, "must be a whole number, found 0.5"),
        (NumberOrName(number=PORT, name=SHORT), "80", "'80' is text: write the number without quotes"),
        (NumberOrName(number=PORT, name=SHORT), "A", "must be lower-case letters, found 'A'"),
        (Moment(), "today", "must be a time such as '2026-01-31T12:00:00Z', found 'today'"),
    ],
)
def test_unsound_values(node: Node, value: object, message: str) -> None:
    """A wrong value is replaced by a marker, and the message says what would be right."""
    assert reading(node, value) == (UNSOUND, [message])


def test_the_length_is_judged_before_the_pattern() -> None:
    """A pattern never sees text that is too long: some would take quadratic time."""
    slow = Text(high=10, pattern=re.compile(r"(a+)+b\Z"), must="must end with b")
    assert reading(slow, "a" * 100_000)[1] == ["must be at most 10 characters long, found 100000"]


def test_times_are_cut_to_seconds() -> None:
    """Kubernetes keeps times by the second, in UTC."""
    assert parse_time("2026-01-02T03:04:05.999-01:00") == dt.datetime(2026, 1, 2, 4, 4, 5, tzinfo=dt.UTC)
    assert parse_time("2026-13-02T03:04:05Z") is None
