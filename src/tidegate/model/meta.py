"""Metadata and conditions as every API object has them (Kubernetes API conventions)."""

from __future__ import annotations

import datetime as dt

import msgspec


class ApiStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every API type: immutable, comparable, camelCase on the wire, unknown fields ignored."""


class ObjectMeta(ApiStruct, frozen=True, kw_only=True):
    """The part of ``metadata`` that tidegate uses.

    ``generation`` and ``order`` are set by the source that delivered the object: ``generation`` counts
    the changes of ``spec``, ``order`` breaks ties between objects of one creation second (0 where the
    API server decides age). ``creation_timestamp`` has second precision.
    """

    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: dt.datetime | None = None
    generation: int = 0
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
