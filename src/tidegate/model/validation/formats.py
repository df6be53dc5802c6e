"""Which texts are IP addresses, host names and DNS names, as the API server decides it; for rules.

Formats of single fields are annotations in ``model.scalars``; these here depend on another field.

Stricter than Python's ``ipaddress`` in one point: no zone (``fe80::1%eth0``).
"""

from __future__ import annotations

import ipaddress
import re

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(rf"{_LABEL}\Z")
_DNS_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_HOSTNAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*\Z")
_FQDN = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+\.?\Z")
_LONGEST_IP = 45

Family = type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]


def is_ipv4(text: str) -> bool:
    """Whether the text is an IPv4 address in dotted form, without leading zeros."""
    return _parsed(text, ipaddress.IPv4Address) is not None


def is_ipv6(text: str) -> bool:
    """Whether the text is an IPv6 address, without a zone."""
    return _parsed(text, ipaddress.IPv6Address) is not None


def is_ip(text: str) -> bool:
    """Whether the text is an IPv4 or an IPv6 address."""
    return is_ipv6(text) if ":" in text else is_ipv4(text)


def is_dns_label(text: str) -> bool:
    """Whether the text is an RFC 1123 label in lower case: at most 63 characters, no dots."""
    return len(text) <= 63 and _DNS_LABEL.match(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Whether the text is an RFC 1123 subdomain in lower case: at most 253 characters."""
    return len(text) <= 253 and _DNS_SUBDOMAIN.match(text) is not None


def is_hostname(text: str) -> bool:
    """Whether the text is a Gateway API Hostname: a subdomain, perhaps after ``*.``."""
    return len(text) <= 253 and _HOSTNAME.match(text) is not None


def is_fqdn(text: str) -> bool:
    """Whether the text is a fully qualified domain name: at least two labels, at most 253 characters."""
    return len(text.removesuffix(".")) <= 253 and _FQDN.match(text) is not None


def endpoint_address_problem(address_type: str, text: str) -> str | None:
    """What is wrong with an EndpointSlice's address of type IPv4, IPv6 or FQDN; None: nothing.

    Loopback addresses, which the API server refuses, are fine here: on one machine they are where the
    backends are.
    """
    if address_type == "FQDN":
        return None if is_fqdn(text) else "must be a fully qualified domain name, as addressType says"
    family = ipaddress.IPv4Address if address_type == "IPv4" else ipaddress.IPv6Address
    address = _parsed(text, family)
    if address is None or (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None):
        return f"must be an {address_type} address, as addressType says"
    if address.is_unspecified:
        return "must be an address to connect to, not the unspecified one"
    if address.is_link_local or _is_link_local_multicast(address):
        return "must not be link-local"
    return None


def _is_link_local_multicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    first, second, third = address.packed[:3]
    if address.version == 4:
        return (first, second, third) == (224, 0, 0)
    return first == 0xFF and second & 0x0F == 2


def _parsed(text: str, family: Family) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if len(text) > _LONGEST_IP or "%" in text:
        return None
    try:
        return family(text)
    except ValueError:
        return None
