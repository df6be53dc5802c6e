"""What tidegate takes of an object as an API server stores it. Pure.

In: a mapping, as a list or a watch has it. Out: a `Reading`: the typed object or why it is none, and what stands in its
status. The verdict is that of `tidegate.model.decode`. Warnings are left out: the API server has said them to whoever
wrote the object, and fields that are newer than tidegate are no news to anybody.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidegate.kube.resources import Object
from tidegate.model.decode import Decoded, FieldProblem, Rejected, decode
from tidegate.model.gateway import Gateway, GatewayClass
from tidegate.model.kinds import Kind, Resource
from tidegate.model.observed import Observed
from tidegate.model.routes import TCPRoute
from tidegate.model.validation.versions import api_version
from tidegate.names import ObjectKey

_WITH_OUR_STATUS: Final[frozenset[type]] = frozenset({GatewayClass, Gateway, TCPRoute})

_UNUSED_METADATA: Final = frozenset({"managedFields", "annotations", "ownerReferences", "finalizers"})
"""Big, and nothing that is decided depends on them."""

_SHARED_METADATA: Final = frozenset({"namespace", "labels"})
_NOT_SHARED: Final = frozenset({"metadata", "status"})
"""Of the rest, little is the same in two objects."""


def has_our_status(kind: Kind) -> bool:
    """Whether tidegate writes statuses of this kind, so that what stands in them matters."""
    return kind.resource in _WITH_OUR_STATUS


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a cluster. ``resource`` None: this version of it is refused, ``problems`` say why.

    ``observed`` is None for kinds whose status tidegate does not write.
    """

    key: ObjectKey
    uid: str
    resource: Resource | None
    problems: tuple[FieldProblem, ...] = ()
    observed: Observed | None = None


class KindReader:
    """Reads the objects of one kind, as they come in one version."""

    def __init__(self, kind: Kind, version: str) -> None:
        self._kind = kind
        self._version = version
        # An object may have been written in an older version, whose rules were laxer, and comes in a newer one all
        # the same: only its apiVersion is rewritten. It is what it was.
        older = kind.versions[kind.versions.index(version) + 1 :]
        self._api_versions = [api_version(kind.group, each) for each in (version, *older)]
        self._has_our_status = has_our_status(kind)

    def read(self, stored: Object) -> Reading:
        """The object. Raises nothing, whatever the object contains."""
        metadata = stored["metadata"]
        key = ObjectKey(self._kind.group, self._kind.kind, metadata.get("namespace", ""), metadata["name"])
        observed = self._observed(stored) if self._has_our_status else None
        uid = metadata.get("uid", "")
        match self._decoded(stored):
            case Decoded(resource=resource):
                return Reading(key=key, uid=uid, resource=resource, observed=observed)
            case Rejected(problems=problems):
                return Reading(key=key, uid=uid, resource=None, problems=problems, observed=observed)

    def _decoded(self, stored: Object) -> Decoded | Rejected:
        """The verdict of the first version that takes the object; that of the newest when none does."""
        document = self._document(stored)
        refusal: Rejected | None = None
        for written in self._api_versions:
            verdict = decode({**document, "apiVersion": written})
            if isinstance(verdict, Decoded):
                return verdict
            assert isinstance(verdict, Rejected), "every kind of KINDS is read"
            refusal = refusal or verdict
        assert refusal is not None
        return refusal

    def _document(self, stored: Object) -> Object:
        """The object without what is never used. Thousands of objects say the same: those texts are shared."""
        metadata = {name: value for name, value in stored["metadata"].items() if name not in _UNUSED_METADATA}
        for name in _SHARED_METADATA & metadata.keys():
            metadata[name] = _sharing(metadata[name])
        document = {name: _sharing(value) for name, value in stored.items() if name not in _NOT_SHARED}
        if not self._has_our_status and "status" in stored:
            document["status"] = stored["status"]
        return {**document, "kind": self._kind.kind, "metadata": metadata}

    def _observed(self, stored: Object) -> Observed:
        metadata = stored["metadata"]
        return Observed(
            version=self._version,
            uid=metadata.get("uid", ""),
            resource_version=metadata["resourceVersion"],
            generation=metadata.get("generation", 0),
            status=_written(stored.get("status")),
        )


def _written(status: Any) -> Mapping[str, Any]:
    """A status, if anything is written in it that a writer of ours could have to do with."""
    if not isinstance(status, dict) or not (status.get("conditions") or status.get("parents")):
        return {}
    written: Mapping[str, Any] = _sharing(status)
    return written


def _sharing(value: Any) -> Any:
    """The same value, with its texts shared: thousands of statuses say the same few things."""
    match value:
        case str():
            return sys.intern(value)
        case dict():
            return {key: _sharing(part) for key, part in value.items()}
        case list():
            return [_sharing(part) for part in value]
        case _:
            return value
