"""The messages of nf_tables that change often, written and read without the help of ``nft``. Pure.

In: elements and choices. Out: requests, whose cost does not depend on what else the table holds; and from the kernel's
answers, elements, rules and counters. Starting ``nft`` alone takes longer than a change may (docs/decisions/0004); so
it writes only what is written once, the structure.

Layouts and numbers: ``linux/netfilter/nf_tables.h``; Python names none of them. What ``nft`` keeps in user data
(types and comments) is laid out as in libnftnl.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

import msgspec

from tidegate.dataplanes.nftables import wire
from tidegate.dataplanes.nftables.ruleset import Choice, Element, Place, mark_bytes, mark_of
from tidegate.dataplanes.nftables.wire import Message, Request, attribute, nested, number, text

_SUBSYSTEM = 10 << 8
_INET = 1

_GET_TABLE, _DELETE_TABLE = 1, 2
_NEW_CHAIN, _GET_CHAIN, _DELETE_CHAIN = 3, 4, 5
_NEW_RULE, _GET_RULE, _DELETE_RULE = 6, 7, 8
_GET_SET = 10
_NEW_ELEMENT, _GET_ELEMENT, _DELETE_ELEMENT = 12, 13, 14
_GET_GENERATION = 16

_TABLE_NAME, _TABLE_HANDLE, _TABLE_USERDATA = 1, 4, 6
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_USE = 1, 3, 6
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS, _RULE_USERDATA = 1, 2, 4, 7
_SET_TABLE, _SET_NAME = 1, 2
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_ELEMENT_KEY, _ELEMENT_DATA, _ELEMENT_USERDATA, _ELEMENT_EXPRESSION = 1, 2, 6, 7
_GENERATION_ID = 1

_MEMBER = 1
_DATA_VALUE, _DATA_VERDICT = 1, 2
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
_JUMP = -3

_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2
_REGISTER = 8
_CT_MARK = 3
_LESS_THAN = 2
_HOST_TO_NETWORK = 1
_RANDOM = 1

_COMMENT, _IDENTITY = 0, 0x80
"""Parts of user data: nft's comment, and one of ours, which nft passes over."""

_ELEMENTS_PER_MESSAGE = 200
_DIGEST_BYTES = 12


class Counted(msgspec.Struct, frozen=True):
    """What an element counted."""

    key: bytes
    packets: int
    bytes: int


class Kept(msgspec.Struct, frozen=True):
    """An element as the kernel has it; ``identity`` empty when there is none beside it."""

    key: bytes
    data: bytes
    chain: str
    identity: bytes


class RuleMark(msgspec.Struct, frozen=True):
    """A rule as the kernel has it: where, and what was written beside it to know it again: a digest of ours, or a
    comment by ``nft``; empty when there is neither.
    """

    chain: str
    digest: bytes


class TableFact(msgspec.Struct, frozen=True):
    """A table of the family inet as the kernel has it."""

    name: str
    handle: int
    comment: str


# Changes.


def put_elements(table: str, name: str, elements: Sequence[Element]) -> list[Request]:
    """Add elements to a set or map. One that is there with the same content may be added again."""
    return [
        _change(
            _NEW_ELEMENT,
            wire.FLAG_CREATE,
            text(_LIST_TABLE, table),
            text(_LIST_SET, name),
            nested(_LIST_ELEMENTS, *map(_element, elements[start : start + _ELEMENTS_PER_MESSAGE])),
        )
        for start in range(0, len(elements), _ELEMENTS_PER_MESSAGE)
    ]


def drop_elements(table: str, name: str, keys: Sequence[bytes]) -> list[Request]:
    """Remove elements that are there."""
    return [
        _change(
            _DELETE_ELEMENT,
            0,
            text(_LIST_TABLE, table),
            text(_LIST_SET, name),
            nested(
                _LIST_ELEMENTS,
                *(nested(_MEMBER, _value(_ELEMENT_KEY, key)) for key in keys[start : start + _ELEMENTS_PER_MESSAGE]),
            ),
        )
        for start in range(0, len(keys), _ELEMENTS_PER_MESSAGE)
    ]


def empty_set(table: str, name: str) -> Request:
    """Remove all elements of a set or map."""
    return _change(_DELETE_ELEMENT, 0, text(_LIST_TABLE, table), text(_LIST_SET, name))


