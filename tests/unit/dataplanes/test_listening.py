"""Both ways of asking the kernel give the same sockets."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tidegate.dataplanes import listening as module
from tidegate.dataplanes.listening import ListenSocket, listening

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")

ADDRESSES = ("127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1")


def inode(opened: socket.socket) -> int:
    """How the kernel numbers the socket."""
    return os.fstat(opened.fileno()).st_ino


def opened(address: str, *, v6_only: bool = False) -> socket.socket:
    """A socket that listens on a free port."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if ":" in address:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6_only))
    made.bind((address, 0))
    made.listen(1)
    return made


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    """Sockets that listen on all kinds of addresses, each on a port of its own."""
    with ExitStack() as stack:
        yield [stack.enter_context(opened(address)) for address in ADDRESSES]


def test_address_port_user_and_inode(sockets: list[socket.socket]) -> None:
    """Each listening socket is told with its address, port, user and inode."""
    ports = [one.getsockname()[1] for one in sockets]
    found = {entry.inode: entry for entry in listening(ports)}
    for one, address in zip(sockets, ADDRESSES, strict=True):
        entry = found[inode(one)]
        assert entry.port == one.getsockname()[1]
        assert str(entry.address) == address.removeprefix("::ffff:")
        assert (entry.uid, entry.v6_only) == (os.getuid(), False)


def test_both_ways_agree(sockets: list[socket.socket]) -> None:
    """The tables of /proc have the same sockets, whether few ports are asked for or many."""
    ports = [one.getsockname()[1] for one in sockets]
    own = {inode(one) for one in sockets}

    def mine(found: Iterator[ListenSocket]) -> set[ListenSocket]:
        return {entry for entry in found if entry.inode in own}

    few = mine(module._by_netlink(ports))
    many = mine(module._by_netlink([*ports, *range(1, 30)]))
    assert few == many == mine(module._from_tables(ports))
    assert len(few) == len(ADDRESSES)


def test_limited_to_ipv6() -> None:
    """An IPv6 socket that takes no IPv4 connections is told as such."""
    with opened("::", v6_only=True) as only:
        assert [entry.v6_only for entry in listening([only.getsockname()[1]])] == [True]


def test_other_ports_and_states() -> None:
    """Sockets on other ports, and those that are connected, are left out."""
    with opened("127.0.0.1") as listener, socket.create_connection(listener.getsockname()) as client:
        assert listening([client.getsockname()[1]]) == []
        assert [entry.inode for entry in listening([listener.getsockname()[1]])] == [inode(listener)]


def test_without_netlink(sockets: list[socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not answer by netlink, the tables are read."""
    monkeypatch.setattr(module, "_NETLINK_SOCK_DIAG", 255)
    ports = [one.getsockname()[1] for one in sockets]
    assert {entry.inode for entry in listening(ports)} >= {inode(one) for one in sockets}


def test_refusal_by_the_kernel() -> None:
    """An error that the kernel answers is raised."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.send(struct.pack("=IHHIIi", 20, module._NLMSG_ERROR, 0, 0, 0, -errno.EPERM))
        with pytest.raises(PermissionError):
            next(module._dump(ours, socket.AF_INET, bytes(2), set()))
