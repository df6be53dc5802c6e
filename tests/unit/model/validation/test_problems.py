"""How field paths and found values are written, and how many problems are kept."""

from __future__ import annotations

import pytest

from tidegate.model.validation.problems import (
    PROBLEM_LIMIT,
    FieldProblem,
    Keys,
    ProblemList,
    did_you_mean,
    field_path,
    found,
    nearest,
    quoted,
)


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ((), ""),
        (("spec", "listeners", 0, "port"), "spec.listeners[0].port"),
        (("metadata", "labels", "example.com/role"), "metadata.labels['example.com/role']"),
        (("metadata", "labels", "my-key"), "metadata.labels.my-key"),
        (("a", ""), "a['']"),
        (("a\nb",), "['a\\nb']"),
    ],
)
def test_field_paths(keys: Keys, path: str) -> None:
    """Paths read like the documentation's; keys that would confuse are quoted."""
    assert field_path(keys) == path


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (10**30, "a huge number"),
        (-(10**5000), "a huge number"),
        (1.5, "1.5"),
        ("it's", '"it\'s"'),
        ("x" * 61, "'" + "x" * 60 + "…'"),
        ({}, "a mapping"),
        ([1], "a list"),
        ((1,), "a list"),
        (b"x", "a value of type bytes"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else type(value).__name__,
)
def test_found_values(value: object, text: str) -> None:
    """Scalars are shown, cut when long; structures are only named."""
    assert found(value) == text


def test_problems_as_text() -> None:
    """A problem is its path and its message; one of the whole object is only the message."""
    problem = FieldProblem(("port",), "is required")
    assert str(problem.under("spec", "ports", 1)) == "spec.ports[1].port: is required"
    assert str(FieldProblem((), "is no object")) == "is no object"


def test_suggestions() -> None:
    """The nearest known word is suggested regardless of case, and none when nothing is near."""
    assert nearest("SECTIONNAME", {"sectionName", "port"}) == "sectionName"
    assert nearest("xyz", {"sectionName", "port"}) is None
    assert nearest("p" * 1000, {"port"}) is None
    assert did_you_mean("prot", {"port"}) == " (did you mean port?)"
    assert did_you_mean("xyz", {"port"}) == ""


def test_quoting_keeps_to_one_line() -> None:
    """Line breaks and control characters are escaped."""
    assert quoted("a\n\x1b[31m") == "'a\\n\\x1b[31m'"


def test_the_list_of_problems_is_bounded() -> None:
    """Beyond the limit problems are counted; repetitions are dropped."""
    problems = ProblemList()
    assert not problems
    for number in range(PROBLEM_LIMIT + 5):
        problems.add(FieldProblem((number,), "is wrong"))
    assert problems
    assert problems.full
    kept = problems.frozen()
    assert len(kept) == PROBLEM_LIMIT + 1
    assert str(kept[-1]) == "and 5 more"
    twice = ProblemList()
    twice.add(FieldProblem((), "x"))
    twice.add(FieldProblem((), "x"))
    assert len(twice.frozen()) == 1