def write_choice(table: str, choice: Choice) -> list[Request]:
    """Make the chain of a choice, or replace all of its rules.

    The first lane is taken, and each further one takes its place with the chance of its weight among the weights so
    far. So the probabilities are exact, whatever the number of lanes. The constants come out of a bitwise operation,
    because a rule that holds an immediate value would have the kernel check all chains of the table again.
    """
    requests = [
        _change(_NEW_CHAIN, wire.FLAG_CREATE, text(_CHAIN_TABLE, table), text(_CHAIN_NAME, choice.chain)),
        _change(_DELETE_RULE, 0, text(_RULE_TABLE, table), text(_RULE_CHAIN, choice.chain)),
    ]
    total = 0
    for (mark, weight), digest in zip(choice.lanes, digests(choice), strict=True):
        total += weight
        chance = _chance(weight, total) if weight < total else b""
        requests.append(
            _change(
                _NEW_RULE,
                wire.FLAG_CREATE | wire.FLAG_APPEND,
                text(_RULE_TABLE, table),
                text(_RULE_CHAIN, choice.chain),
                nested(_RULE_EXPRESSIONS, chance, _set_mark(mark)),
                attribute(_RULE_USERDATA, _user_data((_IDENTITY, digest))),
            )
        )
    return requests


def remove_choice(table: str, chain: str) -> list[Request]:
    """Remove the chain of a choice, to which nothing leads any more."""
    return [
        _change(_DELETE_RULE, 0, text(_RULE_TABLE, table), text(_RULE_CHAIN, chain)),
        _change(_DELETE_CHAIN, 0, text(_CHAIN_TABLE, table), text(_CHAIN_NAME, chain)),
    ]


def delete_table(table: str) -> Request:
    """Remove a table with all that it holds."""
    return _change(_DELETE_TABLE, 0, text(_TABLE_NAME, table))


def digests(choice: Choice) -> list[bytes]:
    """What is written beside each rule of a choice, to tell later whether it is still the same, and its lane."""
    return [
        hashlib.sha256(msgspec.json.encode((position, choice))).digest()[:_DIGEST_BYTES] + mark_bytes(mark)
        for position, (mark, _) in enumerate(choice.lanes)
    ]


def lanes_of(written: Iterable[bytes]) -> set[int]:
    """The lanes that a choice draws, by what is written beside its rules."""
    return {mark_of(digest[_DIGEST_BYTES:]) for digest in written if len(digest) > _DIGEST_BYTES}


# Questions, and what the answers say.


def get_tables() -> Request:
    """Ask for all tables of the family inet, which is what ``table_of`` reads."""
    return _change(_GET_TABLE, 0)


def get_table(table: str) -> Request:
    """Ask for one table."""
    return _change(_GET_TABLE, 0, text(_TABLE_NAME, table))


def get_chains(table: str) -> Request:
    """Ask for the chains, which is what ``chain_of`` reads. The kernel answers for all tables."""
    return _change(_GET_CHAIN, 0, text(_CHAIN_TABLE, table))


def get_rules(table: str) -> Request:
    """Ask for the rules of a table, which is what ``rule_of`` reads."""
    return _change(_GET_RULE, 0, text(_RULE_TABLE, table))


def get_sets(table: str) -> Request:
    """Ask for the sets and maps of a table, which is what ``set_of`` reads."""
    return _change(_GET_SET, 0, text(_SET_TABLE, table))


def get_elements(table: str, name: str) -> Request:
    """Ask for the elements of a set or map, which is what ``kept_of`` and ``counted_of`` read."""
    return _change(_GET_ELEMENT, 0, text(_LIST_TABLE, table), text(_LIST_SET, name))


def get_generation() -> Request:
    """Ask for the number that grows with every change of any table."""
    return _change(_GET_GENERATION, 0)


def table_of(message: Message) -> TableFact:
    """A table of an answer."""
    found = message.attributes
    comment = _parts(found.get(_TABLE_USERDATA, b"")).get(_COMMENT, b"")
    return TableFact(
        wire.text_of(found[_TABLE_NAME]), wire.number_of(found[_TABLE_HANDLE]), comment.rstrip(b"\0").decode()
    )


def chain_of(message: Message) -> tuple[str, str, int]:
    """A chain of an answer: its table, its name, and how many rules it holds and lead to it."""
    found = message.attributes
    return wire.text_of(found[_CHAIN_TABLE]), wire.text_of(found[_CHAIN_NAME]), wire.number_of(found[_CHAIN_USE])


def rule_of(message: Message) -> RuleMark:
    """A rule of an answer."""
    found = message.attributes
    beside = _parts(found.get(_RULE_USERDATA, b""))
    comment = beside.get(_COMMENT, b"").rstrip(b"\0")
    return RuleMark(wire.text_of(found[_RULE_CHAIN]), beside.get(_IDENTITY, comment))


