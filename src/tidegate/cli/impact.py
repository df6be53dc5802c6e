"""What files would change in a cluster: the part of everything decided that is about them. Pure.

Comes in: the state with the files on top of the cluster, the state of the cluster alone, and which objects are in the
files. Goes out: findings about those objects, and about others that become worse; and as much of the state as these are
about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from tidegate.admin.objects import ApiObject, group_of, name_of, namespace_of, path_of
from tidegate.admin.view import State
from tidegate.cli.findings import Origin, findings_of
from tidegate.model.diagnostics import Diagnostic
from tidegate.names import GATEWAY_GROUP, ObjectKey


def new_findings(state: State, before: State, named: Collection[ObjectKey], origin: Origin) -> tuple[Diagnostic, ...]:
    """All findings about named objects, and about others those that were not there before."""
    known = frozenset(findings_of(before, origin))
    return tuple(one for one in findings_of(state, origin) if one.object in named or one not in known)


def narrowed(state: State, keys: Collection[ObjectKey]) -> State:
    """The state of some objects, and of the Gateways that routes among them attach to."""
    chosen = [item for item in state.objects if _key(item) in keys]
    wanted = {*keys, *(parent for item in chosen for parent in _parents(item))}
    objects = tuple(item for item in state.objects if _key(item) in wanted)
    gateways = {path_of(item) for item in objects if item["kind"] == "Gateway"}
    listeners = tuple(listener for listener in state.listeners if listener.gateway in gateways)
    return msgspec.structs.replace(state, objects=objects, listeners=listeners)


def _parents(item: ApiObject) -> Iterator[ObjectKey]:
    for reference in item.get("spec", {}).get("parentRefs", []):
        namespace = reference.get("namespace") or namespace_of(item)
        group, kind = reference.get("group", GATEWAY_GROUP), reference.get("kind", "Gateway")
        yield ObjectKey(group, kind, namespace, reference["name"])


def _key(item: ApiObject) -> ObjectKey:
    return ObjectKey(group_of(item), item["kind"], namespace_of(item), name_of(item))
