"""One document's text to plain values. Pure.

In: the text of one YAML document, or of one or several JSON objects. Out: values made of dict, list
and scalars, or one problem with its line. Values are built from the parser's events, not from a node
tree: so nesting and aliases are bounded before they cost anything, and nothing here recurses.
Splitting files into documents is `documents`, finding a field's line `locating`; what the values mean is
the model's decoder.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Final

import msgspec
import yaml

from tidegate.sources.scalars import Scalar, TagError, narrow, resolve_plain, resolve_tagged

MAX_DEPTH: Final = 200
"""Levels of nesting in a document. CustomResourceDefinitions of real projects stay under 60."""

MAX_ALIASED_VALUES: Final = 50_000
"""Values that aliases may add to a document; an anchor bomb needs millions."""

_LONGEST_NAME: Final = 63

PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Yields the events of a YAML text: libyaml's parser where PyYAML was built with it."""
_JSON_START: Final = re.compile(r"(?:---[ \t]*\n)?\s*(?=\{)")
_NOTHING: Final = re.compile(r"(?:(?:\.\.\.)?[ \t]*(?:#.*)?(?:\n|\Z))*\Z")
_MERGE: Final = object()
_NO_KEY: Final = object()


class Document(msgspec.Struct, frozen=True):
    """One parsed value. ``line`` is where ``text`` starts, counted from 0, in what was parsed."""

    line: int
    text: str
    value: Any


class Broken(msgspec.Struct, frozen=True):
    """Text that is no document. ``line`` counts from 0; ``message`` is for people."""

    line: int
    message: str


def parse(text: str) -> tuple[Document, ...] | Broken:
    """All documents of one chunk: none when it is empty or null, several only for JSON."""
    if _NOTHING.match(text):
        return ()
    if json_start := _JSON_START.match(text):
        documents = _parse_json(text, json_start.end())
        if documents is not None:
            return documents
    try:
        value = _Builder(text).build()
    except _Refused as refused:
        return Broken(refused.line, str(refused))
    except yaml.YAMLError as error:
        return _explain(error, text)
    return () if value is None else (Document(0, text, value),)


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """Valid YAML that no manifest may contain."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Map:
    """A mapping under construction."""

    __slots__ = ("anchor", "key", "merged", "start", "values")

    def __init__(self, anchor: str | None, start: int) -> None:
        self.values: dict[str, Any] = {}
        self.key: Any = _NO_KEY
        self.merged: list[dict[str, Any]] = []
        self.anchor = anchor
        self.start = start


class _Seq:
    """A sequence under construction."""

    __slots__ = ("anchor", "start", "values")

    def __init__(self, anchor: str | None, start: int) -> None:
        self.values: list[Any] = []
        self.anchor = anchor
        self.start = start


class _Builder:
    """Turns the events of one document into a value."""

    def __init__(self, text: str) -> None:
        self._parser = PARSER(text)
        self._stack: list[_Map | _Seq] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._open: set[str] = set()
        self._values = 0
        self._aliased = 0
        self._result: Any = None
        self._documents = 0

    def build(self) -> Any:
        """The value. Raises _Refused and yaml.YAMLError."""
        handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._start_map,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceStartEvent: self._start_seq,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._start_document,
        }
        next_event = self._parser.get_event
        while (event := next_event()) is not None:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)
        return self._result

    def _start_document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _Refused(event.start_mark.line, "a second document starts here without a line of its own for ---")

    def _scalar(self, event: Any) -> None:
        value = _scalar_value(event)
        self._values += 1
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        stack = self._stack
        if stack and type(top := stack[-1]) is _Map and top.key is _NO_KEY:
            self._set_key(top, event, value)
        else:
            self._add(value, event)

    def _set_key(self, top: _Map, event: Any, value: Scalar) -> None:
        if value == "<<" and event.implicit[0]:
            top.key = _MERGE
            return
        key = value if type(value) is str else _key_text(value, event)
        if key in top.values:
            raise _Refused(event.start_mark.line, f"the key {key!r} stands twice in one mapping")
        top.key = key

    def _add(self, value: Any, event: Any) -> None:
        if not self._stack:
            self._result = value
            return
        top = self._stack[-1]
        if type(top) is _Seq:
            top.values.append(value)
            return
        assert type(top) is _Map
        if top.key is _NO_KEY:
            raise _Refused(event.start_mark.line, _KEY_NOT_TEXT)
        if top.key is _MERGE:
            top.merged.extend(_merge_sources(value, event))
        else:
            top.values[top.key] = value
        top.key = _NO_KEY

    def _start_map(self, event: Any) -> None:
        self._push(_Map(event.anchor, self._values), event)

    def _start_seq(self, event: Any) -> None:
        self._push(_Seq(event.anchor, self._values), event)

    def _push(self, frame: _Map | _Seq, event: Any) -> None:
        top = self._stack[-1] if self._stack else None
        if type(top) is _Map and top.key is _NO_KEY:
            raise _Refused(event.start_mark.line, _KEY_NOT_TEXT)
        if len(self._stack) >= MAX_DEPTH:
            raise _Refused(event.start_mark.line, f"nested more than {MAX_DEPTH} levels deep")
        if event.anchor is not None:
            self._open.add(event.anchor)
        self._values += 1
        self._stack.append(frame)

    def _end(self, event: Any) -> None:
        frame = self._stack.pop()
        if type(frame) is _Map:
            for merged in frame.merged:
                for key, value in merged.items():
                    frame.values.setdefault(key, value)
        if frame.anchor is not None:
            self._open.discard(frame.anchor)
            self._anchors[frame.anchor] = (frame.values, self._values - frame.start)
        self._add(frame.values, event)

    def _alias(self, event: Any) -> None:
        name, line = event.anchor, event.start_mark.line
        if name in self._open:
            raise _Refused(line, f"the alias *{name} stands inside of what it repeats")
        if name not in self._anchors:
            raise _Refused(line, f"the alias *{name} has no anchor &{name} before it in this document")
        value, weight = self._anchors[name]
        self._values += weight
        self._aliased += weight
        if self._aliased > MAX_ALIASED_VALUES:
            raise _Refused(line, f"aliases repeat more than {MAX_ALIASED_VALUES} values")
        top = self._stack[-1] if self._stack else None
        if type(top) is _Map and top.key is _NO_KEY and not isinstance(value, dict | list):
            self._set_key(top, event=_KeyAlias(event.start_mark), value=value)
        else:
            self._add(value, event)


class _KeyAlias:
    """An alias in the place of a key, seen as the scalar event it stands for."""

    implicit = (False, True)

    def __init__(self, start_mark: Any) -> None:
        self.start_mark = start_mark


_KEY_NOT_TEXT: Final = "a key has to be plain text, not a list or a mapping (an unrendered {{ template }}?)"


@lru_cache(maxsize=4096)
def _shared(text: str) -> str:
    """The same text, as one object with those before it: keys, and names that many objects refer to."""
    return text


def _scalar_value(event: Any) -> Scalar:
    plain, _ = event.implicit
    if plain:
        value = resolve_plain(event.value)
        return _shared(value) if type(value) is str and len(value) <= _LONGEST_NAME else value
    text: str = event.value
    if event.tag is None:
        return text
    try:
        return resolve_tagged(text, event.tag)
    except TagError as error:
        raise _Refused(event.start_mark.line, str(error)) from error


def _key_text(value: Scalar, event: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        raise _Refused(event.start_mark.line, "a key is missing before the colon")
    return str(value)


def _merge_sources(value: Any, event: Any) -> list[dict[str, Any]]:
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise _Refused(event.start_mark.line, "<< merges mappings, and this is none")
    return sources


def _parse_json(text: str, position: int) -> tuple[Document, ...] | None:
    """The objects of a JSON text; None when it is not JSON that stands the same rules."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_json_number, parse_constant=_no_constant)
    documents = []
    try:
        while (start := _skip_blanks(text, position)) < len(text):
            value, position = decoder.raw_decode(text, start)
            documents.append(Document(text.count("\n", 0, start), text[start:position], value))
    except (ValueError, RecursionError):
        return None
    if text.count("[") + text.count("{") > MAX_DEPTH and any(_too_deep(document.value) for document in documents):
        return None
    return tuple(documents)


