"""Netlink's bytes: what is packed is taken apart again."""

from __future__ import annotations

import errno
import struct

from hypothesis import given
from hypothesis import strategies as st

from tidegate.dataplanes.nftables import wire
from tidegate.dataplanes.nftables.wire import Message, Request

KINDS = st.integers(1, 0x3FFF)
ATTRIBUTES = st.lists(st.tuples(KINDS, st.binary(max_size=40)), max_size=6)


@given(ATTRIBUTES)
def test_attributes(parts: list[tuple[int, bytes]]) -> None:
    """Attributes of any length come back in order, and each begins at a multiple of four bytes."""
    packed = [wire.attribute(kind, content) for kind, content in parts]
    assert all(len(one) % 4 == 0 for one in packed)
    data = b"".join(packed)
    assert wire.members_of(data) == [content for _, content in parts]
    assert [(kind, data[start:end]) for kind, start, end in wire.positions_of(data, 0, len(data))] == parts
    assert wire.attributes_of(b"".join(packed)) == dict(parts)


@given(KINDS, ATTRIBUTES)
def test_nested(kind: int, parts: list[tuple[int, bytes]]) -> None:
    """A nested attribute says so, and holds its own."""
    packed = wire.nested(kind, *(wire.attribute(*part) for part in parts))
    assert struct.unpack_from("=HH", packed)[1] == kind | wire.NESTED
    ((found, content),) = wire.attributes_of(packed).items()
    assert found == kind
    assert wire.members_of(content) == [one for _, one in parts]


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.integers(-(1 << 31), (1 << 32) - 1)
)
def test_text_and_numbers(text: str, number: int) -> None:
    """Strings end at their zero, numbers are in network byte order, negative ones as their complement."""
    found = wire.attributes_of(wire.text(1, text) + wire.number(2, number))
    assert wire.text_of(found[1]) == text
    assert wire.number_of(found[2]) == number % (1 << 32)


def test_numbers_of_any_width() -> None:
    """The kernel writes 16, 32 and 64 bits; an absent attribute is none."""
    assert [wire.number_of(bytes.fromhex(text)) for text in ("0102", "00000003", "0000000000000004", "")] == [
        258,
        3,
        4,
        0,
    ]


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), ATTRIBUTES), max_size=5))
def test_messages(sent: list[tuple[int, int, list[tuple[int, bytes]]]]) -> None:
    """Several messages in a datagram come back with kind, sequence, flags and attributes."""
    data = b"".join(
        wire.packed(
            Request(
                kind=kind, flags=wire.FLAG_CREATE, family=1, body=b"".join(wire.attribute(*part) for part in parts)
            ),
            sequence,
            more_flags=wire.FLAG_ACK,
        )
        for kind, sequence, parts in sent
    )
    found = list(wire.messages_of(data))
    assert [(one.kind, one.sequence, dict(one.attributes)) for one in found] == [
        (kind, sequence, dict(parts)) for kind, sequence, parts in sent
    ]
    assert {one.flags for one in found} <= {wire.FLAG_CREATE | wire.FLAG_ACK | wire.FLAG_REQUEST}


def test_family_and_resource() -> None:
    """They are what follows the header, the resource in network byte order."""
    (message,) = wire.messages_of(wire.packed(Request(kind=0x10, family=0, resource=10), 1))
    assert message.payload == bytes([0, 0, 0, 10])


def test_errors() -> None:
    """The kernel tells error numbers as negative ones; zero is an acknowledgement."""
    refusal, acknowledgement = (
        Message(kind=wire.KIND_ERROR, flags=0, sequence=1, payload=struct.pack("=i", -number) + b"request")
        for number in (errno.ENOENT, 0)
    )
    assert (refusal.error, acknowledgement.error) == (errno.ENOENT, 0)
