"""The table of protocols, and which listeners clash."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.core.protocols import clash, is_served
from tidegate.core.reasons import Reason
from tidegate.model.gateway import Listener, ListenerTLSConfig
from tidegate.plan.features import Features


def one(protocol: str, hostname: str | None = None, *, port: int = 443, mode: str | None = None) -> Listener:
    """A listener."""
    tls = ListenerTLSConfig(mode=mode) if mode else None
    return Listener(name=f"{protocol.lower()}", port=port, protocol=protocol, hostname=hostname, tls=tls)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (one("TCP"), one("TCP"), Reason.PROTOCOL_CONFLICT),
        (one("UDP"), one("UDP"), Reason.PROTOCOL_CONFLICT),
        (one("TCP"), one("TCP", port=444), None),
        (one("UDP"), one("TCP"), None),
        (one("UDP"), one("TLS"), None),
        (one("UDP"), one("HTTP"), None),
        (one("TCP"), one("HTTP"), Reason.PROTOCOL_CONFLICT),
        (one("TCP"), one("TLS", "a.example"), Reason.PROTOCOL_CONFLICT),
        (one("HTTP"), one("HTTPS"), Reason.PROTOCOL_CONFLICT),
        (one("HTTPS", "a.example"), one("TLS", "b.example"), Reason.PROTOCOL_CONFLICT),
        (one("HTTP"), one("HTTP"), Reason.HOSTNAME_CONFLICT),
        (one("HTTP", "a.example"), one("HTTP"), None),
        (
            one("TLS", "a.example", mode="Passthrough"),
            one("TLS", "a.example", mode="Passthrough"),
            Reason.HOSTNAME_CONFLICT,
        ),
        (one("TLS", "a.example", mode="Passthrough"), one("TLS", "*.example", mode="Passthrough"), None),
        (
            one("TLS", "a.example", mode="Passthrough"),
            one("TLS", "b.example", mode="Terminate"),
            Reason.PROTOCOL_CONFLICT,
        ),
    ],
)
def test_clash(left: Listener, right: Listener, expected: Any) -> None:
    """Two listeners of one port clash by transport, protocol, hostname and TLS mode, either way round."""
    assert clash(left, right) is expected
    assert clash(right, left) is expected


@pytest.mark.parametrize(
    ("protocol", "carried", "expected"),
    [
        ("TCP", {"TCP"}, True),
        ("TCP", {"UDP"}, False),
        ("TCP", set(), False),
        ("HTTP", {"TCP", "HTTP"}, False),
        ("example.com/own", {"example.com/own"}, False),
        ("tcp", {"tcp"}, False),
    ],
)
def test_served(protocol: str, carried: set[str], expected: bool) -> None:
    """A protocol is served when the data plane carries it and a kind of route fits it."""
    assert is_served(protocol, Features(name="test", protocols=frozenset(carried))) is expected
