"""YAML and JSON of results."""

from __future__ import annotations

import json

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
    assert as_yaml({"z": shared, "y": shared}) == "z:\n  b: ü\n  a: 1\ny:\n  b: ü\n  a: 1\n"


def test_json_is_indented() -> None:
    """JSON is for people too."""
    assert as_json({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}\n'
