"""Reading structure: structs, lists and maps, compiled from the annotated classes of the model.

Comes in: a class (``node_for``), then parsed documents. Goes out: typed values, and on the ``Walk`` every
problem and every dropped field. It follows the API server: null in place of a field means that the field
is absent, then defaults apply, unknown fields are dropped, and rules see the completed value. One broken
entry of a list does not hide what is wrong with the others.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from tidegate.model.meta import ApiStruct
from tidegate.model.validation.problems import FieldProblem, Keys, did_you_mean, found
from tidegate.model.validation.values import Boolean, Choice, Integer, Moment, NumberOrName, Text
from tidegate.model.validation.walk import UNSOUND, Node, Unsound, Walk

OBJECT_KEYS = frozenset({"apiVersion", "kind", "status"})
"""What every object has beside the fields of its class. ``status`` is ignored, unless it is such a field."""


class ListNode(msgspec.Struct, frozen=True, kw_only=True):
    """A list of ``low`` to ``high`` entries."""

    item: Node
    low: int = 0
    high: int | None = None

    def read(self, value: object, keys: Keys, walk: Walk) -> tuple[object, ...] | Unsound:
        """The entries, if all are sound."""
        items = self.items(value, keys, walk)
        if items is UNSOUND:
            return UNSOUND
        assert isinstance(value, list | tuple)
        if len(items) != len(value):
            return UNSOUND
        return tuple(item for _, item in items)

    def items(self, value: object, keys: Keys, walk: Walk) -> list[tuple[int, object]] | Unsound:
        """The sound entries with their indexes. Of a list that is too long, only ``high`` are read."""
        if not isinstance(value, list | tuple):
            return walk.reject(keys, f"must be a list, found {found(value)}")
        if len(value) < self.low:
            return walk.reject(keys, "must not be empty")
        if self.high is not None and len(value) > self.high:
            entries = "entry" if self.high == 1 else "entries"
            walk.reject(keys, f"must have at most {self.high} {entries}, found {len(value)}")
        sound: list[tuple[int, object]] = []
        for index, raw in enumerate(value[: self.high]):
            if walk.problems.full:
                break
            item = self.item.read(raw, (*keys, index), walk)
            if item is not UNSOUND:
                sound.append((index, item))
        return sound


class MapNode(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping with free keys, at most ``high``. An entry that is null counts as absent, as a field does; where
    Kubernetes' own types are read, it is the empty text (``null_is_empty``).
    """

    key: Node
    item: Node
    high: int | None = None
    null_is_empty: bool = False

    def read(self, value: object, keys: Keys, walk: Walk) -> dict[str, object] | Unsound:
        """The mapping, if all of it is sound."""
        if not isinstance(value, dict):
            return walk.reject(keys, f"must be a mapping, found {found(value)}")
        absent = "" if self.null_is_empty else None
        named = {name: absent if raw is None else raw for name, raw in _with_text_keys(value, keys, walk).items()}
        present = {name: raw for name, raw in named.items() if raw is not None}
        if self.high is not None and len(present) > self.high:
            return walk.reject(keys, f"must have at most {self.high} entries, found {len(present)}")
        entries: dict[str, object] = {}
        whole = True
        for name, raw in present.items():
            item = self.item.read(raw, (*keys, name), walk)
            if self.key.read(name, (*keys, name), walk) is UNSOUND or item is UNSOUND:
                whole = False
            else:
                entries[name] = item
        return entries if whole else UNSOUND


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a struct: ``name`` in Python, ``key`` in documents."""

    name: str
    key: str
    node: Node
    required: bool
    zero_is_absent: bool = False
    defaults_to_struct: bool = False

    def completed(self, raw: object) -> object:
        """The found value, or None if the field is to count as absent. A struct that is there by default
        is read like an empty one, so that its rules apply.
        """
        if self.zero_is_absent and not isinstance(raw, bool) and raw in ("", 0):
            return None
        return {} if raw is None and self.defaults_to_struct else raw


class StructNode(msgspec.Struct, frozen=True, kw_only=True):
    """An object with named fields. ``dropped`` are fields that only the experimental channel has."""

    cls: type[ApiStruct]
    fields: tuple[Field, ...]
    known: frozenset[str]
    dropped: frozenset[str]

    def read(self, value: object, keys: Keys, walk: Walk) -> ApiStruct | Unsound:
        """The typed object, after its rules; list fields keep their sound entries."""
        if not isinstance(value, dict):
            return walk.reject(keys, f"must be a mapping, found {found(value)}")
        named = _with_text_keys(value, keys, walk)
        self._warn_of_unknown(named, keys, walk)
        parts: dict[str, Any] = {}
        indexes: dict[str, list[int]] = {}
        whole = True
        for field in self.fields:
            raw = field.completed(named.get(field.key))
            if raw is None:
                if field.required:
                    walk.reject((*keys, field.key), "is required")
                    whole = False
                continue
            part = self._part(field, raw, keys, walk, indexes)
            if part is UNSOUND:
                whole = False
            else:
                parts[field.name] = part
        if not whole:
            return UNSOUND
        built = self.cls(**parts)
        for rule in walk.rules.structs.get(self.cls, ()):
            for problem in rule(built):
                walk.problems.add(_reindexed(problem, indexes).under(*keys))
        return built

    def _part(self, field: Field, raw: object, keys: Keys, walk: Walk, indexes: dict[str, list[int]]) -> object:
        """One field's value; of a list of structs, what is sound of it."""
        place = (*keys, field.key)
        if not (isinstance(field.node, ListNode) and isinstance(field.node.item, StructNode)):
            return field.node.read(raw, place, walk)
        items = field.node.items(raw, place, walk)
        if items is UNSOUND:
            return UNSOUND
        for rule in walk.rules.lists.get((self.cls, field.name), ()):
            for problem in rule(items):
                walk.problems.add(problem.under(*place))
        indexes[field.key] = [index for index, _ in items]
        # Without any sound entry, rules that count entries would complain of what is not there.
        return tuple(item for _, item in items) if items or not raw else UNSOUND

    def _warn_of_unknown(self, named: dict[str, object], keys: Keys, walk: Walk) -> None:
        for key in named:
            if key in self.known:
                continue
            if key in self.dropped:
                walk.warn((*keys, key), "is an experimental field, ignored in this version")
            elif walk.warnings.full:
                walk.warn((*keys, key), "unknown field, ignored")
            else:
                hint = did_you_mean(key, {field.key for field in self.fields} - named.keys())
                walk.warn((*keys, key), f"unknown field, ignored{hint}")