def _json_number(text: str) -> int | float:
    return narrow(float(text))


def _no_constant(text: str) -> float:
    raise ValueError(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError
    return values


def _skip_blanks(text: str, position: int) -> int:
    end = len(text)
    while position < end and text[position] in " \t\n":
        position += 1
    return position


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer)]
        level = [part for part in inner if isinstance(part, dict | list)]
        if not level:
            return False
    return True


_TAB: Final = "a tab is used for indentation; YAML wants spaces"
_PLAIN_WORDS: Final = (
    ("found character '\\t' that cannot start any token", _TAB),
    ("found a tab character", _TAB),
    ("found character that cannot start any token", "a character stands here that cannot start a value"),
    ("mapping values are not allowed", "a colon stands where no key can be; check the indentation, or quote the value"),
    ("could not find expected ':'", "a key without a colon, or wrong indentation"),
    ("did not find expected key", "wrong indentation, or a key without a colon"),
    ("did not find expected '-' indicator", "wrong indentation inside of a list"),
    ("did not find expected ',' or ']'", "a list in [ ] is not closed or lacks a comma"),
    ("did not find expected ',' or '}'", "a mapping in { } is not closed or lacks a comma"),
    ("found unexpected end of stream", "a quoted text is not closed"),
    ("found unexpected document indicator", "a quoted text is not closed before the next document"),
    ("block sequence entries are not allowed", "a list item stands where none can be; check the indentation"),
    ("did not find expected node content", "a value is missing here"),
    ("control characters are not allowed", "a control character, which no manifest can contain"),
)


def _explain(error: yaml.YAMLError, text: str) -> Broken:
    """The parser's complaint in plain words, at the line where it was noticed."""
    if isinstance(error, yaml.MarkedYAMLError):
        problem = str(error.problem or error.context or "not YAML")
        lines = text.rstrip("\n").split("\n")
        mark = error.problem_mark or error.context_mark
        if problem in _NOTICED_LATE:
            mark = error.context_mark or mark
        line, column = (min(mark.line, len(lines) - 1), mark.column) if mark is not None else (0, 0)
        words = _TAB if lines[line][column : column + 1] == "\t" else _in_plain_words(problem)
        return Broken(line, f"not valid YAML: {words}")
    position = getattr(error, "position", 0)
    before = text.encode()[:position].decode(errors="ignore") if isinstance(position, int) else ""
    reason = str(getattr(error, "reason", "not YAML"))
    return Broken(before.count("\n"), f"not valid YAML: {_in_plain_words(reason)}")


_NOTICED_LATE: Final = ("found unexpected end of stream", "found unexpected document indicator")


def _in_plain_words(problem: str) -> str:
    for theirs, ours in _PLAIN_WORDS:
        if problem.startswith(theirs):
            return ours
    return problem
