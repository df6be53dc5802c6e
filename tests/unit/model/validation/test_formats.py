"""Which texts are addresses and names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.model.validation.formats import (
    endpoint_address_problem,
    is_dns_label,
    is_dns_subdomain,
    is_fqdn,
    is_hostname,
    is_ip,
    is_ipv4,
    is_ipv6,
)

LONG = "a" * 63

CASES: list[tuple[Callable[[str], bool], list[str], list[str]]] = [
    (is_ipv4, ["0.0.0.0", "255.255.255.255"], ["", "1.2.3", "256.1.1.1", "01.2.3.4", "::1", "1.2.3.4\n", " 1.2.3.4"]),
    (is_ipv6, ["::", "::1", "2001:DB8::1", "::ffff:1.2.3.4"], ["", "1.2.3.4", ":::", "fe80::1%eth0", "1" * 10_000]),
    (is_ip, ["1.2.3.4", "::1"], ["", "localhost", "1:2", "[::1]"]),
    (is_dns_label, ["a", "0", "a-b", LONG], ["", "A", "a.b", "-a", "a-", "a\n", LONG + "a"]),
    (is_dns_subdomain, ["a", "a.b", "a" * 253], ["", "a..b", ".a", "a.", "A.b", "a" * 254]),
    (is_hostname, ["a", "*.a", "1.2.3.4"], ["", "*", "*a", "a.*", "A"]),
    (is_fqdn, ["a.b", "a.b.", f"{LONG}.{LONG}.{LONG}.{'a' * 61}"],
     ["", "a", "a.", ".", "a..b", f"{LONG}a.b", "A.b", f"{LONG}.{LONG}.{LONG}.{'a' * 62}"]),
]  # fmt: skip


@pytest.mark.parametrize(("test", "yes", "no"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_formats(test: Callable[[str], bool], yes: list[str], no: list[str]) -> None:
    """Each format takes its texts and refuses their neighbours."""
    assert [text for text in yes if not test(text)] == []
    assert [text for text in no if test(text)] == []


@pytest.mark.parametrize(
    ("address_type", "text", "fragment"),
    [
        ("IPv4", "10.0.0.1", None),
        ("IPv4", "127.0.0.1", None),
        ("IPv4", "239.1.1.1", None),
        ("IPv4", "::1", "an IPv4 address"),
        ("IPv4", "0.0.0.0", "unspecified"),
        ("IPv4", "169.254.0.1", "link-local"),
        ("IPv4", "224.0.0.1", "link-local"),
        ("IPv6", "2001:db8::1", None),
        ("IPv6", "::1", None),
        ("IPv6", "10.0.0.1", "an IPv6 address"),
        ("IPv6", "::ffff:10.0.0.1", "an IPv6 address"),
        ("IPv6", "::", "unspecified"),
        ("IPv6", "fe80::1", "link-local"),
        ("IPv6", "ff02::1", "link-local"),
        ("FQDN", "db.example.com", None),
        ("FQDN", "localhost", "fully qualified"),
    ],
)
def test_endpoint_addresses(address_type: str, text: str, fragment: str | None) -> None:
    """Endpoint addresses match their type and can be dialled; loopback is allowed on purpose."""
    problem = endpoint_address_problem(address_type, text)
    assert problem is None if fragment is None else fragment in (problem or "")
