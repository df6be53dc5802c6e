"""Documents that are one edit away from a valid one, at every boundary that the schema of its CRD has.

Comes in: a valid document and the OpenAPI schema of its kind. Goes out: edits. Whether they
are valid is for the API server to say: an edit crosses a boundary or just reaches it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from support.documents import ABSENT, Document, Keys

Schema = Mapping[str, Any]

OF_OTHER_TYPES: tuple[Any, ...] = (None, True, 1, 1.5, "a", [], {}, ["a"], {"a": "b"})
"""One of these is wrong for any field, and null is as good as absent."""

WORDS = (
    "", "a", "A", "0", "a.b", "a..b", "a_b", "a b", "a-", "-a", ".a", "a.", "*", "*.a", "*.a.b", "a.*", "a/b", "/a",
    "a/", "A/B", "a.b/C-d_e", "a.b/c/d", "1.2.3.4", "1.2.3", "01.2.3.4", "::1", "::ffff:1.2.3.4", "fe80::1%eth0",
    "TCP", "tcp", "IPAddress", "Service", "a\n", "\u00e4",
)  # fmt: skip
"""Texts at the edges of the patterns that the Gateway API uses."""

LENGTHS = (63, 64, 253, 254)

METADATA: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 253},
        "generation": {"type": "integer"},
        "creationTimestamp": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
"""What tidegate reads of metadata. CRDs leave that to the API server, whose schemas say nothing of lengths."""


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """An edited document: the field at ``keys`` has this ``value``, or none (ABSENT)."""

    document: Document
    keys: Keys
    value: Any


def edits(document: Document, schema: Schema) -> Iterator[Edit]:
    """All documents that are one edit away. ``schema`` is that of a whole object."""
    properties = {**schema["properties"], "metadata": METADATA}
    properties = {name: properties[name] for name in properties.keys() - {"apiVersion", "kind", "status"}}
    for keys, present, at in places(document, {"properties": properties}):
        for value in (*_values(present, at), *([] if present is ABSENT else [ABSENT])):
            yield Edit(document=_with(document, keys, value), keys=keys, value=value)


def places(part: Any, schema: Schema, keys: Keys = ()) -> Iterator[tuple[Keys, Any, Schema]]:
    """Every field that is there or could be, with its value or ABSENT, and its schema; of lists, the first entry."""
    inner: list[tuple[str | int, Any, Schema]] = []
    if isinstance(part, dict):
        inner = [(name, part.get(name, ABSENT), at) for name, at in schema.get("properties", {}).items()]
        if isinstance(schema.get("additionalProperties"), dict):
            inner += [(name, value, schema["additionalProperties"]) for name, value in part.items()]
    elif isinstance(part, list) and part:
        inner = [(0, part[0], schema["items"])]
    for key, value, at in inner:
        yield (*keys, key), value, at
        yield from places(value, at, (*keys, key))


def fields(schema: Schema, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all fields that a schema has, lists and maps looked through."""
    for name, at in schema.get("properties", {}).items():
        yield (*path, name)
        yield from fields(at, (*path, name))
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from fields(inner, path)


def _values(present: Any, schema: Schema) -> Iterator[Any]:
    """What to try in a field."""
    yield from OF_OTHER_TYPES
    yield from schema.get("enum", ())
    match schema.get("type"):
        case "string" if "enum" not in schema:
            yield from WORDS
            lengths = {*LENGTHS, schema.get("maxLength", 0), schema.get("maxLength", 0) + 1}
            yield from ("a" * length for length in sorted(lengths))
        case "integer":
            low, high = schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)
            yield from (low - 1, low, float(low), high, high + 1, -1, 0, 2**31, 2**63, str(low))
        case "array":
            limit = schema.get("maxItems", 16)
            first = present[0] if isinstance(present, list) and present else _sample(schema["items"])
            yield from ([_varied(first, number) for number in range(count)] for count in (1, limit, limit + 1))
            yield [first, first]
        case "object" if "additionalProperties" in schema:
            limit = schema.get("maxProperties", 8)
            yield from ({f"key{number}": "a" for number in range(count)} for count in (limit, limit + 1))
            yield from ({word: "a"} for word in (*WORDS, "a" * 63, "a" * 64, "a/" + "b" * 63, "a/" + "b" * 64))
            yield from ({"a": value} for value in (None, 1, *WORDS, "a" * 63, "a" * 64, "a" * 4096, "a" * 4097))


def _sample(schema: Schema) -> Any:
    """Some value with all required fields, which need not be valid."""
    match schema.get("type"):
        case "object":
            return {name: _sample(schema["properties"][name]) for name in schema.get("required", ())}
        case "array":
            return [_sample(schema["items"])]
        case "integer":
            return schema.get("minimum", 1)
        case _:
            return schema.get("enum", ["a"])[0]


def _varied(item: Any, number: int) -> Any:
    """An entry that differs from the others of its list."""
    if isinstance(item, str):
        return f"{item}{number}"
    if not isinstance(item, dict):
        return number
    own = {"name": f"n{number}", "port": 1000 + number, "namespace": f"n{number}", "value": f"10.0.0.{number}"}
    return {**item, **{key: value for key, value in own.items() if key in item}}


def _with(document: Document, keys: Keys, value: Any) -> Document:
    changed = copy.deepcopy(document)
    *parents, last = keys
    place: Any = changed
    for key in parents:
        place = place[key]
    if value is ABSENT:
        del place[last]
    else:
        place[last] = copy.deepcopy(value)
    return changed
