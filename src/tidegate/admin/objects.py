"""Finding API objects in a state by plural, namespace and name, as an API server's paths do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tidegate.model.kinds import KINDS, Kind

ApiObject = dict[str, Any]


def kind_named(word: str) -> Kind | None:
    """The kind that a word means: plural, singular or short name, in any case, with or without group."""
    lowered = word.lower()
    for kind in KINDS:
        names = (kind.plural, kind.kind.lower(), *kind.short_names)
        if lowered in names or (kind.group and lowered in [f"{name}.{kind.group}" for name in names]):
            return kind
    return None


def group_of(item: ApiObject) -> str:
    """The API group of an object; empty for core."""
    group, separator, _ = str(item.get("apiVersion", "")).partition("/")
    return group if separator else ""


def namespace_of(item: ApiObject) -> str:
    """The namespace of an object; empty for a cluster-scoped one."""
    return str(item["metadata"].get("namespace", ""))


def name_of(item: ApiObject) -> str:
    """The name of an object."""
    return str(item["metadata"]["name"])


def path_of(item: ApiObject) -> str:
    """``namespace/name``, or ``name`` for a cluster-scoped object."""
    namespace = namespace_of(item)
    return f"{namespace}/{name_of(item)}" if namespace else name_of(item)


def select(
    objects: Iterable[ApiObject], kind: Kind, *, namespace: str | None = None, name: str | None = None
) -> list[ApiObject]:
    """The objects of a kind, sorted by namespace and name; ``namespace`` and ``name`` None select all.

    ``namespace`` is ignored for cluster-scoped kinds.
    """
    wanted_namespace = namespace if kind.namespaced else None
    found = [
        item
        for item in objects
        if item.get("kind") == kind.kind
        and group_of(item) == kind.group
        and wanted_namespace in (None, namespace_of(item))
        and name in (None, name_of(item))
    ]
    return sorted(found, key=lambda item: (namespace_of(item), name_of(item)))


def list_of(items: Sequence[ApiObject]) -> ApiObject:
    """The objects in one document, as ``kubectl get -o yaml`` prints several."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": list(items)}


def condition(conditions: Iterable[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    """The condition of a type, if it is there."""
    return next((item for item in conditions if item.get("type") == kind), None)


def refused_for(conditions: Iterable[dict[str, Any]], kind: str) -> str | None:
    """The reason of a condition that is False; None when it is anything else."""
    found = condition(conditions, kind)
    return str(found["reason"]) if found is not None and found["status"] == "False" else None
