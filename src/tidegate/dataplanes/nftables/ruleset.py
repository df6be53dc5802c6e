"""The vocabulary of what changes in the kernel's table: elements of sets and maps, and choices. Pure.

Everything that the plan decides is an *element*, because the kernel adds and removes one in microseconds, however
many there are. Only a target with several lanes has something of its own, a chain: its *choice*. What the maps mean
to a connection is drawn in ``structure``.
"""

from __future__ import annotations

import enum
import ipaddress
import struct
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from tidegate.dataplanes.nftables.marks import Mark
from tidegate.dataplanes.nftables.reach import Family, Located
from tidegate.names import WILDCARD_ADDRESS, SocketKey

SOCKETS, SOCKETS_4, SOCKETS_6 = "sockets", "sockets4", "sockets6"
CHOICES, LANES = "choices", "lanes"
OPENED, REFUSED, TRAFFIC = "opened", "refused", "traffic"
HAIRPINS_4, HAIRPINS_6 = "hairpins4", "hairpins6"

CHOICE = "choice/"
"""What the names of the chains begin with that draw lanes."""

ENTRY_MAPS = (SOCKETS, SOCKETS_4, SOCKETS_6)
"""Where connections enter: without elements here, none is translated."""

_PROTOCOLS = {"TCP": 6, "UDP": 17}
_MARK = struct.Struct("=I")
# Each part of a concatenation begins at a multiple of four bytes.
_PROTOCOL_PORT = struct.Struct(">BxxxHxx")
_PORT = struct.Struct(">Hxx")


class Ladder(enum.Enum):
    """Rows of endpoints that are tried one after the other, by who may use them."""

    EVERYBODY = "endpoints"
    HERE = "here"
    LOOPBACK = "loopback"


class Rung(msgspec.Struct, frozen=True, order=True, cache_hash=True):
    """The map for all lists of ``size`` endpoints on a ladder: the kernel draws a number below a constant."""

    ladder: str
    version: int
    size: int

    @property
    def map(self) -> str:
        """Its name."""
        return f"{self.ladder}{self.version}-{self.size}"


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where an element is: in this set or map, under this key."""

    map: str
    key: bytes


Removable = Place | str
"""An element by its place, or the chain of a choice by its name."""

Content = bytes | tuple[str, bytes]
"""What an element says to the kernel and to a later controller."""


class Element(msgspec.Struct, frozen=True, gc=False):
    """An element. ``data`` is what its key maps to; ``chain`` instead in the map of choices. ``comment`` is for
    people, ``identity`` for a later controller.
    """

    place: Place
    data: bytes = b""
    chain: str = ""
    comment: str = ""
    identity: bytes = b""

    @property
    def content(self) -> Content:
        """All but its place and comment. One with data has neither chain nor identity."""
        return (self.chain, self.identity) if self.chain else self.data or self.identity


class Choice(msgspec.Struct, frozen=True, gc=False):
    """The chain that draws one of several lanes (mark, weight), each with its exact probability."""

    chain: str
    lanes: tuple[tuple[int, int], ...]


class Forwarding(msgspec.Struct, frozen=True, gc=False):
    """All there is in the kernel for one socket.

    ``entry`` brings its connections to a mark, which is a lane's or a choice's. ``elements`` are all others, which do
    nothing without an entry. ``rungs`` are the maps among them that exist only when somebody needs them.
    """

    entry: Element
    elements: tuple[Element, ...]
    choice: Choice | None
    rungs: tuple[Rung, ...]

    @property
    def removable(self) -> tuple[Removable, ...]:
        """All that may have to go when something else is wanted."""
        chains = () if self.choice is None else (self.choice.chain,)
        return (self.entry.place, *(one.place for one in self.elements), *chains)


NOTHING = Forwarding(Element(Place("", b"")), (), None, ())
"""Of a socket that is not in the plan."""


def entry(key: SocketKey, mark: int) -> Element:
    """The way in for connections to a socket."""
    return Element(entry_place(key), mark_bytes(mark))


def entry_place(key: SocketKey) -> Place:
    """Where the way in for a socket is."""
    where = _PROTOCOL_PORT.pack(_PROTOCOLS[key.protocol], key.port)
    if key.address == WILDCARD_ADDRESS:
        return Place(SOCKETS, where)
    address = ipaddress.ip_address(key.address)
    return Place(SOCKETS_4 if address.version == 4 else SOCKETS_6, address.packed + where)


def protocol_and_port_of(entry: Place) -> bytes:
    """What a way in is for, whatever its address: the end of its key."""
    return entry.key[-_PROTOCOL_PORT.size :]


def port_of(entry: Place) -> int:
    """The port of a way in."""
    return int(_PROTOCOL_PORT.unpack(protocol_and_port_of(entry))[1])


def lane(mark: Mark, comment: str) -> Element:
    """What says, beside no rule, what the mark of a lane stands for."""
    return Element(Place(LANES, mark_bytes(mark.number)), identity=mark.identity, comment=comment)


def choice(mark: Mark, chain: str, comment: str) -> Element:
    """The way from the mark of a choice to its chain."""
    return Element(Place(CHOICES, mark_bytes(mark.number)), chain=chain, identity=mark.identity, comment=comment)


class Offer(msgspec.Struct, frozen=True):
    """The rows of a pool on a rung: for each number that can be drawn, its bytes and those of an endpoint."""

    rung: Rung
    map: str
    rows: tuple[tuple[bytes, bytes], ...]


def offer(ladder: Ladder, family: Family, endpoints: Sequence[Located]) -> Offer:
    """What a pool puts on a ladder."""
    rung = Rung(ladder.value, family.value, len(endpoints))
    numbered = enumerate(endpoints)
    return Offer(
        rung, rung.map, tuple((mark_bytes(drawn), one.packed + _PORT.pack(one.port)) for drawn, one in numbered)
    )


def rows(mark: int, offered: Offer) -> list[Element]:
    """The rows of a lane on a rung."""
    head = mark_bytes(mark)
    return [Element(Place(offered.map, head + number), data) for number, data in offered.rows]


def hairpin(mark: int, family: Family, address: bytes) -> Element:
    """What tells that the client of a lane's connection is the very host of its endpoint."""
    name = HAIRPINS_4 if family is Family.IPV4 else HAIRPINS_6
    return Element(Place(name, mark_bytes(mark) + address + address))


@lru_cache(maxsize=64)
def mark_bytes(mark: int) -> bytes:
    """A mark, or a number that the kernel drew, as its registers hold it: in the byte order of the host.

    What is made for a socket in one go has its mark in common.
    """
    return _MARK.pack(mark)


def mark_of(key: bytes) -> int:
    """The mark that a key begins with."""
    return int(_MARK.unpack_from(key)[0])


def choice_chain(key: SocketKey) -> str:
    """The name of a choice's chain. Colons mean something to nft, and no address has an underscore."""
    address = "any" if key.address == WILDCARD_ADDRESS else key.address.replace(":", "_")
    return f"{CHOICE}{key.protocol.lower()}/{address}/{key.port}"
