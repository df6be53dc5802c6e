"""Different keys have different names, and every name is safe in Envoy's statistics."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.plans import listener_key, route_key, socket_key
from tidegate.dataplanes.envoy import naming
from tidegate.names import WILDCARD_ADDRESS, ListenerKey, ObjectKey, SocketKey, TargetKey

PROPERTY = settings(max_examples=300, deadline=None, derandomize=True)
# Few characters, those that mean something in names among them, make collisions likely to be found.
TEXT = st.one_of(st.text(alphabet="a./:|_~=-2fe", max_size=5), st.text(max_size=4))
ADDRESSES = st.one_of(st.just(WILDCARD_ADDRESS), st.ip_addresses().map(str))
SOCKETS = st.builds(
    SocketKey, TEXT, ADDRESSES, st.sampled_from(["TCP", "UDP"]), st.integers(min_value=1, max_value=65535)
)
TARGETS = st.builds(TargetKey, SOCKETS, TEXT)
OBJECTS = st.builds(ObjectKey, TEXT, TEXT, TEXT, TEXT)
TRAFFIC = st.tuples(TARGETS, st.builds(ListenerKey, OBJECTS, TEXT), st.one_of(st.none(), OBJECTS))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain-Name-1", "plain-Name-1"),
        ("10.0.0.1", "10_0_0_1"),
        ("2001:db8::1", "2001~db8~~1"),
        ("a_b~c=d", "a=5fb=7ec=3dd"),
        ("a/b|c", "a=2fb=7cc"),
        ("ü", "=c3=bc"),
        ("", ""),
    ],
)
def test_escaping(text: str, escaped: str) -> None:
    """Dots and colons stay readable, everything else unusual becomes hexadecimal."""
    assert naming.escape(text) == escaped


@PROPERTY
@given(TEXT, TEXT)
def test_escaped_texts_are_safe_and_different(one: str, other: str) -> None:
    """Escaping keeps texts apart and leaves no character that separates the parts of a name."""
    assert (naming.escape(one) == naming.escape(other)) == (one == other)
    assert not set(naming.escape(one)) & set(".:|/ \n")


@PROPERTY
@given(SOCKETS, SOCKETS)
def test_sockets_never_share_a_name(one: SocketKey, other: SocketKey) -> None:
    """Two sockets have the same name only when they are the same."""
    assert (naming.socket_name(one) == naming.socket_name(other)) == (one == other)


@PROPERTY
@given(TARGETS, TARGETS)
def test_targets_and_filters_never_share_a_name(one: TargetKey, other: TargetKey) -> None:
    """Two targets, and their filters, have the same names only when they are the same."""
    assert (naming.target_name(one) == naming.target_name(other)) == (one == other)
    assert (naming.filter_name(one) == naming.filter_name(other)) == (one == other)


@PROPERTY
@given(TRAFFIC, TRAFFIC)
def test_counters_never_share_a_prefix(
    one: tuple[TargetKey, ListenerKey, ObjectKey | None], other: tuple[TargetKey, ListenerKey, ObjectKey | None]
) -> None:
    """Another target, listener or route counts under another prefix."""
    assert (naming.traffic_prefix(*one) == naming.traffic_prefix(*other)) == (one == other)


@PROPERTY
@given(TRAFFIC)
def test_names_are_safe_in_statistics(traffic: tuple[TargetKey, ListenerKey, ObjectKey | None]) -> None:
    """No name holds a dot, a colon or white space, IPv6 addresses included; prefixes of traffic may hold dots."""
    target, listener, route = traffic
    names = (naming.socket_name(target.socket), naming.target_name(target), naming.filter_name(target))
    for name in names:
        assert not any(character in ".:" or character.isspace() for character in name)
    prefix = naming.traffic_prefix(target, listener, route)
    assert not any(character == ":" or character.isspace() for character in prefix)


def test_names_can_be_read_by_people() -> None:
    """Names show the scope, the protocol, the address and the port."""
    key = socket_key(443, "2001:db8::1")
    assert naming.socket_name(key) == "standalone/TCP/2001~db8~~1/443"
    assert naming.socket_name(socket_key(80, WILDCARD_ADDRESS)) == "standalone/TCP/any/80"
    assert naming.target_name(TargetKey(key)) == "standalone/TCP/2001~db8~~1/443"
    assert naming.target_name(TargetKey(key, "a.b")) == "standalone/TCP/2001~db8~~1/443/a_b"
    assert naming.filter_name(TargetKey(key)) == "standalone/TCP/2001~db8~~1/443/tcp"


def test_our_own_names_are_no_plan_names() -> None:
    """The static listener and cluster cannot have the name of a socket or a target, which hold slashes."""
    assert "/" in naming.socket_name(SocketKey("", WILDCARD_ADDRESS, "", 1))
    assert "/" not in naming.REFUSING_LISTENER + naming.CONTROL_CLUSTER


def test_a_listener_without_a_route_counts_apart_from_its_routes() -> None:
    """Connections without a route are not counted as those of a route."""
    target = TargetKey(socket_key(80))
    without = naming.traffic_prefix(target, listener_key("web"), None)
    assert naming.traffic_prefix(target, listener_key("web"), route_key("r")).startswith(without + "|")
