"""Envoy's error texts are read name by name, and a listener's error says what to do about it."""

from __future__ import annotations

import pytest

from support.plans import socket_key
from tidegate.dataplanes.envoy.naming import socket_name
from tidegate.dataplanes.envoy.rejections import explain, rejected_names
from tidegate.plan.outcome import FailureReason

IN_USE = "cannot bind '0.0.0.0:80': Address already in use"
DENIED = "cannot bind '[::]:81': Permission denied"
START = "Error adding/updating listener(s) "


def test_each_name_gets_its_part_of_the_text() -> None:
    """Of a text about two listeners out of three, each gets its own line, and the third is not rejected."""
    text = f"{START}s/TCP/any/80: {IN_USE}\ns/TCP/any/81: {DENIED}\n"
    names = {"s/TCP/any/80", "s/TCP/any/81", "s/TCP/any/82"}
    assert rejected_names(text, names) == {"s/TCP/any/80": IN_USE, "s/TCP/any/81": DENIED}


def test_a_name_that_begins_like_another_is_told_apart() -> None:
    """Port 8080's rejection does not touch port 80, nor the other way round."""
    names = {"s/TCP/any/80", "s/TCP/any/8080", "other-s/TCP/any/80"}
    assert rejected_names(f"{START}s/TCP/any/8080: {IN_USE}\n", names) == {"s/TCP/any/8080": IN_USE}
    assert rejected_names(f"{START}s/TCP/any/80: {IN_USE}\n", names) == {"s/TCP/any/80": IN_USE}


def test_ipv6_listeners_are_found() -> None:
    """The name of a listener on an IPv6 address, and the address in the text, do not confuse each other."""
    name = socket_name(socket_key(443, "2001:db8::1"))
    reason = "cannot bind '[2001:db8::1]:443': Cannot assign requested address"
    assert rejected_names(f"{START}{name}: {reason}", [name]) == {name: reason}


def test_a_text_without_names_rejects_all() -> None:
    """When Envoy does not say which resource it means, none of the response counts as taken."""
    assert rejected_names("protobuf is broken", ["a", "b"]) == {"a": "protobuf is broken", "b": "protobuf is broken"}


def test_names_outside_the_response_are_no_names() -> None:
    """Words before a colon that are no names of the response belong to the text."""
    assert rejected_names("a: because of b: it is bad", ["a"]) == {"a": "because of b: it is bad"}


@pytest.mark.parametrize(
    ("errno_text", "reason", "retry"),
    [
        ("Address already in use", FailureReason.PORT_UNAVAILABLE, True),
        ("Permission denied", FailureReason.PORT_UNAVAILABLE, True),
        ("Cannot assign requested address", FailureReason.ADDRESS_NOT_USABLE, True),
        ("Can't assign requested address", FailureReason.ADDRESS_NOT_USABLE, True),
        ("has duplicate address '0.0.0.0:80' as existing listener", FailureReason.INVALID, False),
    ],
)
def test_errno_gives_the_reason(errno_text: str, reason: FailureReason, *, retry: bool) -> None:
    """What the system said about the port decides the reason, and whether trying again can help."""
    rejection = explain(socket_key(80), f"cannot bind '127.0.0.1:80': {errno_text}")
    assert (rejection.reason, rejection.retry) == (reason, retry)


def test_messages_name_port_and_address() -> None:
    """A person reads which port or address it is, without Envoy's words."""
    key = socket_key(8080, "192.0.2.1")
    assert "port 8080 is in use by another process" in explain(key, IN_USE).message
    assert explain(key, "Cannot assign requested address").message == "address 192.0.2.1 is not an address of this host"


def test_low_ports_come_with_the_remedy() -> None:
    """A port below 1024 that this user may not open names the sysctl that allows it."""
    assert "net.ipv4.ip_unprivileged_port_start=443" in explain(socket_key(443), DENIED).message
    assert "sysctl" not in explain(socket_key(8080), DENIED).message


def test_unknown_errors_are_passed_on() -> None:
    """What we have no words for is shown in Envoy's."""
    assert "no such extension" in explain(socket_key(80), "no such extension").message
