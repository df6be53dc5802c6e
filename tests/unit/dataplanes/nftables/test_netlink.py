"""Requests, dumps and transactions with the kernel of a host of the test's own."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

import pytest

from support.netns import Host, needs_hosts
from support.tables import TABLE, alone
from tidegate.dataplanes.nftables import bytecode, marks, structure, wire
from tidegate.dataplanes.nftables.netlink import DumpInterruptedError, Netlink
from tidegate.dataplanes.nftables.nft import Nft
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.ruleset import Element, Place
from tidegate.dataplanes.nftables.wire import Request
from tidegate.errors import DataPlaneError

pytestmark = needs_hosts()

NAME = str(TABLE)


@pytest.fixture(autouse=True)
def host() -> Iterator[Host]:
    """Where the test is, with a table."""
    with alone() as present:
        Nft().run(structure.table(TABLE, "a comment", marks.prefix(0), NftablesOptions()))
        yield present


@pytest.fixture
def netlink(host: Host) -> Iterator[Netlink]:
    """A socket to its kernel."""
    present = Netlink()
    yield present
    present.close()


def lane(number: int) -> Element:
    return Element(Place("lanes", struct.pack("=I", number)))


def lanes(netlink: Netlink) -> int:
    return sum(len(list(bytecode.kept_of(one))) for one in netlink.dump(bytecode.get_elements(NAME, "lanes")))


def test_question_with_one_answer(netlink: Netlink) -> None:
    """The answer to each question is its own, whatever else is still to be read."""
    for _ in range(3):
        assert bytecode.table_of(netlink.get(bytecode.get_table(NAME))).name == NAME
        assert bytecode.generation_of(netlink.get(bytecode.get_generation())) > 0
    assert len(netlink.dump(bytecode.get_tables())) == 1


def test_what_does_not_exist(netlink: Netlink) -> None:
    """Asking for it says so."""
    with pytest.raises(FileNotFoundError):
        netlink.get(bytecode.get_table("missing"))
    with pytest.raises(FileNotFoundError):
        netlink.dump(bytecode.get_elements("missing", "lanes"))


def test_question_that_makes_no_sense(netlink: Netlink) -> None:
    """The kernel's refusal is an error for people."""
    with pytest.raises(DataPlaneError, match="the kernel refuses: "):
        netlink.get(Request(kind=10 << 8 | 99, family=1))


def test_transaction(netlink: Netlink) -> None:
    """What is sent is in force when the call returns; nothing to send is nothing."""
    before = bytecode.generation_of(netlink.get(bytecode.get_generation()))
    assert netlink.batch([]) == {}
    assert netlink.batch(bytecode.put_elements(NAME, "lanes", [lane(1), lane(2)])) == {}
    assert lanes(netlink) == 2
    assert bytecode.generation_of(netlink.get(bytecode.get_generation())) == before + 1


def test_refused_transaction(netlink: Netlink) -> None:
    """Nothing of it is in force; each request at fault is named by its position."""
    good = bytecode.put_elements(NAME, "lanes", [lane(1)])
    missing = bytecode.put_elements(NAME, "missing", [lane(2)])
    too_long = bytecode.put_elements(NAME, "lanes", [Element(Place("lanes", bytes(8)))])
    assert netlink.batch(good + missing + good + too_long) == {1: errno.ENOENT, 3: errno.EINVAL}
    assert lanes(netlink) == 0
    assert netlink.batch(good) == {}
    assert lanes(netlink) == 1


def test_transaction_larger_than_any_buffer(netlink: Netlink) -> None:
    """A hundred thousand elements are one transaction, and are read back in one piece."""
    assert netlink.batch(bytecode.put_elements(NAME, "lanes", [lane(number) for number in range(100_000)])) == {}
    assert lanes(netlink) == 100_000


def test_many_refusals(netlink: Netlink) -> None:
    """More refusals than fit where the kernel puts them: those that were kept are told, and the next call works."""
    wrong = [one for number in range(20_000) for one in bytecode.put_elements(NAME, "missing", [lane(number)])]
    refused = netlink.batch(wrong)
    assert refused
    assert set(refused.values()) == {errno.ENOENT}
    assert netlink.batch(bytecode.put_elements(NAME, "lanes", [lane(1)])) == {}


def test_numbers_begin_anew(netlink: Netlink) -> None:
    """After four thousand million messages the next ones are answered as all others."""
    for used in range(0xFFFFFFF8, 0x100000000):
        netlink._sequence = used
        assert bytecode.generation_of(netlink.get(bytecode.get_generation())) > 0
        netlink._sequence = used
        assert netlink.batch(bytecode.put_elements(NAME, "lanes", [lane(used)])) == {}
        netlink._sequence = used
        assert lanes(netlink) > 0
        netlink._sequence = used
        assert list(netlink.datagrams(bytecode.get_tables()))


def test_interrupted_list(netlink: Netlink, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that changed while it was read is asked for again, or refused at its end; the next one is read."""
    receive, interrupted = netlink._receive, 1

    def marked() -> bytes:
        nonlocal interrupted
        data = bytearray(receive())
        if interrupted:
            interrupted -= 1
            (flags,) = struct.unpack_from("=H", data, 6)
            struct.pack_into("=H", data, 6, flags | wire.FLAG_DUMP_INTERRUPTED)
        return bytes(data)

    monkeypatch.setattr(netlink, "_receive", marked)
    assert len(netlink.dump(bytecode.get_tables())) == 1
    interrupted = 1
    with pytest.raises(DumpInterruptedError):
        list(netlink.datagrams(bytecode.get_tables()))
    assert list(netlink.datagrams(bytecode.get_tables()))


def test_belongs_to_the_host_where_it_was_made(netlink: Netlink) -> None:
    """It goes on to speak to that kernel's table from wherever it is used."""
    with Host("other") as other, other.entered():
        assert bytecode.table_of(netlink.get(bytecode.get_table(NAME))).comment == "a comment"
