"""The Lease object of an election: who holds it, and how it looks when it is taken, renewed or released. Pure.

In and out: the object as the API has it (coordination.k8s.io/v1). Fields of others are left as they are.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec

from tidegate.kube.resources import LEASES, Object

ADDRESS_ANNOTATION: Final = "tidegate.dev/address"
"""Where the holder can be reached by the other replicas."""


class Member(msgspec.Struct, frozen=True):
    """A replica: ``identity`` is unique to one run of it, ``address`` is where the others reach it."""

    identity: str
    address: str


class Record(msgspec.Struct, frozen=True):
    """What a Lease says. ``holder`` None: nobody holds it. ``mark`` differs after each renewal by whoever."""

    holder: Member | None
    seconds: float | None
    mark: tuple[Any, ...]


def read(lease: Object) -> Record:
    """What a Lease says."""
    spec = lease.get("spec") or {}
    identity = spec.get("holderIdentity")
    annotations = lease["metadata"].get("annotations") or {}
    return Record(
        holder=Member(identity, annotations.get(ADDRESS_ANNOTATION, "")) if identity else None,
        seconds=spec.get("leaseDurationSeconds"),
        mark=(identity, spec.get("renewTime"), spec.get("acquireTime"), spec.get("leaseTransitions")),
    )


def taken(lease: Object | None, member: Member, *, namespace: str, name: str, seconds: int, now: dt.datetime) -> Object:
    """The Lease with a member as its holder, from now on or still. ``lease`` is how it is; None: there is none."""
    before = lease or {
        "apiVersion": LEASES.api_version,
        "kind": "Lease",
        "metadata": {"namespace": namespace, "name": name},
    }
    spec = dict(before.get("spec") or {})
    if spec.get("holderIdentity") != member.identity:
        spec["acquireTime"] = _micro_time(now)
        spec["leaseTransitions"] = (spec.get("leaseTransitions") or 0) + (lease is not None)
    spec |= {"holderIdentity": member.identity, "leaseDurationSeconds": seconds, "renewTime": _micro_time(now)}
    return {**before, "metadata": _annotated(before, member.address), "spec": spec}


def released(lease: Object, *, now: dt.datetime) -> Object:
    """The Lease without a holder, for anybody to take at once."""
    spec = {field: value for field, value in lease["spec"].items() if field != "holderIdentity"}
    spec |= {"leaseDurationSeconds": 1, "renewTime": _micro_time(now)}
    return {**lease, "metadata": _annotated(lease, None), "spec": spec}


def _annotated(lease: Object, address: str | None) -> dict[str, Any]:
    """The metadata with this address; None: without one."""
    annotations = dict(lease["metadata"].get("annotations") or {})
    annotations.pop(ADDRESS_ANNOTATION, None)
    if address is not None:
        annotations[ADDRESS_ANNOTATION] = address
    return {**lease["metadata"], "annotations": annotations}


def _micro_time(now: dt.datetime) -> str:
    return now.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
