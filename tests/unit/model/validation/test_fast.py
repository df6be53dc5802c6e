"""The fast check says no exactly where the slow walk has something to say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from support.documents import GATEWAY, TCP_ROUTE, TLS_GATEWAY, edited
from tidegate.model.gateway import Gateway
from tidegate.model.validation.fast import key_check, rule_check
from tidegate.model.validation.gateway_rules import GATEWAY_RULES
from tidegate.model.validation.rules import RuleSet
from tidegate.model.validation.schema import node_for

NODE = node_for(Gateway)
HAS_KNOWN_KEYS = key_check(NODE)


def test_known_keys() -> None:
    """Documents with known fields only pass, those that tidegate does not read included."""
    assert HAS_KNOWN_KEYS(GATEWAY)
    assert HAS_KNOWN_KEYS(TLS_GATEWAY)
    assert HAS_KNOWN_KEYS({**GATEWAY, "status": {"any": "thing"}})
    assert HAS_KNOWN_KEYS(edited(GATEWAY, "metadata.managedFields", [{"a": 1}]))


@pytest.mark.parametrize(
    "path",
    ["x", "metadata.x", "metadata.order", "spec.x", "spec.defaultScope", "spec.listeners.1.x",
     "spec.listeners.0.tls.certificateRefs.0.x", "spec.tls.frontend.default.validation.x"],
)  # fmt: skip
def test_unknown_keys(path: str) -> None:
    """An unknown field anywhere is noticed."""
    base = edited(TLS_GATEWAY, "spec.listeners.1", {"name": "other", "port": 1, "protocol": "TCP"})
    assert not HAS_KNOWN_KEYS(edited(base, path, 1))


def test_free_keys_are_not_fields() -> None:
    """Labels and other maps have whatever keys they like."""
    assert HAS_KNOWN_KEYS(edited(GATEWAY, "metadata.labels", {"anything": "goes"}))


@pytest.mark.parametrize(
    ("path", "value", "keeps"),
    [
        ("spec.listeners.0.port", 443, True),
        ("spec.listeners.0.protocol", "TCP", False),
        ("spec.listeners.1", {"name": "tls", "port": 1, "protocol": "TCP"}, False),
        ("spec.addresses.0.value", "nowhere", False),
        ("spec.addresses.1", {"value": "192.0.2.1"}, False),
        ("spec.tls.frontend.perPort.1", {"port": 443, "tls": {}}, False),
    ],
)
def test_rules_of_structs_and_lists(path: str, value: object, *, keeps: bool) -> None:
    """A broken rule anywhere is noticed."""
    check = rule_check(NODE, GATEWAY_RULES)
    assert check is not None
    gateway: Any = msgspec.convert(edited(TLS_GATEWAY, path, value), Gateway)
    assert check(gateway) is keeps


def test_without_rules_there_is_nothing_to_check() -> None:
    """A kind without rules costs nothing."""
    assert rule_check(NODE, RuleSet()) is None
    assert not HAS_KNOWN_KEYS(TCP_ROUTE)
