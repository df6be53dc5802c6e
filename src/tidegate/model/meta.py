"""Metadata and conditions as every API object has them (Kubernetes API conventions)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, ClassVar

import msgspec

from tidegate.model.scalars import (
    NULL_IS_EMPTY,
    AnnotationKey,
    DnsSubdomain,
    Int64,
    LabelKey,
    LabelValue,
    OptionalDnsLabel,
)


class ApiStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Base of every API type: immutable, comparable, camelCase on the wire, unknown fields ignored.

    Outside of garbage collection, as all values that are kept per object: what is made of values that were there
    before cannot be part of a cycle, and looking through so many is what collections would take their time for.

    ``UNREAD`` names the fields that the API has and tidegate does not use; they are neither checked nor
    reported. ``INTERNAL`` names our own attributes, which are not part of the API. ``EXPERIMENTAL`` names
    fields that exist in the experimental channel only.
    """

    UNREAD: ClassVar[frozenset[str]] = frozenset()
    INTERNAL: ClassVar[frozenset[str]] = frozenset()
    EXPERIMENTAL: ClassVar[frozenset[str]] = frozenset()


_NONE: dict[str, str] = {}


def _none() -> dict[str, str]:
    """One empty mapping for all who have none: there are as many as objects, and nobody changes them."""
    return _NONE


class ObjectMeta(ApiStruct, frozen=True, kw_only=True):
    """The part of ``metadata`` that tidegate uses.

    ``generation`` and ``order`` are set by the source that delivered the object: ``generation`` counts
    the changes of ``spec``, ``order`` breaks ties between objects of one creation second (0 where the
    API server decides age). Timestamps have second precision. ``deletion_timestamp``: it goes as soon as its
    finalizers permit. ``uid`` is empty where no API server gave one.
    """

    UNREAD: ClassVar[frozenset[str]] = frozenset(
        {
            "generateName",
            "selfLink",
            "resourceVersion",
            "deletionGracePeriodSeconds",
            "ownerReferences",
            "finalizers",
            "managedFields",
        }
    )
    INTERNAL: ClassVar[frozenset[str]] = frozenset({"order"})

    name: DnsSubdomain
    namespace: OptionalDnsLabel = ""
    labels: dict[LabelKey, Annotated[LabelValue, NULL_IS_EMPTY]] = msgspec.field(default_factory=_none)
    annotations: dict[AnnotationKey, Annotated[str, NULL_IS_EMPTY]] = msgspec.field(default_factory=_none)
    creation_timestamp: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
    deletion_timestamp: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
    generation: Int64 = 0
    uid: str = ""
    order: int = 0


class Condition(ApiStruct, frozen=True, kw_only=True):
    """``metav1.Condition``. ``last_transition_time`` is None until a status writer fills it in."""

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int = 0
    last_transition_time: dt.datetime | None = None


class LabelSelectorRequirement(ApiStruct, frozen=True, kw_only=True):
    """One ``matchExpressions`` entry; the CRD accepts any operator text."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(ApiStruct, frozen=True, kw_only=True):
    """``metav1.LabelSelector``: empty selects everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