def _reindexed(problem: FieldProblem, indexes: dict[str, list[int]]) -> FieldProblem:
    """A struct rule's problem, with an index into the sound entries turned into one into the document."""
    match problem.keys:
        case (str(key), int(index), *rest) if key in indexes:
            return FieldProblem((key, indexes[key][index], *rest), problem.message)
        case _:
            return problem


def _with_text_keys(value: dict[Any, object], keys: Keys, walk: Walk) -> dict[str, object]:
    """The mapping as JSON would have it: YAML's numbers and truth values as keys become text."""
    if all(isinstance(key, str) for key in value):
        return value
    named: dict[str, object] = {}
    for key, item in value.items():
        if isinstance(key, str):
            named[key] = item
        elif isinstance(key, bool | int | float):
            named[found(key)] = item
        else:
            walk.reject(keys, f"a key must be text, found {found(key)}")
    return named


@cache
def node_for(cls: type[ApiStruct], *, experimental: bool = False) -> StructNode:
    """The reader of a class. ``experimental``: with the fields of the experimental channel."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return _struct(info, experimental=experimental)


def _struct(info: inspect.StructType, *, experimental: bool) -> StructNode:
    cls = info.cls
    assert issubclass(cls, ApiStruct)
    dropped = frozenset() if experimental else cls.EXPERIMENTAL
    fields = tuple(
        _field(field, experimental=experimental)
        for field in info.fields
        if field.name not in cls.INTERNAL and field.encode_name not in dropped
    )
    known = {field.key for field in fields} | cls.UNREAD | (OBJECT_KEYS if hasattr(cls, "KIND") else frozenset())
    return StructNode(cls=cls, fields=fields, known=frozenset(known), dropped=dropped)


def _field(field: inspect.Field, *, experimental: bool) -> Field:
    inner, extra = _unwrapped(field.type)
    return Field(
        name=field.name,
        key=field.encode_name,
        node=_node(inner, extra, experimental=experimental),
        required=field.required,
        zero_is_absent=bool(extra.get("zero_is_absent")),
        defaults_to_struct=isinstance(field.default, ApiStruct),
    )


def _unwrapped(info: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """A type without its annotations and without the None of optional fields, and its annotations."""
    match info:
        case inspect.Metadata(type=inner, extra=extra):
            bare, more = _unwrapped(inner)
            return bare, {**more, **(extra or {})}
        case inspect.UnionType(types=types) if any(isinstance(each, inspect.NoneType) for each in types):
            rest = tuple(each for each in types if not isinstance(each, inspect.NoneType))
            return _unwrapped(rest[0] if len(rest) == 1 else inspect.UnionType(types=rest))
        case _:
            return info, {}


def _node(info: inspect.Type, extra: dict[str, Any], *, experimental: bool) -> Node:
    """The reader of a type. Raises TypeError for a type that no class of the model may use."""

    def inner(part: inspect.Type) -> Node:
        bare, more = _unwrapped(part)
        return _node(bare, more, experimental=experimental)

    match info:
        case inspect.StructType():
            return _struct(info, experimental=experimental)
        case inspect.VarTupleType():
            return ListNode(item=inner(info.item_type), low=info.min_length or 0, high=info.max_length)
        case inspect.DictType():
            null_is_empty = bool(_unwrapped(info.value_type)[1].get("null_is_empty"))
            key, item = inner(info.key_type), inner(info.value_type)
            return MapNode(key=key, item=item, high=info.max_length, null_is_empty=null_is_empty)
        case inspect.UnionType():
            return _either([inner(each) for each in info.types])
        case _:
            return _scalar(info, extra)


def _either(nodes: list[Node]) -> Node:
    match nodes:
        case [Integer() as number, Text() as name]:
            return NumberOrName(number=number, name=name)
        case _:
            raise TypeError("the only union in the API is a number or a name")


def _scalar(info: inspect.Type, extra: dict[str, Any]) -> Node:
    match info:
        case inspect.StrType() if "choices" in extra:
            return Choice(values=extra["choices"])
        case inspect.StrType(pattern=pattern):
            compiled = re.compile(pattern) if pattern else None
            return Text(low=info.min_length or 0, high=info.max_length, pattern=compiled, must=extra.get("must", ""))
        case inspect.IntType(ge=int(low), le=int(high)):
            return Integer(low=low, high=high)
        case inspect.BoolType():
            return Boolean()
        case inspect.DateTimeType():
            return Moment()
        case _:
            raise TypeError(f"no reader for {info!r}")
