"""A mark means one thing for as long as anything may have it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.plans import listener_key, route_key, socket_key
from tidegate.dataplanes.nftables import marks
from tidegate.dataplanes.nftables.marks import ChoiceKey, LaneKey, Marks
from tidegate.dataplanes.traffic import Series
from tidegate.errors import DataPlaneError
from tidegate.names import TargetKey


def lane(name: str = "a", port: int = 80) -> LaneKey:
    series = Series(listener_key("listener"), route_key("route"), name)
    return LaneKey(TargetKey(socket_key(port)), series, "0/0")


def test_a_mark_stays_with_its_owner() -> None:
    """Asked again, a lane has the same mark; lanes and choices of one target have different ones."""
    present = Marks(3)
    first = present.take(lane("a"))
    assert present.take(lane("a")) == first
    others = [present.take(key).number for key in (lane("b"), lane("a", 81), ChoiceKey(TargetKey(socket_key(80))))]
    assert len({first.number, *others}) == 4


@pytest.mark.parametrize("slot", [0, 1, marks.SLOTS - 1])
def test_marks_tell_their_instance(slot: int) -> None:
    """All marks of a slot have its prefix under the mask, and none is the bare prefix."""
    number = Marks(slot).take(lane()).number
    assert number & marks.MASK == marks.prefix(slot) != number
    assert number < 1 << 32


def test_no_number_is_given_while_it_may_be_used() -> None:
    """A retired mark is not given away before it is freed, and its owner gets a new one."""
    present = Marks(0)
    key = lane()
    old = present.take(key).number
    present.retire(key)
    assert present.retired == {old: key.series}
    assert present.take(key).number != old
    present.free(old)
    assert old not in present.retired


def test_retiring_what_has_no_mark() -> None:
    """Nothing happens."""
    present = Marks(0)
    present.retire(lane())
    assert not present.retired


def test_owners_outlive_their_plan() -> None:
    """Retired lanes still own what is counted by their mark, but are planned no more; choices own nothing."""
    present = Marks(0)
    kept, gone, choice = lane("kept"), lane("gone"), ChoiceKey(TargetKey(socket_key(80)))
    numbers = [present.take(key).number for key in (kept, gone, choice)]
    present.retire(gone)
    present.retire(choice)
    assert present.series().owners() == {numbers[0]: kept.series, numbers[1]: gone.series}
    assert present.series().planned() == {kept.series}


def test_adoption() -> None:
    """What an earlier controller named keeps its number; what it left and nobody asks for is retired in the end."""
    former = Marks(5)
    kept, gone = former.take(lane("kept")), former.take(lane("gone"))
    remembered = gone.number + 1
    present = Marks(5)
    present.adopt({kept.identity: kept.number, gone.identity: gone.number}, {remembered})
    fresh = present.take(lane("new")).number
    assert present.take(lane("kept")) == kept
    assert fresh not in {kept.number, gone.number, remembered}
    present.forget_the_rest()
    assert present.retired == {gone.number: None, remembered: None}
    assert present.take(lane("gone")).number != gone.number


def test_needed_marks_wait() -> None:
    """What a later moment may still ask for is not retired, and keeps its number until then."""
    former = Marks(5)
    needed, gone = former.take(lane("needed")), former.take(lane("gone"))
    present = Marks(5)
    present.adopt({one.identity: one.number for one in (needed, gone)}, ())
    present.forget_the_rest({needed.number})
    assert present.retired == {gone.number: None}
    assert present.take(lane("needed")) == needed
    present.forget_the_rest()
    assert present.retired == {gone.number: None}


def test_identity_says_what_a_mark_stands_for() -> None:
    """Each part of a lane matters, and a choice is no lane."""
    target = TargetKey(socket_key(80))
    keys = [
        lane(),
        lane("b"),
        lane("a", 81),
        LaneKey(target, lane().series, "0/1"),
        LaneKey(target, Series(listener_key("listener"), None, "a"), "0/0"),
        ChoiceKey(target),
    ]
    assert len({marks.identity(key) for key in keys}) == len(keys)
    assert marks.identity(lane()) == marks.identity(lane())


def test_when_all_are_used() -> None:
    """There is an error for people; once one is freed, it is given away."""
    present = Marks(1)
    present.adopt({}, range(present.prefix + 1, present.prefix + marks.NUMBERS))
    with pytest.raises(DataPlaneError, match=str(marks.NUMBERS - 1)):
        present.take(lane())
    present.forget_the_rest()
    present.free(present.prefix + 77)
    assert present.take(lane()).number == present.prefix + 77


@given(st.lists(st.tuples(st.sampled_from(["take", "retire", "free"]), st.integers(0, 7)), max_size=60))
def test_numbers_are_never_shared(steps: list[tuple[str, int]]) -> None:
    """Whatever is taken, retired and freed: no number has two meanings."""
    present = Marks(0)
    taken: dict[int, int] = {}
    for what, port in steps:
        if what == "take":
            taken[port] = present.take(lane(port=port)).number
        elif what == "retire":
            present.retire(lane(port=port))
            taken.pop(port, None)
        elif present.retired:
            present.free(min(present.retired))
        assert len(set(taken.values())) == len(taken)
        assert not set(taken.values()) & present.retired.keys()
