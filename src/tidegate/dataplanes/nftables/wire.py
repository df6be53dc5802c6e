"""Netlink as bytes: attributes and messages, packed and taken apart. Pure; knows no family of messages.

Layouts: ``linux/netlink.h`` and ``linux/netfilter/nfnetlink.h``. Headers are in the byte order of the host, numbers
in attributes of netfilter in network byte order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import msgspec

NESTED = 0x8000
FLAG_REQUEST, FLAG_ACK, FLAG_DUMP = 0x1, 0x4, 0x300
FLAG_EXCLUSIVE, FLAG_CREATE, FLAG_APPEND = 0x200, 0x400, 0x800
FLAG_DUMP_INTERRUPTED = 0x10
KIND_ERROR, KIND_DONE = 2, 3

FAMILY_SIZE = 4
"""What comes before the attributes of a netfilter message (``struct nfgenmsg``)."""

_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.Struct(">BBH")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_NUMBER = struct.Struct(">I")
_KIND_MASK = 0x3FFF
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A message before it has a sequence number. ``family`` and ``resource`` are those of ``struct nfgenmsg``."""

    kind: int
    flags: int = 0
    family: int
    resource: int = 0
    body: bytes = b""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as received; ``payload`` is what follows its header."""

    kind: int
    flags: int
    sequence: int
    payload: bytes

    @property
    def error(self) -> int:
        """The error number that a message of ``KIND_ERROR`` tells, positive; 0 is an acknowledgement."""
        (number,) = _ERROR.unpack_from(self.payload)
        return -int(number)

    @property
    def attributes(self) -> Mapping[int, bytes]:
        """The attributes of a netfilter message."""
        return attributes_of(self.payload[FAMILY_SIZE:])


def attribute(kind: int, content: bytes) -> bytes:
    """An attribute with its padding."""
    length = len(content)
    return _ATTRIBUTE.pack(length + 4, kind) + content + _PADDING[length & 3]


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    content = b"".join(attributes)
    return _ATTRIBUTE.pack(len(content) + 4, kind | NESTED) + content


def text(kind: int, value: str) -> bytes:
    """A string, with the zero at its end."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """A number of 32 bits; a negative one as its complement."""
    return attribute(kind, _NUMBER.pack(value & 0xFFFFFFFF))


def packed(request: Request, sequence: int, *, more_flags: int = 0) -> bytes:
    """The message as it is sent."""
    header = _HEADER.pack(
        _HEADER.size + _FAMILY.size + len(request.body),
        request.kind,
        request.flags | more_flags | FLAG_REQUEST,
        sequence,
        0,
    )
    return header + _FAMILY.pack(request.family, 0, request.resource) + request.body


def messages_of(data: bytes) -> Iterator[Message]:
    """The messages of a datagram."""
    for kind, flags, sequence, start, end in frames_of(data):
        yield Message(kind=kind, flags=flags, sequence=sequence, payload=data[start:end])


def frames_of(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Kind, flags and sequence number of each message of a datagram, and from where to where its payload is."""
    offset, end = 0, len(data)
    while offset + _HEADER.size <= end:
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        yield kind, flags, sequence, offset + _HEADER.size, offset + length
        offset += (length + 3) & ~3


def attributes_of(data: bytes) -> dict[int, bytes]:
    """Attributes by kind. Of several of one kind the last one; lists are read by ``members_of``."""
    found: dict[int, bytes] = {}
    offset, end = 0, len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        found[kind & _KIND_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def members_of(data: bytes) -> list[bytes]:
    """The attributes of a list, in order."""
    found, offset, end = [], 0, len(data)
    while offset + 4 <= end:
        length, _ = _ATTRIBUTE.unpack_from(data, offset)
        found.append(data[offset + 4 : offset + length])
        offset += (length + 3) & ~3
    return found


def positions_of(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The kind of each attribute between two positions, and from where to where its content is. Copies nothing."""
    while start + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        yield kind & _KIND_MASK, start + 4, start + length
        start += (length + 3) & ~3


def text_of(content: bytes) -> str:
    """A string of an attribute."""
    return content.partition(b"\0")[0].decode()


def number_of(content: bytes) -> int:
    """A number of an attribute, of any width."""
    return int.from_bytes(content, "big")
