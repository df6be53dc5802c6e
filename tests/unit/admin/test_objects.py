"""Finding objects as an API server's paths do."""

from __future__ import annotations

from typing import Any

import pytest

from support.manifests import gateway, listener, service
from tidegate.admin.objects import condition, kind_named, list_of, path_of, refused_for, select

OBJECTS: list[dict[str, Any]] = [
    gateway("b", [listener("x", 1)], namespace="two"),
    gateway("a", [listener("x", 1)], namespace="two"),
    gateway("z", [listener("x", 1)], namespace="one"),
    service("a", namespace="two"),
]


@pytest.mark.parametrize(
    "word", ["gateways", "gateway", "gtw", "Gateway", "GATEWAYS", "gateways.gateway.networking.k8s.io"]
)
def test_a_kind_has_many_names(word: str) -> None:
    """Plural, singular and short names mean a kind, in any case, with or without group."""
    kind = kind_named(word)
    assert kind is not None
    assert kind.plural == "gateways"


@pytest.mark.parametrize("word", ["", "gatewayss", "services.gateway.networking.k8s.io", "pods"])
def test_other_words_are_no_kind(word: str) -> None:
    """A word of another group or of no kind means nothing."""
    assert kind_named(word) is None


def test_objects_are_selected_and_sorted() -> None:
    """All of a kind come by namespace and name, or those of a namespace, or one."""
    kind = kind_named("gateways")
    assert kind is not None
    assert [path_of(item) for item in select(OBJECTS, kind)] == ["one/z", "two/a", "two/b"]
    assert [path_of(item) for item in select(OBJECTS, kind, namespace="two")] == ["two/a", "two/b"]
    assert [path_of(item) for item in select(OBJECTS, kind, namespace="one", name="a")] == []


def test_a_namespace_means_nothing_to_cluster_scoped_kinds() -> None:
    """Namespaces themselves are found whatever namespace is asked for."""
    kind = kind_named("ns")
    assert kind is not None
    item = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}
    assert select([item], kind, namespace="default") == [item]
    assert path_of(item) == "x"


def test_several_objects_are_a_list() -> None:
    """Several objects come in one document of kind List."""
    assert list_of(OBJECTS)["kind"] == "List"
    assert list_of(OBJECTS)["items"] == OBJECTS


def test_a_reason_is_told_for_what_is_false_only() -> None:
    """A condition that is True, Unknown or missing refuses nothing."""
    conditions = [
        {"type": "Accepted", "status": "False", "reason": "NoMatchingParent"},
        {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs"},
    ]
    assert refused_for(conditions, "Accepted") == "NoMatchingParent"
    assert refused_for(conditions, "ResolvedRefs") is None
    assert refused_for(conditions, "Programmed") is None
    assert condition(conditions, "ResolvedRefs") == conditions[1]
