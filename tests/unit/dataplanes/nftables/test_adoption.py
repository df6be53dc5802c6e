"""A later controller knows its predecessor's table by what is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.plans import forward, pool
from support.tables import Planner
from tidegate.dataplanes.nftables import bytecode, marks
from tidegate.dataplanes.nftables.adoption import Contents, Origin, adoption, free_slot, origin_of, rung_of
from tidegate.dataplanes.nftables.bytecode import TableFact
from tidegate.dataplanes.nftables.ruleset import Ladder, Rung


def table(comment: str, name: str = "tidegate-a") -> TableFact:
    return TableFact(name=name, handle=1, comment=comment)


@given(st.integers(0, marks.SLOTS - 1), st.text("0123456789abcdef", min_size=8, max_size=8))
def test_origin(slot: int, generation: str) -> None:
    """A table's comment tells slot and generation."""
    origin = Origin(slot, generation)
    assert origin_of(table(origin.comment)) == origin


@pytest.mark.parametrize(
    "comment", ["", "somebody's", "marks 0x60000000/12, counting as ab", "marks 0x70000001/12, counting as ab"]
)
def test_table_that_does_not_say(comment: str) -> None:
    """A table without our comment has no origin."""
    assert origin_of(table(comment)) is None


def test_slots_are_stable_and_apart() -> None:
    """An instance has the same slot each time; where another has it, the next that is free."""
    first = free_slot("a", [])
    assert free_slot("a", [table("somebody's", "other")]) == first
    taken = [table(Origin((first + step) % marks.SLOTS, "0").comment, f"t{step}") for step in range(3)]
    assert free_slot("a", taken) == (first + 3) % marks.SLOTS
    assert free_slot("a", [table(Origin(slot, "0").comment) for slot in range(marks.SLOTS)]) == first


def test_contents() -> None:
    """Elements, choices, marks by identity and rungs are taken over; unknown chains are obsolete."""
    planner = Planner()
    made = planner.forwarding(pool("a", ("10.0.0.1", 1), ("10.0.0.2", 1)) | forward(80, ("a", 70), (None, 30)))
    assert made.choice is not None
    digests = tuple(bytecode.digests(made.choice))
    elements = (*made.elements, made.entry)
    found = adoption(
        Contents(
            sets=frozenset({"sockets", "lanes", *(rung.map for rung in made.rungs)}),
            chains={"find": 3, made.choice.chain: 2, "choice/tcp/any/1": 1, "former": 1},
            elements=elements,
            digests={"find": (b"",), made.choice.chain: digests},
        ),
        ["find"],
    )
    assert found.elements == elements
    assert found.choices == {made.choice.chain: digests, "choice/tcp/any/1": ()}
    assert found.rungs == set(made.rungs)
    assert found.obsolete == ("former",)
    assert found.numbers == set(found.known.values())
    successor = Planner()
    successor.marks.adopt(found.known, found.numbers)
    assert (
        successor.forwarding(pool("a", ("10.0.0.1", 1), ("10.0.0.2", 1)) | forward(80, ("a", 70), (None, 30))) == made
    )


def test_mark_without_identity() -> None:
    """Its number is used, but nobody knows for what."""
    lane = Planner().forwarding(forward(80, "a")).elements[0]
    bare = bytecode.as_element("lanes", bytecode.Kept(lane.place.key, b"", "", b""))
    found = adoption(Contents(sets=frozenset(), chains={}, elements=(bare,), digests={}), [])
    assert found.known == {}
    assert len(found.numbers) == 1


@given(st.sampled_from(Ladder), st.sampled_from([4, 6]), st.integers(1, 100_000))
def test_rung(ladder: Ladder, version: int, size: int) -> None:
    """A rung is known by the name of its map."""
    rung = Rung(ladder.value, version, size)
    assert rung_of(rung.map) == rung


@pytest.mark.parametrize(
    "name", ["sockets4", "endpoints4", "endpoints4-0", "endpoints5-1", "here4-1x", "xhere4-1", "__map0"]
)
def test_no_rung(name: str) -> None:
    """Other sets are none."""
    assert rung_of(name) is None
