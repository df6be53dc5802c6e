"""The CustomResourceDefinition of GatewayParameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tidegate.installation.crd import definition


@pytest.fixture
def schema() -> dict[str, Any]:
    """The schema of the one version."""
    (version,) = definition()["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field below a schema, with its path."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
        yield from fields(field.get("items", {}), f"{path}.{name}[]")


def test_every_field_is_described(schema: dict[str, Any]) -> None:
    """What kubectl explain shows is a sentence for each field of ours."""
    spec = schema["properties"]["spec"]
    assert [path for path, field in fields(spec) if not field.get("description", "").endswith(".")] == []


def test_nothing_has_a_default(schema: dict[str, Any]) -> None:
    """A default filled in by the API server would hide what the class's parameters say."""
    assert [path for path, field in fields(schema) if "default" in field] == []


def test_every_list_and_map_is_bounded(schema: dict[str, Any]) -> None:
    """No object can be larger than what a Pod takes."""
    unbounded = [
        path
        for path, field in fields(schema["properties"]["spec"])
        if ("additionalProperties" in field and "maxProperties" not in field)
        or (field["type"] == "array" and "maxItems" not in field)
        or (field["type"] == "string" and not {"enum", "maxLength"} & field.keys())
    ]
    assert unbounded == []


def test_only_the_spec_is_required(schema: dict[str, Any]) -> None:
    """Every choice is optional."""
    assert schema["required"] == ["spec"]
    assert [path for path, field in fields(schema) if "required" in field] == []
