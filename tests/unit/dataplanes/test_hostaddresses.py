"""The addresses of this host, best first."""

from __future__ import annotations

import ipaddress

from tidegate.dataplanes.hostaddresses import host_addresses, wildcard_address


def test_addresses_are_usable_by_others() -> None:
    """There is at least one; none is repeated or link-local; loopback only when it is the only one."""
    found = host_addresses()
    parsed = [ipaddress.ip_address(address) for address in found]
    assert parsed
    assert len(set(found)) == len(found)
    assert not any(address.is_link_local or address.is_unspecified for address in parsed)
    assert not any(address.is_loopback for address in parsed) or found == ("127.0.0.1",)


def test_wildcard_is_an_unspecified_address() -> None:
    """It stands for all addresses of the host."""
    assert ipaddress.ip_address(wildcard_address()).is_unspecified
