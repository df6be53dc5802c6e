"""The fast check: is there anything at all to say about a value that ``msgspec`` has decoded?

Comes in: a document and the typed value decoded from it. Goes out: yes or no. What there is to say is
the business of the slow walk (``schema.py``), which follows whenever the answer is no; so a valid document
costs neither messages nor paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidegate.model.validation.rules import ListRule, RuleSet, StructRule
from tidegate.model.validation.schema import ListNode, StructNode

KeyCheck = Callable[[Mapping[str, Any]], bool]
RuleCheck = Callable[[Any], bool]


def key_check(node: StructNode) -> KeyCheck:
    """Checks that a document, already known to have the right types, has no unknown fields."""
    known = node.known
    parts: list[tuple[str, KeyCheck]] = []
    lists: list[tuple[str, KeyCheck]] = []
    for field in node.fields:
        if isinstance(field.node, StructNode):
            parts.append((field.key, key_check(field.node)))
        elif isinstance(field.node, ListNode) and isinstance(field.node.item, StructNode):
            lists.append((field.key, key_check(field.node.item)))

    def check(document: Mapping[str, Any]) -> bool:
        if not document.keys() <= known:
            return False
        for key, part_check in parts:
            part = document.get(key)
            if part and not part_check(part):
                return False
        for key, item_check in lists:
            for item in document.get(key) or ():
                if not item_check(item):
                    return False
        return True

    return check


def rule_check(node: StructNode, rules: RuleSet) -> RuleCheck | None:
    """Checks that a typed value breaks no rule; None: there is no rule for it and its parts."""
    own = rules.structs.get(node.cls, ())
    parts: list[tuple[str, RuleCheck]] = []
    lists: list[tuple[str, RuleCheck | None, tuple[ListRule, ...]]] = []
    for field in node.fields:
        if isinstance(field.node, StructNode):
            part_check = rule_check(field.node, rules)
            if part_check is not None:
                parts.append((field.name, part_check))
        elif isinstance(field.node, ListNode) and isinstance(field.node.item, StructNode):
            item_check = rule_check(field.node.item, rules)
            list_rules = rules.lists.get((node.cls, field.name), ())
            if item_check is not None or list_rules:
                lists.append((field.name, item_check, list_rules))
    return _combined(own, parts, lists) if own or parts or lists else None


def _combined(
    own: tuple[StructRule, ...],
    parts: list[tuple[str, RuleCheck]],
    lists: list[tuple[str, RuleCheck | None, tuple[ListRule, ...]]],
) -> RuleCheck:
    def check(value: Any) -> bool:
        for name, part_check in parts:
            part = getattr(value, name)
            if part is not None and not part_check(part):
                return False
        for name, item_check, list_rules in lists:
            items = getattr(value, name)
            if item_check is not None and not all(map(item_check, items)):
                return False
            if list_rules and _breaks_any(list_rules, list(enumerate(items))):
                return False
        return not _breaks_any(own, value)

    return check


def _breaks_any(rules: tuple[Callable[[Any], Any], ...], value: object) -> bool:
    for rule in rules:
        for _problem in rule(value):
            return True
    return False
