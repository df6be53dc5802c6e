"""YAML and JSON of results."""

from __future__ import annotations

import json

import pytest
import yaml

from support.states import listener_view, state
from tidegate.cli.output import as_json, as_yaml


def test_both_forms_say_the_same() -> None:
    """A state in YAML and in JSON reads back as the same value."""
    value = state(listener_view())
    assert yaml.safe_load(as_yaml(value)) == json.loads(as_json(value))


def test_yaml_has_no_anchors_and_keeps_order_and_unicode() -> None:
    """The text is what an API server would print: no references, keys as given, letters as they are."""
    shared = {"b": "ü", "a": 1}
    assert as_yaml({"z": shared, "x": shared}) == "z:\n  b: ü\n  a: 1\nx:\n  b: ü\n  a: 1\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("True", '"True"'),
        ("y", '"y"'),
        ("1e3", '"1e3"'),
        ("0o17", '"0o17"'),
        ("2026-01-01T00:00:00Z", '"2026-01-01T00:00:00Z"'),
        ("", '""'),
        ("12:30:45", '"12:30:45"'),
        ("plain text", "plain text"),
        ("a: b", "'a: b'"),
        (True, "true"),
        (7, "7"),
    ],
)
def test_text_that_looks_like_something_else_is_quoted(value: object, text: str) -> None:
    """What is printed can be given to run and to kubectl again."""
    assert as_yaml({"a": value}) == f"a: {text}\n"


def test_json_is_indented() -> None:
    """JSON is for people too."""
    assert as_json({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}\n'
