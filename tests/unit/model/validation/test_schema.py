"""Reading structs, lists and maps: what counts as absent, what is unknown, and what one fault leaves standing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import msgspec
import pytest

from tidegate.model.meta import ApiStruct
from tidegate.model.scalars import ZERO_IS_ABSENT, PortNumber
from tidegate.model.validation.problems import FieldProblem
from tidegate.model.validation.rules import RuleSet
from tidegate.model.validation.schema import node_for
from tidegate.model.validation.walk import UNSOUND, Walk


class Item(ApiStruct, frozen=True, kw_only=True):
    port: PortNumber
    note: str = ""


class Settings(ApiStruct, frozen=True, kw_only=True):
    level: Annotated[PortNumber, ZERO_IS_ABSENT] = 7


class Box(ApiStruct, frozen=True, kw_only=True):
    UNREAD: ClassVar[frozenset[str]] = frozenset({"unread"})
    INTERNAL: ClassVar[frozenset[str]] = frozenset({"secret"})
    EXPERIMENTAL: ClassVar[frozenset[str]] = frozenset({"trial"})

    box_name: str
    items: Annotated[tuple[Item, ...], msgspec.Meta(max_length=4)] = ()
    tags: Annotated[dict[str, str], msgspec.Meta(max_length=2)] = {}
    settings: Settings = Settings()
    words: tuple[str, ...] = ()
    trial: str | None = None
    secret: int = 5


def reading(document: object, rules: RuleSet | None = None, *, experimental: bool = False) -> tuple[Any, Walk]:
    """What the walk makes of a document, and the walk."""
    walk = Walk(rules or RuleSet())
    return node_for(Box, experimental=experimental).read(document, (), walk), walk


def said(walk: Walk) -> list[str]:
    """The problems of a walk as text."""
    return [str(problem) for problem in walk.problems.frozen()]


def test_fields_have_their_names_on_the_wire() -> None:
    """Documents are in camel case, absent and null fields have defaults, our own attributes are not read."""
    box, walk = reading({"boxName": "b", "items": [{"port": 1}], "tags": None, "unread": 1})
    assert box == Box(box_name="b", items=(Item(port=1),))
    assert not walk.problems
    assert not walk.warnings


def test_null_entries_of_a_map_are_absent() -> None:
    """A null value is no entry, nor does it count as one."""
    box, walk = reading({"boxName": "b", "tags": {"a": None, "b": "1", "c": "2"}})
    assert box == Box(box_name="b", tags={"b": "1", "c": "2"})
    assert not walk.problems


def test_unknown_fields_are_warned_of() -> None:
    """What is dropped is said: unknown, internal and experimental fields; those we only do not use are not."""
    box, walk = reading({"boxName": "b", "boxname": "c", "item": [], "secret": 9, "trial": "x", 3: 4})
    assert box == Box(box_name="b")
    assert [str(warning) for warning in walk.warnings.frozen()] == [
        "boxname: unknown field, ignored",
        "item: unknown field, ignored (did you mean items?)",
        "secret: unknown field, ignored",
        "trial: is an experimental field, ignored in this version",
        "['3']: unknown field, ignored",
    ]


def test_a_flood_of_unknown_fields_is_counted() -> None:
    """Beyond the limit unknown fields are only counted, without looking for what was meant."""
    _, walk = reading({"boxName": "b", **{f"item{number}": 1 for number in range(20_000)}})
    warnings = walk.warnings.frozen()
    assert len(warnings) == 101
    assert str(warnings[-1]) == "and 19900 more"


def test_the_experimental_channel_has_more_fields() -> None:
    """In the experimental channel the field is read and checked."""
    box, walk = reading({"boxName": "b", "trial": "x"}, experimental=True)
    assert box == Box(box_name="b", trial="x")
    assert not walk.warnings
    assert said(reading({"boxName": "b", "trial": 1}, experimental=True)[1]) == [
        'trial: 1 is a number: write it in quotes, "1"'
    ]


@pytest.mark.parametrize("zero", [0, "", None, 0.0], ids=["zero", "empty", "null", "float"])
def test_zero_values_count_as_absent_where_declared(zero: object) -> None:
    """For such fields zero asks for the default; false does not."""
    box, walk = reading({"boxName": "b", "settings": {"level": zero}})
    assert box == Box(box_name="b")
    assert not walk.problems
    assert said(reading({"boxName": "b", "settings": {"level": False}})[1]) == [
        "settings.level: must be a whole number, found false"
    ]


@pytest.mark.parametrize(
    ("document", "problems"),
    [
        ([], ["must be a mapping, found a list"]),
        ({}, ["boxName: is required"]),
        ({"boxName": None}, ["boxName: is required"]),
        ({"boxName": "b", "items": {}}, ["items: must be a list, found a mapping"]),
        ({"boxName": "b", "items": [{"port": 1}] * 5}, ["items: must have at most 4 entries, found 5"]),
        ({"boxName": "b", "items": [None, {"port": 0}, {"port": 1}, 7]},
         ["items[0]: must be a mapping, found null", "items[1].port: must be between 1 and 65535, found 0",
          "items[3]: must be a mapping, found 7"]),
        ({"boxName": "b", "tags": ["a"]}, ["tags: must be a mapping, found a list"]),
        ({"boxName": "b", "tags": {"a": None, "b": 1}},
         ['tags.b: 1 is a number: write it in quotes, "1"']),
        ({"boxName": "b", "tags": dict.fromkeys("abc", "")}, ["tags: must have at most 2 entries, found 3"]),
        ({"boxName": "b", "words": ["a", 1, None]},
         ['words[1]: 1 is a number: write it in quotes, "1"', "words[2]: must be text, found null"]),
        ({"boxName": "b", (1, 2): 3}, ["a key must be text, found a list"]),
    ],
)  # fmt: skip
def test_problems(document: object, problems: list[str]) -> None:
    """Every fault is listed, with its path."""
    assert said(reading(document)[1]) == problems


def few(box: Box) -> Iterator[FieldProblem]:
    """A struct rule that points into a list."""
    for index, item in enumerate(box.items):
        if item.note == "bad":
            yield FieldProblem(("items", index, "note"), "is bad")


def distinct(items: list[tuple[int, Item]]) -> Iterator[FieldProblem]:
    """A list rule."""
    seen: set[int] = set()
    for index, item in items:
        if item.port in seen:
            yield FieldProblem((index,), "is there already")
        seen.add(item.port)


RULES = RuleSet(structs={Box: (few,)}, lists={(Box, "items"): (distinct,)})


def test_rules_see_sound_entries_at_their_own_places() -> None:
    """A broken entry hides nothing about the others, and indexes are those of the document."""
    document = {"boxName": "b", "items": [{}, {"port": 1}, {"port": 1, "note": "bad"}]}
    assert said(reading(document, RULES)[1]) == [
        "items[0].port: is required",
        "items[2]: is there already",
        "items[2].note: is bad",
    ]


def test_list_rules_run_beside_broken_fields() -> None:
    """What is wrong in a list is said even when the struct around it is broken."""
    box, walk = reading({"items": [{"port": 1}, {"port": 1}]}, RULES)
    assert box is UNSOUND
    assert said(walk) == ["boxName: is required", "items[1]: is there already"]


def never(_settings: Settings) -> Iterator[FieldProblem]:
    """A rule that objects to everything."""
    yield FieldProblem((), "is never right")


def test_rules_apply_to_structs_that_are_there_by_default() -> None:
    """A default struct obeys the rules like a written one."""
    assert said(reading({"boxName": "b"}, RuleSet(structs={Settings: (never,)}))[1]) == ["settings: is never right"]


class Odd(ApiStruct, frozen=True, kw_only=True):
    value: PortNumber | bool = 1


class Unbounded(ApiStruct, frozen=True, kw_only=True):
    value: int = 1


@pytest.mark.parametrize("cls", [Odd, Unbounded])
def test_types_without_a_reader_are_refused_at_once(cls: type[ApiStruct]) -> None:
    """A class of the model with an unfit annotation fails when it is compiled, not when a document comes."""
    with pytest.raises(TypeError):
        node_for(cls)
