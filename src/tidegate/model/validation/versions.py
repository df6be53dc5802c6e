"""One row per kind and version that is read: which channel's schema, which rules, what to note.

A new kind is its class in ``model``, its row in ``model.kinds``, and here a row only if it has rules of
its own. Documents of a known kind in any other version are rejected.
"""

from __future__ import annotations

import msgspec

from tidegate.model.gateway import Gateway
from tidegate.model.kinds import KINDS, Kind
from tidegate.model.routes import TCPRoute
from tidegate.model.validation.core_rules import CORE_RULES, METADATA_RULES, without_namespace
from tidegate.model.validation.fast import KeyCheck, RuleCheck, key_check, rule_check
from tidegate.model.validation.gateway_rules import GATEWAY_RULES
from tidegate.model.validation.route_rules import EXPERIMENTAL_ROUTE_RULES, STANDARD_ROUTE_RULES
from tidegate.model.validation.rules import RuleSet
from tidegate.model.validation.schema import StructNode, node_for
from tidegate.names import CORE_GROUP


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """What sets a version of a kind apart: its rules, whether it has experimental fields, a remark."""

    rules: RuleSet = RuleSet()
    experimental: bool = False
    note: str = ""


_CHANNELS: dict[tuple[type, str], Channel] = {
    (Gateway, "v1"): Channel(rules=GATEWAY_RULES),
    (Gateway, "v1beta1"): Channel(rules=GATEWAY_RULES),
    (TCPRoute, "v1"): Channel(rules=STANDARD_ROUTE_RULES),
    (TCPRoute, "v1alpha2"): Channel(
        rules=EXPERIMENTAL_ROUTE_RULES,
        experimental=True,
        note="TCPRoute v1alpha2 is deprecated since Gateway API 1.6: write gateway.networking.k8s.io/v1",
    ),
}
"""Versions that differ from the standard channel, or have rules. Others need no row."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A kind in one version, ready to read documents."""

    kind: Kind
    version: str
    experimental: bool
    note: str
    rules: RuleSet
    node: StructNode
    has_known_keys: KeyCheck
    keeps_rules: RuleCheck | None


def api_version(group: str, version: str) -> str:
    """``apiVersion`` as it stands in documents."""
    return version if group == CORE_GROUP else f"{group}/{version}"


def _compile(kind: Kind, version: str) -> Version:
    channel = _CHANNELS.get((kind.resource, version), Channel())
    rules = METADATA_RULES | CORE_RULES | channel.rules
    if not kind.namespaced:
        rules |= RuleSet(structs={kind.resource: (without_namespace,)})
    node = node_for(kind.resource, experimental=channel.experimental)
    return Version(
        kind=kind,
        version=version,
        experimental=channel.experimental,
        note=channel.note,
        rules=rules,
        node=node,
        has_known_keys=key_check(node),
        keeps_rules=rule_check(node, rules),
    )


VERSIONS: dict[tuple[str, str], Version] = {
    (api_version(kind.group, version), kind.kind): _compile(kind, version)
    for kind in KINDS
    for version in kind.versions
}
"""By ``apiVersion`` and ``kind``, as they stand in a document."""
