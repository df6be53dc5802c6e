"""Elements have the bytes that the kernel's registers hold."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.plans import socket_key
from tidegate.dataplanes.nftables import ruleset
from tidegate.dataplanes.nftables.marks import Mark
from tidegate.dataplanes.nftables.reach import Family, HostFacts, locate
from tidegate.dataplanes.nftables.ruleset import Ladder, Place, Rung
from tidegate.plan.types import Endpoint

MARK = 0x70000001
MARK_BYTES = MARK.to_bytes(4, sys.byteorder)


@pytest.mark.parametrize(
    ("address", "name", "packed"),
    [
        ("*", "sockets", b""),
        ("10.0.0.1", "sockets4", bytes([10, 0, 0, 1])),
        ("2001:db8::1", "sockets6", bytes.fromhex("20010db8" + "0" * 23 + "1")),
    ],
)
def test_entry(address: str, name: str, packed: bytes) -> None:
    """An address in front of protocol and port, each filled up to four bytes; a wildcard socket has none."""
    entry = ruleset.entry(socket_key(8080, address), MARK)
    assert entry.place == Place(name, packed + bytes([6, 0, 0, 0, 0x1F, 0x90, 0, 0]))
    assert entry.data == MARK_BYTES
    assert ruleset.port_of(entry.place) == 8080
    assert ruleset.protocol_and_port_of(entry.place) == entry.place.key[len(packed) :]


def test_marked_elements() -> None:
    """A lane and a choice lie under their mark, with its identity; the choice leads to its chain."""
    mark = Mark(MARK, b"identity")
    lane, choice = ruleset.lane(mark, "of a"), ruleset.choice(mark, "choice/tcp/any/80", "of b")
    assert (lane.place, lane.identity, lane.comment) == (Place("lanes", MARK_BYTES), b"identity", "of a")
    assert (choice.place, choice.identity, choice.chain) == (
        Place("choices", MARK_BYTES),
        b"identity",
        "choice/tcp/any/80",
    )


def test_rows_are_numbered_from_zero() -> None:
    """A pool of two puts the numbers 0 and 1 on a rung for two, each with an address and a port."""
    located = [locate(Endpoint(f"10.0.0.{host}", 80), HostFacts()) for host in (1, 2)]
    offered = ruleset.offer(Ladder.HERE, Family.IPV4, located)
    assert offered.rung == Rung("here", 4, 2)
    assert offered.map == "here4-2"
    assert [(one.place, one.data) for one in ruleset.rows(MARK, offered)] == [
        (Place("here4-2", MARK_BYTES + ruleset.mark_bytes(0)), bytes([10, 0, 0, 1, 0, 80, 0, 0])),
        (Place("here4-2", MARK_BYTES + ruleset.mark_bytes(1)), bytes([10, 0, 0, 2, 0, 80, 0, 0])),
    ]


@pytest.mark.parametrize(
    ("family", "name", "address"), [(Family.IPV4, "hairpins4", bytes(4)), (Family.IPV6, "hairpins6", bytes(16))]
)
def test_hairpin(family: Family, name: str, address: bytes) -> None:
    """The same address as client and as backend."""
    assert ruleset.hairpin(MARK, family, address).place == Place(name, MARK_BYTES + address + address)


@given(st.integers(0, 0xFFFFFFFF), st.binary(max_size=8))
def test_mark_of_a_key(mark: int, rest: bytes) -> None:
    """A key tells the mark that it begins with."""
    assert ruleset.mark_of(ruleset.mark_bytes(mark) + rest) == mark


def test_choice_chains() -> None:
    """Names tell sockets apart, and hold nothing that means something to nft."""
    keys = [socket_key(80, address) for address in ("*", "10.0.0.1", "::1", "::11")] + [socket_key(81, "*")]
    names = [ruleset.choice_chain(key) for key in keys]
    assert names[0] == "choice/tcp/any/80"
    assert len(set(names)) == len(names)
    assert not any(":" in name or "*" in name for name in names)
