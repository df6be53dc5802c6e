"""Metadata: what objects without labels and annotations have in their place."""

from __future__ import annotations

from support.documents import SERVICE, TCP_ROUTE, edited
from support.resources import typed
from tidegate.model.meta import ObjectMeta


def test_who_has_no_labels_shares_one_empty_mapping() -> None:
    """There are as many metadata as objects, and most of them without: they cost nothing."""
    one, other = typed(TCP_ROUTE).metadata, typed(SERVICE).metadata
    assert one.labels == {}
    assert len({id(mapping) for mapping in (one.labels, one.annotations, other.labels, other.annotations)}) == 1


def test_labels_of_one_are_not_those_of_another() -> None:
    """What is written in an object is its own."""
    labelled = typed(edited(TCP_ROUTE, "metadata.labels", {"a": "b"})).metadata
    assert labelled.labels == {"a": "b"}
    assert ObjectMeta(name="x").labels == {}
