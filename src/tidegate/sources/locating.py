"""From a field to its line, when there is something to report about it. Pure.

In: the text of a document that was parsed, and the keys that lead to a field. Out: a line. The text is
parsed again as far as the field: marks cost more than the values, so nobody keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tidegate.sources.parsing import PARSER


def locate(text: str, keys: tuple[str | int, ...]) -> int:
    """The line, from 0, of the field that ``keys`` lead to; of its nearest parent when it is absent.

    ``text`` is one document that `parse` accepted. For a mapping's field the line is that of its key.
    """
    try:
        events = _events(text)
        for event in events:
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                return _descend(events, event, keys)
            if isinstance(event, yaml.ScalarEvent):
                return _line_of(event)
    except yaml.YAMLError:
        return 0  # JSON that YAML does not take: the document's first line has to do.
    return 0


def _events(text: str) -> Iterator[Any]:
    parser: Any = PARSER(text)
    while (event := parser.get_event()) is not None:
        yield event


def _descend(events: Iterator[Any], opened: Any, keys: tuple[str | int, ...]) -> int:
    line = _line_of(opened)
    for key in keys:
        if isinstance(opened, yaml.MappingStartEvent):
            found = _find_key(events, str(key))
        elif isinstance(opened, yaml.SequenceStartEvent) and isinstance(key, int):
            found = _find_item(events, key)
        else:
            return line
        if found is None:
            return line
        line, opened = found
    return line


def _find_key(events: Iterator[Any], key: str) -> tuple[int, Any] | None:
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            return None
        value = next(events)
        if isinstance(event, yaml.ScalarEvent) and event.value == key:
            return _line_of(event), value
        _skip(events, value)
    return None


def _find_item(events: Iterator[Any], index: int) -> tuple[int, Any] | None:
    for position, event in enumerate(events):
        if isinstance(event, yaml.SequenceEndEvent):
            return None
        if position == index:
            return _line_of(event), event
        _skip(events, event)
    return None


def _skip(events: Iterator[Any], opened: Any) -> None:
    depth = 1 if isinstance(opened, yaml.CollectionStartEvent) else 0
    while depth:
        event = next(events)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line_of(event: Any) -> int:
    line: int = event.start_mark.line
    return line
