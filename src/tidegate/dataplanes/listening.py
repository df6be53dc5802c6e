"""The TCP sockets that listen on this machine's ports, as the Linux kernel tells.

In: ports. Out: address, owner and inode of every socket that listens on them, in our network namespace.
Whose they are is left to ``ports``.

The kernel is asked by netlink (sock_diag), which lists nothing but listening sockets, and only those of one
port when few ports are asked for: with 10,000 sockets 8 ms for all and less than 1 ms for one port. Where
that is not available (some sandboxes), ``/proc/net/tcp`` is read up to the last listening socket.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

PROC = Path("/proc")

_FEW_PORTS = 16
_STATE_LISTEN = 10
_TIMEOUT_SECONDS = 1.0

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h; Python names none of these.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_INET_DIAG_SKV6ONLY = 11
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI2s2x32x4x8s")
_ANSWER = struct.Struct("=BBxx2s2x16s16x4x8x12xII")
_ATTRIBUTE = struct.Struct("=HH")
_ANY_COOKIE = b"\xff" * 8
_EVERYWHERE = bytes(16)

_COLUMN_ADDRESS, _COLUMN_STATE, _COLUMN_UID, _COLUMN_INODE = 1, 3, 7, 9


class ListenSocket(msgspec.Struct, frozen=True, kw_only=True):
    """A listening socket. ``packed`` is its address in network byte order, 4 or 16 bytes; ``uid`` is the user
    who made it; ``v6_only`` says of ``::`` that it takes no IPv4 connections, False when that is not known.
    """

    packed: bytes
    port: int
    uid: int
    inode: int
    v6_only: bool = False

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """The address on which it listens; an IPv4-mapped one as the IPv4 address that it is."""
        address = ipaddress.ip_address(self.packed)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return mapped or address


def listening(ports: Collection[int]) -> list[ListenSocket]:
    """The sockets that listen on ``ports``. Blocks."""
    try:
        return list(_by_netlink(ports))
    except OSError:
        # No sock_diag here, or not for us: an ordinary state of sandboxes, and the table has the same rows.
        return list(_from_tables(ports))


def _by_netlink(ports: Collection[int]) -> Iterator[ListenSocket]:
    """Raises OSError when the kernel does not answer."""
    wanted = {port.to_bytes(2, "big") for port in ports}
    questions = wanted if len(wanted) <= _FEW_PORTS else {bytes(2)}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(_TIMEOUT_SECONDS)
        for family in (socket.AF_INET, socket.AF_INET6):
            for port in questions:
                yield from _dump(netlink, family, port, wanted)


def _dump(netlink: socket.socket, family: int, port: bytes, wanted: Collection[bytes]) -> Iterator[ListenSocket]:
    """Ask for the sockets of one family on one port, or on all when it is 0; pass on those on ``wanted`` ports."""
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << _STATE_LISTEN, port, _ANY_COOKIE)
    netlink.send(_HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 0, 0) + request)
    while True:
        answer, offset = netlink.recv(1 << 18), 0
        while offset < len(answer):
            length, kind, *_ = _HEADER.unpack_from(answer, offset)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                (error,) = struct.unpack_from("=i", answer, offset + _HEADER.size)
                raise OSError(-error, "the kernel does not list sockets")
            message = memoryview(answer)[offset + _HEADER.size : offset + length]
            of_family, state, sport, source, uid, inode = _ANSWER.unpack_from(message)
            if sport in wanted and state == _STATE_LISTEN:
                yield ListenSocket(
                    packed=source if of_family == socket.AF_INET6 else source[:4],
                    port=int.from_bytes(sport, "big"),
                    uid=uid,
                    inode=inode,
                    v6_only=source == _EVERYWHERE and of_family == socket.AF_INET6 and _is_v6_only(message),
                )
            offset += _aligned(length)


def _is_v6_only(message: memoryview) -> bool:
    attributes = message[_ANSWER.size :]
    while len(attributes) > _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _INET_DIAG_SKV6ONLY:
            return bool(attributes[_ATTRIBUTE.size])
        attributes = attributes[_aligned(length) :]
    return False


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _from_tables(ports: Collection[int]) -> Iterator[ListenSocket]:
    wanted = {f"{port:04X}".encode() for port in ports}
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError), (PROC / "net" / table).open("rb") as lines:  # Without IPv6.
            next(lines, None)
            for line in lines:
                columns = line.split()
                if int(columns[_COLUMN_STATE], 16) != _STATE_LISTEN:
                    break  # Those that listen are listed first.
                address, _, port = columns[_COLUMN_ADDRESS].rpartition(b":")
                if port in wanted:
                    yield ListenSocket(
                        packed=_packed(address.decode()),
                        port=int(port, 16),
                        uid=int(columns[_COLUMN_UID]),
                        inode=int(columns[_COLUMN_INODE]),
                    )


def _packed(text: str) -> bytes:
    """An address of the kernel's table: 32-bit words in the byte order of the host, in hexadecimal."""
    words = (int(text[start : start + 8], 16) for start in range(0, len(text), 8))
    return b"".join(word.to_bytes(4, sys.byteorder) for word in words)
