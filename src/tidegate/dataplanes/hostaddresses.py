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

from tidegate.errors import DataPlaneError

# Addresses for documentation: connecting a datagram socket to them only chooses a route, it sends nothing.
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def host_addresses() -> tuple[str, ...]:
    """The addresses of this host, best first; at least one. Raises DataPlaneError when they cannot be listed now, as
    without a descriptor to ask with.
    """
    found = list(dict.fromkeys((*_route_sources(), *sorted(_interface_addresses(), key=_order))))
    usable = [address for address in found if not ipaddress.ip_address(address).is_loopback]
    return tuple(usable or ("127.0.0.1",))


def interface_addresses() -> list[str]:
    """The IP addresses of all interfaces, with the zones that the system gives them. Raises as ``host_addresses``."""
    try:
        interfaces = psutil.net_if_addrs().values()
    except OSError as error:
        raise DataPlaneError(f"the addresses of this host cannot be listed: {error.strerror or error}") from error
    return [one.address for addresses in interfaces for one in addresses if one.family in _ELSEWHERE]


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
    for address in interface_addresses():
        # A link-local address needs a zone, which nobody else can know.
        if not ipaddress.ip_address(address.partition("%")[0]).is_link_local:
            yield address
