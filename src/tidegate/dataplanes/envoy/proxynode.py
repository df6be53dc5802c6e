"""How a proxy of a fleet introduces itself: its name, its addresses, and what its surroundings permit.

In: what a proxy found out when it started. Out: the ``node`` of its bootstrap, and from the ``node`` in its first
request the same again. Which Gateway it may serve is not for it to say: its certificate does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from envoy.config.core.v3 import base_pb2

from tidegate.dataplanes.envoy.translate import TranslateOptions

_IPV4_WILDCARD = "0.0.0.0"  # noqa: S104  # It is told from "::", nothing is bound here.


class ProxyNode(msgspec.Struct, frozen=True, kw_only=True):
    """``name`` is unique among the proxies of a Gateway: the Pod's.

    ``instance`` tells a process from an earlier one of the same name, which had what this one does not have.
    ``addresses`` are those by which others know whether it is ready, in canonical form.
    """

    name: str
    instance: str
    addresses: tuple[str, ...]
    surroundings: TranslateOptions


def canonical(addresses: Iterable[str]) -> Iterator[str]:
    """The addresses in canonical form; what is none is left out."""
    for text in addresses:
        try:
            yield str(ipaddress.ip_address(text))
        except ValueError:
            continue


def as_json(node: ProxyNode) -> dict[str, Any]:
    """The ``node`` of a bootstrap."""
    return {
        "id": node.name,
        "cluster": "tidegate",
        "metadata": {
            "instance": node.instance,
            "addresses": list(node.addresses),
            "wildcard": node.surroundings.wildcard,
            "shared_ports": node.surroundings.shared_ports,
        },
    }


def from_message(node: base_pb2.Node) -> ProxyNode:
    """The node of a request. What it leaves out, or gets wrong, is as an Envoy of ours would have it by default."""
    told: Mapping[str, Any] = {key: _plain(value) for key, value in node.metadata.fields.items()}
    addresses = told.get("addresses")
    return ProxyNode(
        name=node.id,
        instance=str(told.get("instance", "")),
        addresses=tuple(canonical(addresses)) if isinstance(addresses, list) else (),
        surroundings=TranslateOptions(
            wildcard=_IPV4_WILDCARD if told.get("wildcard") == _IPV4_WILDCARD else "::",
            shared_ports=told.get("shared_ports") is not False,
        ),
    )


def _plain(value: Any) -> object:
    """A value of a ``Struct``: a text, a truth value, or a list of texts; None for all others."""
    match value.WhichOneof("kind"):
        case "string_value":
            return str(value.string_value)
        case "bool_value":
            return bool(value.bool_value)
        case "list_value":
            return [one.string_value for one in value.list_value.values if one.HasField("string_value")]
        case _:
            return None
