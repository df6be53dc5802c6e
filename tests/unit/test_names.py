"""Identities and how people see them."""

from __future__ import annotations

import pytest

from tidegate.names import (
    CONTROLLER_IDENTITY,
    ListenerKey,
    ObjectKey,
    PoolKey,
    SocketKey,
    TargetKey,
    label_value,
    proxy_identity,
    proxy_scope,
)

GATEWAY = ObjectKey("gateway.networking.k8s.io", "Gateway", "team", "edge")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (GATEWAY, "Gateway team/edge"),
        (ObjectKey("gateway.networking.k8s.io", "GatewayClass", "", "ours"), "GatewayClass ours"),
        (ListenerKey(GATEWAY, "db"), "team/edge/db"),
        (SocketKey("standalone", "*", "TCP", 5432), "TCP *:5432"),
        (SocketKey("standalone", "::1", "TCP", 5432), "TCP [::1]:5432"),
        (PoolKey("team", "db", 5432, "TCP"), "team/db:5432"),
    ],
)
def test_identities_read_like_what_they_name(key: object, text: str) -> None:
    """Identities print as people write them."""
    assert str(key) == text


def test_identities_of_different_kinds_never_meet() -> None:
    """Keys of different types are different although their fields are equal, so they can share a mapping."""
    socket = SocketKey("standalone", "*", "TCP", 5432)
    assert len({socket, TargetKey(socket), PoolKey("standalone", "*", 5432, "TCP")}) == 3


def test_a_dot_in_a_name_makes_no_other_identity() -> None:
    """Names may hold dots and dashes: identities are compared by field, never as composed text."""
    assert ListenerKey(ObjectKey("g", "k", "a", "b.c"), "d") != ListenerKey(ObjectKey("g", "k", "a", "b"), "c.d")


def test_proxy_identity_names_its_scope_only() -> None:
    """Proxies of different Gateways never share an identity, and none is the controller's."""
    assert proxy_identity("team-a/edge") == "spiffe://tidegate.dev/gateway/team-a/edge"
    assert proxy_identity("team-a/edge") != proxy_identity("team-b/edge")


def test_the_scope_of_a_proxy_is_known_from_its_identity() -> None:
    """A proxy's identity names exactly its scope; what is no proxy's names none."""
    assert proxy_scope(proxy_identity("team-a/edge")) == "team-a/edge"
    for other in (
        "",
        CONTROLLER_IDENTITY,
        proxy_identity(""),
        "team-a/edge",
        "spiffe://example.org/gateway/team-a/edge",
    ):
        assert proxy_scope(other) is None


def test_long_names_become_values_of_labels() -> None:
    """A label's value has at most 63 characters; different names stay different, whatever they begin with."""
    assert label_value("a" * 63) == "a" * 63
    long, longer = label_value("a" * 64), label_value("a" * 65)
    assert long != longer
    assert len(long) == 63
    cut_at_a_dot = label_value("a" * 53 + "." + "b" * 20)
    assert cut_at_a_dot.startswith("a" * 53 + "-")
