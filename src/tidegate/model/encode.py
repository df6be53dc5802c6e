"""From a typed object to the mapping that an API server would print for it.

Comes in: a typed object, and perhaps its status. Goes out: plain mappings, lists and scalars with the
API's names, defaults filled in, no nulls, keys in alphabetical order, as ``kubectl get -o yaml`` shows
them. Fields of Kubernetes' own kinds that tidegate does not read are lost; YAML and JSON text is left to
the caller.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Any

import msgspec

from tidegate.model.corev1 import ServicePort
from tidegate.model.kinds import Resource, kind_of
from tidegate.model.meta import ApiStruct, ObjectMeta
from tidegate.model.status import Status
from tidegate.model.validation.versions import VERSIONS

_OMITTED_WHEN_ZERO: frozenset[tuple[type[ApiStruct], str]] = frozenset(
    {(ObjectMeta, "namespace"), (ObjectMeta, "generation"), (ObjectMeta, "uid"), (ServicePort, "name")}
)
"""Fields whose ``""`` or ``0`` the API server leaves out. Elsewhere they are printed: a core ``group``."""


def to_mapping(resource: Resource, api_version: str | None = None, status: Status | None = None) -> dict[str, Any]:
    """The object as an API server would print it.

    ``api_version`` is ``group/version``; None: the newest that tidegate reads of this kind.
    """
    kind = kind_of(resource)
    written = api_version or kind.api_version
    version = VERSIONS.get((written, kind.kind))
    experimental = version is not None and version.experimental
    mapping = {"apiVersion": written, "kind": kind.kind, **_struct(resource, experimental=experimental)}
    if status is not None:
        mapping["status"] = _struct(status, experimental=experimental)
    return mapping


def status_to_mapping(status: Status) -> dict[str, Any]:
    """A status alone, as an API server would print it."""
    return _struct(status, experimental=False)


def timestamp(moment: dt.datetime) -> str:
    """``metav1.Time``: RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class _Printed(msgspec.Struct, frozen=True):
    name: str
    key: str
    optional: bool
    unless_zero: bool


@cache
def _printed(cls: type[ApiStruct], *, experimental: bool) -> tuple[_Printed, ...]:
    """The fields of a class in the order of their keys."""
    fields = [
        _Printed(field.name, field.encode_name, not field.required, (cls, field.name) in _OMITTED_WHEN_ZERO)
        for field in msgspec.structs.fields(cls)
        if field.name not in cls.INTERNAL and (experimental or field.encode_name not in cls.EXPERIMENTAL)
    ]
    return tuple(sorted(fields, key=lambda field: field.key))


def _struct(value: ApiStruct, *, experimental: bool) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for field in _printed(type(value), experimental=experimental):
        part = getattr(value, field.name)
        if isinstance(value, ServicePort) and field.name == "target_port" and part is None:
            part = value.port  # The API server's default.
        empty = part is None or (field.optional and part in ((), {})) or (field.unless_zero and not part)
        if not empty:
            mapping[field.key] = _plain(part, experimental=experimental)
    return mapping


def _plain(value: Any, *, experimental: bool) -> Any:
    match value:
        case ApiStruct():
            return _struct(value, experimental=experimental)
        case tuple():
            return [_plain(item, experimental=experimental) for item in value]
        case dict():
            return dict(sorted(value.items()))  # Labels and the like: text to text.
        case dt.datetime():
            return timestamp(value)
        case _:
            return value
