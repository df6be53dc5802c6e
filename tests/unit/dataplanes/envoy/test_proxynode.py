"""A proxy introduces itself in its bootstrap, and is understood from the node of its requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2
from google.protobuf import json_format

from tidegate.dataplanes.envoy.proxynode import ProxyNode, as_json, canonical, from_message
from tidegate.dataplanes.envoy.translate import TranslateOptions


def node(**fields: Any) -> ProxyNode:
    """A proxy with these fields."""
    known: dict[str, Any] = {
        "name": "edge-7d9",
        "instance": "5f",
        "addresses": ("10.0.0.7", "2001:db8::7"),
        "surroundings": TranslateOptions(),
    }
    return ProxyNode(**known | fields)


def sent(document: dict[str, Any]) -> base_pb2.Node:
    """The node as Envoy sends it, which reads its bootstrap as JSON."""
    return json_format.Parse(json.dumps(document), base_pb2.Node())


@pytest.mark.parametrize(
    "one",
    [
        node(),
        node(addresses=()),
        node(surroundings=TranslateOptions(wildcard="0.0.0.0")),
        node(surroundings=TranslateOptions(shared_ports=False)),
    ],
)
def test_what_is_told_is_understood(one: ProxyNode) -> None:
    """A node survives the way through a bootstrap and a request."""
    assert from_message(sent(as_json(one))) == one


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"instance": None, "addresses": "10.0.0.7", "wildcard": "everywhere", "shared_ports": "no"},
        {"addresses": [7, {"a": 1}, "no address"], "wildcard": 4, "shared_ports": None},
    ],
)
def test_an_envoy_that_says_little_or_nonsense(metadata: dict[str, Any]) -> None:
    """Whatever is missing or wrong is as it is by default: such an Envoy is served, and never ready."""
    found = from_message(sent({"id": "x", "metadata": metadata}))
    assert found.name == "x"
    assert found.addresses == ()
    assert found.surroundings == TranslateOptions()


def test_addresses_are_compared_in_one_form() -> None:
    """Addresses have many forms and are compared as text."""
    assert list(canonical(["10.0.0.1", "2001:DB8:0::1", "", "host", "10.0.0.256"])) == ["10.0.0.1", "2001:db8::1"]
