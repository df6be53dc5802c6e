"""What a rule over several fields is, and sets of rules.

A *struct rule* sees one typed value whose own fields are sound. A *list rule* sees the sound entries of
one list field, each with its index, whatever else is wrong around it. Both yield what they object to,
with keys relative to the value (struct rules) or to the list (list rules, starting with an index). The
scalars' limits are no rules: they stand in the annotations of the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from tidegate.model.meta import ApiStruct
from tidegate.model.validation.problems import FieldProblem

Items = Sequence[tuple[int, Any]]
StructRule = Callable[[Any], Iterable[FieldProblem]]
ListRule = Callable[[Items], Iterable[FieldProblem]]


class RuleSet(msgspec.Struct, frozen=True):
    """Rules by the class they apply to, and by class and attribute name for lists."""

    structs: dict[type[ApiStruct], tuple[StructRule, ...]] = {}
    lists: dict[tuple[type[ApiStruct], str], tuple[ListRule, ...]] = {}

    def __or__(self, other: RuleSet) -> RuleSet:
        """Both sets of rules, this one's first."""
        structs = dict(self.structs)
        for owner, added in other.structs.items():
            structs[owner] = structs.get(owner, ()) + added
        lists = dict(self.lists)
        for place, more in other.lists.items():
            lists[place] = lists.get(place, ()) + more
        return RuleSet(structs, lists)


def unique(
    items: Items, key: Callable[[Any], object], message: Callable[[Any, int], FieldProblem]
) -> Iterable[FieldProblem]:
    """One problem for every entry whose key an earlier entry has; a key of None is exempt.

    ``message`` gets the entry and the index of the earlier one; its keys are relative to the entry.
    """
    first: dict[object, int] = {}
    for index, item in items:
        identity = key(item)
        if identity is None:
            continue
        earlier = first.setdefault(identity, index)
        if earlier != index:
            yield message(item, earlier).under(index)
