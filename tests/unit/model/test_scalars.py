"""The scalars' limits, each with valid and invalid neighbours (gateway-api CRDs, apimachinery)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidegate.model import scalars

LABEL_63 = "a" * 63
SUBDOMAIN_253 = ".".join(["a" * 62] * 4) + "bb"

VALID: list[tuple[str, list[Any]]] = [
    ("Group", ["", "a", "gateway.networking.k8s.io", "0-9.a", "a" * 253]),
    ("KindName", ["T", "TCPRoute", "a-b", "A9", "K" * 63]),
    ("ObjectName", ["a", "Any Thing!", "ü" * 253]),
    ("NamespaceName", ["a", "a-b", "0", LABEL_63]),
    ("SectionName", ["a", "a.b", "0-1", "a" * 253]),
    ("Hostname", ["a", "*.example.com", "www.example.com", "1.2.3.4", "a" * 253]),
    ("PortNumber", [1, 80, 65535]),
    ("Weight", [0, 1, 1_000_000]),
    ("ControllerName", ["a/b", "example.com/x", "example.com/a/b~c_%:=", "tidegate.dev/gateway-controller"]),
    ("ProtocolType", ["TCP", "INVALID", "my-proto", "example.com/proto", "A.b.com/x9", "T" * 255]),
    ("AddressType", ["IPAddress", "Hostname", "NamedAddress", "HostnameX", "xIPAddress", "example.com/a-b", "A/b.c/D"]),
    ("AnnotationValue", ["", "any\nthing", "x" * 4096]),
    ("LabelValue", ["", "a", "A.b_c-9", "a" * 63]),
    ("InfrastructureKey", ["a", "A_b.c", "example.com/role", "a" * 63, f"{'a' * 252}/b"]),
    ("DnsSubdomain", ["a", "a.b", "0", SUBDOMAIN_253]),
    ("OptionalDnsLabel", ["", "a", LABEL_63]),
    ("LabelKey", ["a", "kubernetes.io/service-name", "A" * 63, f"{'a' * 253}/b"]),
    ("AnnotationKey", ["a", "Example.COM/Role"]),
    ("PortName", ["http", "a", "8080-tcp", "x" * 15]),
    ("Transport", ["TCP", "UDP", "SCTP"]),
]

INVALID: list[tuple[str, list[Any]]] = [
    ("Group", ["A", "-a", "a-", "a..b", "a.", "a_b", "a\n", "a" * 254]),
    ("KindName", ["", "9A", "a-", "a.b", "A\n", "K" * 64]),
    ("ObjectName", ["", "a" * 254]),
    ("NamespaceName", ["", "A", "a.b", "-a", "a-", "a\n", "a" * 64]),
    ("SectionName", ["", "A", "a_b", "a.", ".a", "a\n", "a" * 254]),
    ("Hostname", ["", "*", "*.", "a.*.b", "*a.com", "A.com", "a.com.", "a" * 254]),
    ("PortNumber", [0, -1, 65536, True, "80"]),
    ("Weight", [-1, 1_000_001, False]),
    ("ControllerName", ["", "a", "a/", "/a", "A.com/x", "example.com/x y", "a/b\n", f"a/{'b' * 252}"]),
    ("ProtocolType", ["", "TCP ", "my_proto", "mycompany.com/my-custom-protocol", "/x", "TCP\n", "T" * 256]),
    ("AddressType", ["", "ipaddress", "Host", "example.com/", "a b", "IPAddress" + "x" * 245]),
    ("AnnotationValue", ["x" * 4097]),
    ("LabelValue", ["-a", "a-", "a b", "ä", "a\n", "a" * 64]),
    ("InfrastructureKey", ["", "/a", "a/", "Example.com/a", "a/b/c", "a" * 64, f"{'a' * 253}/b"]),
    ("DnsSubdomain", ["", "A", "a_b", "-a", "a.", SUBDOMAIN_253 + "c"]),
    ("OptionalDnsLabel", ["A", "a.b", "a" * 64]),
    ("LabelKey", ["", "a b", "/a", "A.com/b", "-a", "a\n", "A" * 64, f"{'a' * 254}/b"]),
    ("AnnotationKey", ["", "a b", "a/b/c"]),
    ("PortName", ["", "80", "a--b", "-a", "a-", "A", "x" * 16]),
    ("Transport", ["tcp", "ICMP", "TCP\n"]),
]


def cases(table: list[tuple[str, list[Any]]]) -> list[Any]:
    """One test case per value, named after the scalar and the start of the value."""
    return [
        pytest.param(name, value, id=f"{name}-{str(value)[:24]!r}-{len(str(value))}")
        for name, values in table
        for value in values
    ]


@pytest.mark.parametrize(("name", "value"), cases(VALID))
def test_valid(name: str, value: Any) -> None:
    """The value is within the scalar's limits."""
    assert msgspec.convert(value, getattr(scalars, name), strict=True) == value


@pytest.mark.parametrize(("name", "value"), cases(INVALID))
def test_invalid(name: str, value: Any) -> None:
    """The value is just beyond the scalar's limits."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, getattr(scalars, name), strict=True)
