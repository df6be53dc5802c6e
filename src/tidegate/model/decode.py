"""From a parsed YAML or JSON document to a typed object, or to the reasons why it is none.

Comes in: one document, as a YAML or JSON parser returns it. Goes out: ``Decoded``, ``Rejected`` or
``Unrecognised``. The decision is the API server's: v1 and v1beta1 by the standard channel's schema,
v1alpha2 by the experimental one's, Kubernetes' own kinds by what tidegate reads of them. Nothing in a
document raises. Reading files, expanding ``kind: List``, line numbers and keeping the last good version
are the sources' business; ``generation`` and ``order`` are theirs to set.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tidegate.model.kinds import BY_GROUP_KIND, Kind, Resource
from tidegate.model.validation.problems import FieldProblem, found, nearest, quoted
from tidegate.model.validation.versions import VERSIONS, Version, api_version
from tidegate.model.validation.walk import Unsound, Walk
from tidegate.names import CORE_GROUP, ObjectKey

DEFAULT_NAMESPACE = "default"

__all__ = ["DEFAULT_NAMESPACE", "Decoded", "FieldProblem", "Rejected", "Unrecognised", "decode"]


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """A valid object. ``version`` is the one it was written in, such as ``v1alpha2``.

    ``warnings``: in force, but probably not as meant (unknown fields). ``notes``: worth knowing
    (deprecated versions).
    """

    resource: Resource
    version: str
    warnings: tuple[FieldProblem, ...] = ()
    notes: tuple[FieldProblem, ...] = ()


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An object that an API server would refuse. ``key`` is None when the document does not say which."""

    key: ObjectKey | None
    problems: tuple[FieldProblem, ...]


class Unrecognised(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a kind that tidegate does not read. ``name`` and ``hint`` may be empty; ``hint`` is
    the name of the kind that was perhaps meant.
    """

    api_version: str
    kind: str
    name: str
    hint: str = ""


def decode(document: object) -> Decoded | Rejected | Unrecognised:
    """Reads one document.

    A valid object without ``metadata.namespace`` is in ``default``. The document is not changed.
    """
    if not isinstance(document, dict):
        return _rejected(None, (), f"an object must be a mapping, found {found(document)}")
    written, kind = document.get("apiVersion"), document.get("kind")
    version = VERSIONS.get((written, kind)) if isinstance(written, str) and isinstance(kind, str) else None
    if version is None:
        return _without_version(document, written, kind)
    completed = _with_namespace(document, version.kind)
    resource = _quickly(completed, version)
    notes = (FieldProblem(("apiVersion",), version.note),) if version.note else ()
    if resource is not None:
        return Decoded(resource=resource, version=version.version, notes=notes)
    return _thoroughly(completed, version, notes)


def _quickly(document: dict[Any, Any], version: Version) -> Resource | None:
    """The typed object, if there is nothing at all to say about the document."""
    try:
        resource: Resource = msgspec.convert(document, version.kind.resource, strict=True)
    except (msgspec.ValidationError, RecursionError):
        return None
    if not version.has_known_keys(document) or not _has_plain_time(document):
        return None
    if version.keeps_rules is not None and not version.keeps_rules(resource):
        return None
    return resource


def _thoroughly(document: dict[Any, Any], version: Version, notes: tuple[FieldProblem, ...]) -> Decoded | Rejected:
    """The same decision with everything there is to say."""
    walk = Walk(version.rules)
    resource: Any = version.node.read(document, (), walk)
    if walk.problems or isinstance(resource, Unsound):
        return Rejected(key=_key(document, version.kind), problems=walk.problems.frozen())
    return Decoded(resource=resource, version=version.version, warnings=walk.warnings.frozen(), notes=notes)


_PLAIN_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")


def _has_plain_time(document: dict[Any, Any]) -> bool:
    """Whether creationTimestamp is written as API servers print it. msgspec reads more than RFC 3339 allows
    in Go, and keeps offsets and fractions: such texts go the thorough way.
    """
    written = document["metadata"].get("creationTimestamp")
    return written is None or (isinstance(written, str) and _PLAIN_TIME.match(written) is not None)


def _with_namespace(document: dict[Any, Any], kind: Kind) -> dict[Any, Any]:
    """The document with the namespace that is meant when a namespaced object names none."""
    metadata = document.get("metadata")
    if not kind.namespaced or not isinstance(metadata, dict) or metadata.get("namespace") not in (None, ""):
        return document
    return {**document, "metadata": {**metadata, "namespace": DEFAULT_NAMESPACE}}


def _without_version(document: dict[Any, Any], written: object, kind: object) -> Rejected | Unrecognised:
    """A document whose apiVersion and kind lead to no row: which of the reasons is it?"""
    for field, value in (("apiVersion", written), ("kind", kind)):
        if value is None or value == "":
            return _rejected(None, (field,), "is required")
        if not isinstance(value, str):
            return _rejected(None, (field,), f"must be text, found {found(value)}")
    assert isinstance(written, str)
    assert isinstance(kind, str)
    group = written.rpartition("/")[0] if "/" in written else CORE_GROUP
    row = BY_GROUP_KIND.get((group, kind))
    if row is None:
        return _unrecognised(document, written, group, kind)
    versions = " or ".join(api_version(group, version) for version in row.versions)
    return _rejected(_key(document, row), ("apiVersion",), f"must be {versions} for a {kind}, found {quoted(written)}")


def _unrecognised(document: dict[Any, Any], written: str, group: str, kind: str) -> Unrecognised:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return Unrecognised(
        api_version=written,
        kind=kind,
        name=name if isinstance(name, str) else "",
        hint=nearest(kind, {row_kind for row_group, row_kind in BY_GROUP_KIND if row_group == group}) or "",
    )


def _key(document: dict[Any, Any], kind: Kind) -> ObjectKey | None:
    """The identity that the document claims, if it is readable."""
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return None
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str) or not name or not isinstance(namespace, str | None):
        return None
    if not kind.namespaced:
        return ObjectKey(kind.group, kind.kind, "", name)
    return ObjectKey(kind.group, kind.kind, namespace or DEFAULT_NAMESPACE, name)


def _rejected(key: ObjectKey | None, keys: tuple[str, ...], message: str) -> Rejected:
    return Rejected(key=key, problems=(FieldProblem(keys, message),))
