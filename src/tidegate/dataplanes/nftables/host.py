"""What matters of this host, as the kernel tells: addresses, forwarding, capabilities.

Out: values, read anew with every call. Blocks for about a millisecond.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from tidegate.dataplanes.hostaddresses import interface_addresses
from tidegate.dataplanes.nftables.reach import Family, HostFacts
from tidegate.errors import DataPlaneError

PROC = Path("/proc")
_FORWARDING = {Family.IPV4: "net/ipv4", Family.IPV6: "net/ipv6"}
_CAP_NET_ADMIN = 12
_ANY_PORT = 9
_EVERYBODY = "255.255.255.255"
_NOT_INTERFACES = frozenset({"default"})
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def facts(*, routes_localnet: bool) -> HostFacts:
    """The facts now. Raises DataPlaneError when there is nothing to look with, as all of these do."""
    return HostFacts(
        addresses=frozenset(addresses()),
        forwards=frozenset(family for family in Family if forwards(family)),
        routes_localnet=routes_localnet,
    )


def addresses() -> set[str]:
    """The addresses of this host, in canonical text form. Without link-local ones of IPv6: they lack their interface,
    so that nothing can be translated to them, and every container that starts brings one.
    """
    # The kernel names the interface of those that need one.
    return {address for address in interface_addresses() if "%" not in address}


def forwards(family: Family) -> bool:
    """Whether packets of a family are forwarded from at least one interface."""
    directory = PROC / "sys" / _FORWARDING[family] / "conf"
    with _no_for_an_answer():
        return any(
            read_number(interface / "forwarding") != 0
            for interface in directory.iterdir()
            if interface.name not in _NOT_INTERFACES
        )
    return False


def foreign(addresses: Iterable[str]) -> set[str]:
    """Those of these addresses that are not this host's. Blocks for about 10 microseconds each."""
    return {address for address in addresses if not is_local(address)}


def is_local(address: str) -> bool:
    """Whether the kernel takes an address as one of this host's, also one that no interface names. One of many hosts,
    of multicast or broadcast, is none of them, although a socket can be bound to it.
    """
    if ipaddress.ip_address(address).is_multicast or address == _EVERYBODY:
        return False
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with _no_for_an_answer(), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        # Towards a broadcast address this is permitted only to who asks for it. Nothing is sent.
        return probe.connect_ex((address, _ANY_PORT)) != errno.EACCES
    return False


def has_net_admin() -> bool:
    """Whether this process may change the network (CAP_NET_ADMIN)."""
    with contextlib.suppress(OSError):
        for line in (PROC / "thread-self" / "status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "CapEff":
                return bool(int(value, 16) >> _CAP_NET_ADMIN & 1)
    return False


def read_number(path: Path) -> int:
    """The number in a file of ``/proc/sys``, 0 when there is none."""
    with _no_for_an_answer(), contextlib.suppress(ValueError):
        return int(path.read_text())
    return 0


@contextlib.contextmanager
def _no_for_an_answer() -> Iterator[None]:
    """Take an error as a no, unless it says that there is nothing to ask with: that is no answer."""
    try:
        yield
    except OSError as error:
        if error.errno in _EXHAUSTED:
            raise DataPlaneError(f"this host cannot be looked at: {error.strerror}") from error
