"""The inputs: which table an object belongs to, and how slices and grants are found."""

from __future__ import annotations

import pytest

from support.manifests import grant, slice_of
from support.resources import World, typed
from tidegate.core.tables import GRANTS_IN, SLICES_OF, table_of
from tidegate.model.kinds import KINDS, Kind, key_of
from tidegate.names import GATEWAY_GROUP, ObjectKey


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_kind_that_is_read_has_a_table(kind: Kind) -> None:
    """An object of any kind that the model reads can be set."""
    assert table_of(ObjectKey(kind.group, kind.kind, "", "x")).name


def test_a_kind_of_another_group_has_none() -> None:
    """Group and kind both count."""
    with pytest.raises(KeyError):
        table_of(ObjectKey("example.com", "Gateway", "default", "x"))
    assert table_of(ObjectKey(GATEWAY_GROUP, "Gateway", "default", "x")).name == "gateways"


def test_slices_are_found_by_label_and_grants_by_namespace() -> None:
    """A slice belongs to the Service that its label names, in its own namespace; a nameless one to nobody."""
    named, other = slice_of("web", [("10.0.0.1", 1)])[0], slice_of("web", [("10.0.0.1", 1)], namespace="other")[0]
    nameless = slice_of("x", [("10.0.0.2", 1)], name="nameless")[0]
    del nameless["metadata"]["labels"]
    allowed = grant("g", namespace="data", from_namespace="apps")
    graph = World(named, other, nameless, allowed).decision.graph
    assert list(graph.entries(SLICES_OF, ("default", "web"))) == [key_of(typed(named))]
    assert list(graph.entries(SLICES_OF, ("other", "web"))) == [key_of(typed(other))]
    assert [key.name for key in graph.entries(GRANTS_IN, "data")] == ["g"]
    assert list(graph.entries(GRANTS_IN, "apps")) == []
