"""Hypothesis strategies for documents: random ones as YAML could yield them, and valid ones with damage."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from support.documents import EVERY_KIND, Document

WORDS = (
    "", "a", "A", "a.b", "-", "gw", "foo", "TCP", "UDP", "TLS", "HTTP", "HTTPS", "IPAddress", "Hostname", "1.2.3.4",
    "::1", "Terminate", "Passthrough", "Service", "Same", "None", "8080", "true", "v1", "2026-01-02T03:04:05Z", "\n",
)  # fmt: skip
FIELDS = (
    "metadata", "spec", "status", "name", "namespace", "labels", "annotations", "creationTimestamp", "listeners",
    "port", "protocol", "hostname", "tls", "mode", "certificateRefs", "options", "allowedRoutes", "namespaces", "from",
    "selector", "kinds", "kind", "group", "addresses", "type", "value", "parentRefs", "sectionName", "rules",
    "backendRefs", "weight", "useDefaultGateways", "to", "ports", "targetPort", "endpoints", "conditions",
    "addressType", "externalName", "order", "generation", "perPort", "frontend", "infrastructure", "unknown",
)  # fmt: skip

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from((0, 1, 80, 8080, 65535, 65536, -1, 1_000_001, 80.0, 80.5)),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=12),
)
KEYS = st.one_of(st.sampled_from(FIELDS), st.text(max_size=6), st.integers(0, 3), st.booleans(), st.none())


def values(depth: int = 3) -> st.SearchStrategy[Any]:
    """Scalars, lists and mappings of them, as parsers yield them."""
    return st.recursive(
        SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
        max_leaves=4 * depth,
    )


@st.composite
def damaged(draw: st.DrawFn) -> Document:
    """A valid document in which up to three places are set, removed, doubled or added."""
    document: Document = copy.deepcopy(draw(st.sampled_from(EVERY_KIND)))
    for _ in range(draw(st.integers(1, 3))):
        _damage(draw, _place(draw, document))
    return document


def _place(draw: st.DrawFn, document: Document) -> Any:
    """A mapping or a list somewhere in the document."""
    place: Any = document
    while inner := [item for item in _items(place) if isinstance(item, dict | list) and item]:
        if place is not document and draw(st.integers(0, 3)) == 0:
            break
        place = draw(st.sampled_from(inner))
    return place


def _items(place: Any) -> list[Any]:
    return list(place.values()) if isinstance(place, dict) else list(place)


def _damage(draw: st.DrawFn, place: Any) -> None:
    keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
    what = draw(st.sampled_from(("set", "remove", "double", "add"))) if keys else "add"
    if what == "set":
        place[draw(st.sampled_from(keys))] = draw(values())
    elif what == "remove":
        del place[draw(st.sampled_from(keys))]
    elif isinstance(place, dict):
        place[draw(KEYS)] = draw(values())
    elif what == "double":
        place.append(copy.deepcopy(draw(st.sampled_from(place))))
    else:
        place.append(draw(values()))
