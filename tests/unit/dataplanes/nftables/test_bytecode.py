"""What is written for the kernel says what is meant, and is read back as the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.dataplanes.nftables import bytecode, wire
from tidegate.dataplanes.nftables.bytecode import Kept
from tidegate.dataplanes.nftables.ruleset import Choice, Element, Place
from tidegate.dataplanes.nftables.wire import Message, Request

BYTES = st.binary(min_size=1, max_size=40)
ELEMENTS = st.builds(
    Element,
    st.builds(Place, st.just("some"), BYTES),
    data=BYTES | st.just(b""),
    comment=st.text("abc ", max_size=120),
    identity=st.binary(max_size=12),
) | st.builds(
    Element, st.builds(Place, st.just("some"), BYTES), chain=st.text("abc/", min_size=1, max_size=60), identity=BYTES
)
LANES = st.lists(st.tuples(st.integers(1, 0xFFFFFFFF), st.integers(1, 1_000_000)), min_size=2, max_size=16)


def received(requests: Sequence[Request]) -> list[Message]:
    """Requests as the kernel receives them."""
    data = b"".join(wire.packed(request, number) for number, request in enumerate(requests))
    return list(wire.messages_of(data))


def kind(request: Request) -> int:
    return request.kind & 0xFF


@given(st.lists(ELEMENTS, max_size=5))
def test_elements_come_back(elements: list[Element]) -> None:
    """Key, data or chain, and identity of each element are what was put; the comment is for people."""
    messages = received(bytecode.put_elements("table", "some", elements))
    kept = [one for message in messages for one in bytecode.kept_of(message)]
    assert [bytecode.as_element("some", one) for one in kept] == [
        Element(one.place, one.data, one.chain, identity=one.identity) for one in elements
    ]


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (200, [200]), (401, [200, 200, 1])])
def test_many_elements_are_several_messages(count: int, sizes: list[int]) -> None:
    """An attribute holds 64 KiB at most, so neither adding nor removing puts more than 200 into one."""
    elements = [Element(Place("some", number.to_bytes(36)), bytes(20), comment="x" * 120) for number in range(count)]
    put = bytecode.put_elements("table", "some", elements)
    drop = bytecode.drop_elements("table", "some", [one.place.key for one in elements])
    for requests in (put, drop):
        assert [len(list(bytecode.kept_of(message))) for message in received(requests)] == sizes
        assert all(len(request.body) < 0xFFFF for request in requests)


def rules(choice: Choice) -> Iterator[tuple[Fraction, int]]:
    """The chance and the mark of each rule of a choice's chain, read from the expressions."""
    for message in received(bytecode.write_choice("table", choice))[2:]:
        chance, modulus, mark = Fraction(1), 0, 0
        for expression in wire.members_of(message.attributes[4]):
            found = wire.attributes_of(expression)
            data = wire.attributes_of(found[2])
            match wire.text_of(found[1]):
                case "numgen":
                    modulus = wire.number_of(data[2])
                case "cmp":
                    chance = Fraction(wire.number_of(wire.attributes_of(data[3])[1]), modulus)
                case "bitwise":
                    assert wire.attributes_of(data[4])[1] == bytes(4)
                    mark = int.from_bytes(wire.attributes_of(data[5])[1], sys.byteorder)
        yield chance, mark


@given(LANES)
def test_chances_are_exact(lanes: list[tuple[int, int]]) -> None:
    """Whoever takes the place last has it: each lane's probability is its weight among all weights, exactly."""
    found = list(rules(Choice("choice/x", tuple(lanes))))
    assert [mark for _, mark in found] == [mark for mark, _ in lanes]
    remaining = Fraction(1)
    for (_, weight), (chance, _) in reversed(list(zip(lanes, found, strict=True))):
        assert remaining * chance == Fraction(weight, sum(each for _, each in lanes))
        remaining *= 1 - chance
    assert remaining == 0


def test_choice_replaces_its_rules() -> None:
    """The chain is made unless it is there, emptied, and filled in order."""
    assert [kind(one) for one in bytecode.write_choice("table", Choice("choice/x", ((1, 1), (2, 1))))] == [3, 8, 6, 6]
    assert [kind(one) for one in bytecode.remove_choice("table", "choice/x")] == [8, 5]


@given(LANES)
def test_digests_are_kept_beside_the_rules(lanes: list[tuple[int, int]]) -> None:
    """What is read back of each rule is the digest of its place in this choice."""
    choice = Choice("choice/x", tuple(lanes))
    found = [bytecode.rule_of(one) for one in received(bytecode.write_choice("table", choice))[2:]]
    assert [(one.chain, one.digest) for one in found] == [("choice/x", digest) for digest in bytecode.digests(choice)]
    assert len(set(bytecode.digests(choice))) == len(lanes)


def test_digests_tell_choices_apart() -> None:
    """Another chain, mark, weight or order has other digests."""
    lanes = ((1, 1), (2, 3))
    choices = [
        Choice("a", lanes), Choice("b", lanes), Choice("a", ((1, 1), (2, 4))), Choice("a", ((1, 1), (3, 3))),
        Choice("a", lanes[::-1]),
    ]  # fmt: skip
    assert len({digest for choice in choices for digest in bytecode.digests(choice)}) == 10


def test_rule_of_somebody_else() -> None:
    """It has no digest, but perhaps a comment."""
    body = wire.text(1, "table") + wire.text(2, "find")
    comment = wire.attribute(7, bytes((0, 4)) + b"why\0")
    for more, beside in ((b"", b""), (comment, b"why")):
        (message,) = received([Request(kind=6, family=1, body=body + more)])
        assert bytecode.rule_of(message) == bytecode.RuleMark("find", beside)


def test_element_of_a_set_has_only_a_key() -> None:
    """Neither data nor chain nor identity."""
    (message,) = received(bytecode.put_elements("table", "some", [Element(Place("some", b"key!"))]))
    assert list(bytecode.kept_of(message)) == [Kept(b"key!", b"", "", b"")]
