"""The addresses under which this host can be reached, for the status of wildcard listeners.

Out: addresses as text, the source of the default route first, IPv4 before IPv6, loopback only when there is
nothing else. Blocking, but fast.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator

import psutil

# Addresses for documentation: connecting a datagram socket to them only chooses a route, it sends nothing.
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def host_addresses() -> tuple[str, ...]:
    """The addresses of this host, best first; at least one."""
    found = list(dict.fromkeys((*_route_sources(), *sorted(_interface_addresses(), key=_order))))
    usable = [address for address in found if not ipaddress.ip_address(address).is_loopback]
    return tuple(usable or ("127.0.0.1",))


def wildcard_address() -> str:
    """The address that stands for all of this host's: ``::`` where IPv6 works, else ``0.0.0.0``."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::", 0))
        return "::"
    return "0.0.0.0"  # noqa: S104  # The user asked for all addresses.


def _order(address: str) -> tuple[int, bytes]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, parsed.packed


def _route_sources() -> Iterator[str]:
    for family, elsewhere in _ELSEWHERE.items():
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            yield str(probe.getsockname()[0])


def _interface_addresses() -> Iterator[str]:
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            # A link-local address needs a zone, which nobody else can know.
            if one.family in _ELSEWHERE and not ipaddress.ip_address(one.address.partition("%")[0]).is_link_local:
                yield one.address