def set_of(message: Message) -> str:
    """The name of a set or map of an answer."""
    return wire.text_of(message.attributes[_SET_NAME])


def generation_of(message: Message) -> int:
    """The generation of an answer."""
    return wire.number_of(message.attributes[_GENERATION_ID])


def kept_of(message: Message) -> Iterable[Kept]:
    """The elements of one message of an answer."""
    for member in wire.members_of(message.attributes.get(_LIST_ELEMENTS, b"")):
        found = wire.attributes_of(member)
        data = wire.attributes_of(found.get(_ELEMENT_DATA, b""))
        verdict = wire.attributes_of(data.get(_DATA_VERDICT, b""))
        yield Kept(
            key=wire.attributes_of(found[_ELEMENT_KEY])[_DATA_VALUE],
            data=data.get(_DATA_VALUE, b""),
            chain=wire.text_of(verdict[_VERDICT_CHAIN]) if _VERDICT_CHAIN in verdict else "",
            identity=_parts(found.get(_ELEMENT_USERDATA, b"")).get(_IDENTITY, b""),
        )


def counted_of(message: Message) -> Iterable[Counted]:
    """What the elements of one message of an answer counted."""
    for member in wire.members_of(message.attributes.get(_LIST_ELEMENTS, b"")):
        found = wire.attributes_of(member)
        counter = wire.attributes_of(wire.attributes_of(found[_ELEMENT_EXPRESSION])[_EXPRESSION_DATA])
        yield Counted(
            key=wire.attributes_of(found[_ELEMENT_KEY])[_DATA_VALUE],
            packets=wire.number_of(counter[_COUNTER_PACKETS]),
            bytes=wire.number_of(counter[_COUNTER_BYTES]),
        )


def as_element(name: str, kept: Kept) -> Element:
    """An element as it would have been put, its comment left out."""
    return Element(Place(name, kept.key), kept.data, kept.chain, identity=kept.identity)


def _change(kind: int, flags: int, *attributes: bytes) -> Request:
    return Request(kind=_SUBSYSTEM | kind, flags=flags, family=_INET, body=b"".join(attributes))


def _element(element: Element) -> bytes:
    parts = [_value(_ELEMENT_KEY, element.place.key)]
    if element.chain:
        verdict = nested(_DATA_VERDICT, number(_VERDICT_CODE, _JUMP), text(_VERDICT_CHAIN, element.chain))
        parts.append(nested(_ELEMENT_DATA, verdict))
    elif element.data:
        parts.append(_value(_ELEMENT_DATA, element.data))
    if element.comment or element.identity:
        comment = element.comment.encode() + b"\0"
        parts.append(attribute(_ELEMENT_USERDATA, _user_data((_COMMENT, comment), (_IDENTITY, element.identity))))
    return nested(_MEMBER, *parts)


def _value(kind: int, content: bytes) -> bytes:
    return nested(kind, attribute(_DATA_VALUE, content))


def _user_data(*parts: tuple[int, bytes]) -> bytes:
    return b"".join(bytes((kind, len(content))) + content for kind, content in parts if content)


def _parts(user_data: bytes) -> dict[int, bytes]:
    found, offset = {}, 0
    while offset + 2 <= len(user_data):
        kind, length = user_data[offset], user_data[offset + 1]
        found[kind] = user_data[offset + 2 : offset + 2 + length]
        offset += 2 + length
    return found


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(_MEMBER, text(_EXPRESSION_NAME, name), nested(_EXPRESSION_DATA, *attributes))


def _chance(weight: int, total: int) -> bytes:
    """``numgen random mod total < weight``: the rule goes on in that share of all cases."""
    return (
        _expression("numgen", number(1, _REGISTER), number(2, total), number(3, _RANDOM), number(4, 0))
        + _expression(
            "byteorder",
            number(1, _REGISTER),
            number(2, _REGISTER),
            number(3, _HOST_TO_NETWORK),
            number(4, 4),
            number(5, 4),
        )
        + _expression("cmp", number(1, _REGISTER), number(2, _LESS_THAN), _value(3, struct.pack(">I", weight)))
    )


def _set_mark(mark: int) -> bytes:
    """``ct mark set mark``, as ``ct mark & 0 ^ mark``."""
    return (
        _expression("ct", number(1, _REGISTER), number(2, _CT_MARK))
        + _expression(
            "bitwise",
            number(1, _REGISTER),
            number(2, _REGISTER),
            number(3, 4),
            _value(4, bytes(4)),
            _value(5, mark_bytes(mark)),
        )
        + _expression("ct", number(2, _CT_MARK), number(4, _REGISTER))
    )
