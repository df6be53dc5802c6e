"""Steps touch what differs and nothing else, and lead to what is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from support.plans import Change, forward, pool, remove, socket_key
from support.tables import Planner
from tidegate.dataplanes.nftables import bytecode, ruleset
from tidegate.dataplanes.nftables.image import Image, Steps
from tidegate.dataplanes.nftables.ruleset import NOTHING, Element, Forwarding, Place
from tidegate.names import SocketKey

AWAY, OTHER = ("10.9.9.9", 80), ("10.9.9.8", 80)
SPLIT = pool("a", AWAY) | pool("b", AWAY) | forward(80, ("a", 1), ("b", 1))


class Kernel:
    """What is in force after each step; refuses what the kernel would refuse."""

    def __init__(self) -> None:
        self.elements: dict[Place, Element] = {}
        self.chains: dict[str, tuple[tuple[int, int], ...]] = {}

    def enter(self, steps: Steps) -> None:
        for choice in steps.choices:
            self.chains[choice.chain] = choice.lanes
        for element in steps.replaced:
            del self.elements[element.place]
        for element in (*steps.put, *steps.replaced):
            assert self.elements.setdefault(element.place, element) == element
        for place in steps.ended:
            del self.elements[place]

    def leave(self, steps: Steps) -> None:
        for place in steps.dropped:
            del self.elements[place]
        for chain in steps.unused:
            assert all(one.chain != chain for one in self.elements.values()), "something still leads there"
            del self.chains[chain]


class Writer:
    """Brings forwardings into a kernel by an image, as the keeper does."""

    def __init__(self, image: Image | None = None) -> None:
        self.image = image or Image()
        self.kernel = Kernel()
        self.present: dict[SocketKey, Forwarding] = {}

    def write(self, key: SocketKey, wanted: Forwarding, *, admitted: bool = True) -> Steps:
        before = self.present.get(key, NOTHING).removable
        steps = self.image.steps(before, wanted, admitted=admitted)
        self.kernel.enter(steps)
        self.kernel.leave(steps)
        self.image.claim(wanted)
        self.image.entered(steps)
        self.image.swept(steps)
        self.present[key] = wanted
        return steps


def planned(elements: Mapping[Place, Element]) -> dict[Place, Element]:
    """Without the lanes, which stay for as long as connections are counted by them."""
    return {place: one for place, one in elements.items() if place.map != ruleset.LANES}


CHANGES = st.lists(
    st.one_of(
        st.builds(
            lambda port, shares: forward(port, *shares),
            st.integers(80, 82),
            st.lists(st.tuples(st.sampled_from("ab") | st.none(), st.integers(0, 3)), max_size=3),
        ),
        st.builds(
            lambda name, endpoints: pool(name, *endpoints),
            st.sampled_from("ab"),
            st.lists(st.sampled_from([AWAY, OTHER, ("127.0.0.1", 1)]), max_size=3, unique=True),
        ),
        st.integers(80, 82).map(remove),
    ),
    max_size=10,
)


@given(CHANGES)
def test_steps_lead_to_what_is_wanted(changes: Sequence[Change]) -> None:
    """After any changes the kernel holds exactly what the sockets need, and the next steps are none."""
    planner, writer = Planner(), Writer()
    for change in changes:
        for key, wanted in planner.wanted(change).items():
            writer.write(key, wanted.forwarding, admitted=wanted.admitted)
    needed = [one for one in writer.present.values() if one is not NOTHING]
    assert planned(writer.kernel.elements) == planned(
        {one.place: one for each in needed for one in (*each.elements, each.entry)}
    )
    assert writer.kernel.chains == {one.choice.chain: one.choice.lanes for one in needed if one.choice is not None}
    maps = {place.map for place in writer.kernel.elements}
    assert all(writer.image.is_empty(name) is (name not in maps) for name in (*maps, "sockets4", "endpoints4-2"))
    for key, forwarding in writer.present.items():
        assert writer.write(key, forwarding, admitted=forwarding is not NOTHING) == Steps()


def test_pool_change_leaves_entry_and_choice_alone() -> None:
    """Only rows are exchanged: the new ones come first, the old ones go later."""
    planner, writer, key = Planner(), Writer(), socket_key(80)
    writer.write(key, planner.forwarding(SPLIT))
    steps = writer.write(key, planner.forwarding(pool("a", AWAY, OTHER)))
    assert {one.place.map for one in steps.put} == {"endpoints4-2"}
    assert {one.map for one in steps.dropped} == {"endpoints4-1"}
    assert steps == Steps(put=steps.put, dropped=steps.dropped)
    steps = writer.write(key, planner.forwarding(pool("a", AWAY, ("10.9.9.7", 80))))
    assert len(steps.replaced) == 1
    assert steps == Steps(replaced=steps.replaced)


def test_weight_change_writes_the_choice_alone() -> None:
    """Neither lanes nor rows are touched."""
    planner, writer, key = Planner(), Writer(), socket_key(80)
    writer.write(key, planner.forwarding(SPLIT))
    wanted = planner.forwarding(forward(80, ("a", 2), ("b", 1)))
    assert writer.write(key, wanted) == Steps(choices=(wanted.choice,))


def test_without_its_entry() -> None:
    """A socket that is not admitted has everything but its entry; when it loses it, only that goes."""
    planner, writer, key = Planner(), Writer(), socket_key(80)
    wanted = planner.forwarding(SPLIT)
    writer.write(key, wanted, admitted=False)
    assert not writer.image.has(wanted.entry.place)
    assert writer.write(key, wanted) == Steps(put=(wanted.entry,))
    assert writer.write(key, wanted, admitted=False) == Steps(ended=(wanted.entry.place,))


def test_removal_is_in_two_parts() -> None:
    """The entry goes first; what it led to goes later, but the lanes, by which connections are counted, stay."""
    planner, writer, key = Planner(), Writer(), socket_key(80)
    wanted = planner.forwarding(SPLIT)
    writer.write(key, wanted)
    steps = writer.write(key, NOTHING, admitted=False)
    assert steps.ended == (wanted.entry.place,)
    assert wanted.choice is not None
    assert steps.unused == (wanted.choice.chain,)
    assert {place.map for place in steps.dropped} == {"choices", "endpoints4-1"}
    lanes = [one.place for one in wanted.elements if one.place.map == ruleset.LANES]
    assert all(map(writer.image.has, lanes))
    writer.image.forget(lanes)
    assert not any(map(writer.image.has, lanes))


def test_what_an_earlier_controller_left() -> None:
    """The same plan needs no step; what is in no plan is left over, until it is swept."""
    planner = Planner()
    kept = planner.forwarding(SPLIT)
    gone = planner.forwarding(forward(81, ("a", 1), ("b", 1)))
    assert kept.choice is not None
    assert gone.choice is not None
    elements = [*kept.elements, kept.entry, *gone.elements, gone.entry]
    choices = {one.chain: bytecode.digests(one) for one in (kept.choice, gone.choice)}
    image = Image(elements, choices)
    assert image.steps((), kept, admitted=True) == Steps()
    image.claim(kept)
    left = image.leftovers()
    assert left.ended == (gone.entry.place,)
    assert left.unused == (gone.choice.chain,)
    assert set(left.dropped) == {one.place for one in gone.elements if one.place.map != ruleset.LANES}
    image.entered(Steps(ended=left.ended))
    image.swept(left)
    assert image.leftovers() == Steps()
    assert image.steps((), kept, admitted=True) == Steps()


def test_rules_that_somebody_changed() -> None:
    """A chain with other rules than ours is written again, and so is an element with other content."""
    wanted = Planner().forwarding(SPLIT)
    assert wanted.choice is not None
    changed = Element(wanted.entry.place, b"else")
    image = Image([*wanted.elements, changed], {wanted.choice.chain: [b"", b""]})
    assert image.steps((), wanted, admitted=True) == Steps(choices=(wanted.choice,), replaced=(wanted.entry,))


def test_comments_are_no_difference() -> None:
    """What is only for people is not written again."""
    wanted = Planner().forwarding(forward(80, "a"))
    bare = [Element(one.place, one.data, one.chain, identity=one.identity) for one in wanted.elements]
    assert Image([*bare, wanted.entry]).steps((), wanted, admitted=True) == Steps()


def test_leftovers_but_for_needed_entries() -> None:
    """An entry that is needed stays with its choice, lanes and rows, and nothing else does."""
    planner = Planner()
    kept, gone = planner.forwarding(SPLIT), planner.forwarding(forward(81, ("a", 1), ("b", 1)))
    assert kept.choice is not None
    assert gone.choice is not None
    choices = {one.chain: bytecode.digests(one) for one in (kept.choice, gone.choice)}
    image = Image([*kept.elements, kept.entry, *gone.elements, gone.entry], choices)
    lanes = {mark for mark, _ in kept.choice.lanes}
    assert lanes < image.marks_behind([kept.entry.place])
    steps = image.leftovers([kept.entry.place])
    assert steps.ended == (gone.entry.place,)
    assert set(steps.dropped) == {one.place for one in gone.elements if one.place.map != ruleset.LANES}
    assert steps.unused == (gone.choice.chain,)
    assert image.marks_behind([Place("sockets", b"nothing")]) == frozenset()


def test_what_the_kernel_kept_is_a_leftover() -> None:
    """It is to be removed again, unless a socket wants it by then; a chain's rules are written anew for that."""
    planner, writer, key = Planner(), Writer(), socket_key(80)
    wanted = planner.forwarding(SPLIT)
    writer.write(key, wanted)
    steps = writer.image.steps(wanted.removable, NOTHING, admitted=False)
    kept = {steps.dropped[0], steps.unused[0]}
    writer.image.entered(steps)
    writer.image.swept(steps, kept)
    assert wanted.choice is not None
    again = writer.image.leftovers()
    assert {*again.dropped, *again.unused} == kept
    assert writer.image.steps((), wanted, admitted=True).choices == (wanted.choice,)
    writer.image.claim(wanted)
    assert writer.image.leftovers() == Steps()
    writer.image.swept(again)
    assert not writer.image.has(steps.dropped[0])


def test_whether_there_is_a_first_part() -> None:
    """Removals alone need none, unless entries are among them."""
    place = Place("sockets", b"")
    assert not Steps(dropped=(place,), unused=("choice/x",)).first
    assert Steps(ended=(place,)).first
