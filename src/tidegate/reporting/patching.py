"""What to write into an object's status, given what is written there now.

In: a raw status as the API server holds it, of whatever writers, and the typed status that we want, without times.
Out: the raw status to write, or None when nothing would change. Pure; the time is passed in. When and how it is
written is left to others.

Others write next to us (Gateway API, GEP-1364 and "Route status"). A GatewayClass and a Gateway belong to one
controller, which shares ``conditions`` with anyone who adds a type of their own. In ``status.parents`` of a route
every controller has entries of its own in one atomic list: foreign ones are sent back as they were read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tidegate.core.reasons import ConditionType
from tidegate.model.encode import status_to_mapping, timestamp
from tidegate.model.status import RouteStatus, Status
from tidegate.names import GATEWAY_GROUP

Raw = Mapping[str, Any]

MAX_CONDITIONS = 8
MAX_PARENTS = 32
"""Lengths at which the CRDs refuse a status."""

_OUR_CONDITIONS = frozenset(kind.value for kind in ConditionType)
_TRUE = "True"
_CRD_DEFAULT_TIME = "1970-01-01T00:00:00Z"
"""When the conditions happened that the CRDs put into a status that nobody has written yet."""


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """``status`` is what to write, None: nothing. ``homeless`` are our entries of a route, as in ``status.parents``,
    for which others have left no room.
    """

    status: Raw | None
    homeless: tuple[Raw, ...] = ()


def patched(old: Raw, new: Status | None, *, controller: str, namespace: str, now: dt.datetime) -> Patch:
    """``old`` with our part of it replaced by ``new``; None: our entries of a route are withdrawn.

    ``controller`` is our controller name, ``namespace`` the object's. What a Gateway or a GatewayClass has of us
    when it leaves us is left to the controller that it goes to.

    Nothing is written when ``old`` speaks of a newer generation than ``new``: then another replica knows more.
    """
    if new is None:
        return _withdrawn(old, controller)
    if _generation(_ours(old, controller)) > generation_of(new):
        return Patch(status=None)
    wanted = status_to_mapping(new)
    homeless: tuple[Raw, ...] = ()
    if isinstance(new, RouteStatus):
        parents, homeless = _parents(old.get("parents") or (), wanted["parents"], controller, namespace, now)
        result: Raw = {**old, "parents": parents}
    else:
        owned = {field.encode_name for field in msgspec.structs.fields(new)}
        foreign = {key: value for key, value in old.items() if key not in owned}
        result = {**foreign, **_whole(old, wanted, now)}
    return Patch(status=result if result != old else None, homeless=homeless)


def _withdrawn(old: Raw, controller: str) -> Patch:
    """The list stays, even when it is empty: the CRDs require it."""
    parents = old.get("parents") or ()
    foreign = [entry for entry in parents if entry.get("controllerName") != controller]
    return Patch(status={**old, "parents": foreign} if len(foreign) < len(parents) else None)


def change(old: Raw, new: Raw) -> dict[str, Any]:
    """The JSON merge patch (RFC 7396) that turns one status into another; lists are replaced whole."""
    removed = {key: None for key in old if key not in new}
    return {key: value for key, value in new.items() if key not in old or old[key] != value} | removed


def takes_back(old: Raw, new: Raw) -> bool:
    """Whether a Gateway, or a listener of one, is Programmed in ``old`` and not in ``new``, at the same generation."""
    before = _programmed(old)
    return any(
        before.get(name) == (_TRUE, generation)
        for name, (status, generation) in _programmed(new).items()
        if status != _TRUE
    )


def generation_of(status: Status) -> int:
    """The generation of the object that a status speaks of."""
    holders = status.parents if isinstance(status, RouteStatus) else (status,)
    found = (condition.observed_generation for holder in holders for condition in holder.conditions)
    return max(found, default=0)


def _programmed(status: Raw) -> dict[str, tuple[str, int]]:
    """Status and generation of each condition Programmed: by the listener's name, and by none the Gateway's own."""
    holders = (("", status), *((entry["name"], entry) for entry in status.get("listeners") or ()))
    return {
        name: (one["status"], one.get("observedGeneration", 0))
        for name, holder in holders
        for one in holder.get("conditions") or ()
        if one.get("type") == ConditionType.PROGRAMMED
    }


def _ours(status: Raw, controller: str) -> Iterator[Raw]:
    """Our conditions, wherever they stand in a status."""
    parents = [entry for entry in status.get("parents") or () if entry.get("controllerName") == controller]
    for holder in (status, *(status.get("listeners") or ()), *parents):
        for condition in holder.get("conditions") or ():
            if condition.get("type") in _OUR_CONDITIONS:
                yield condition


def _generation(conditions: Iterable[Raw]) -> int:
    return max((condition.get("observedGeneration", 0) for condition in conditions), default=0)


def _whole(old: Raw, wanted: Raw, now: dt.datetime) -> dict[str, Any]:
    """The status of an object that has one controller. Lists that we want are replaced, conditions are merged."""
    result = {**wanted, "conditions": _conditions(old.get("conditions") or (), wanted["conditions"], now)}
    if "listeners" in wanted:
        before = {entry["name"]: entry for entry in old.get("listeners") or ()}
        result["listeners"] = [_entry(before.get(entry["name"], {}), entry, now) for entry in wanted["listeners"]]
    if "supportedFeatures" in wanted:
        result["supportedFeatures"] = sorted(wanted["supportedFeatures"], key=lambda feature: feature["name"])
    return result


def _entry(old: Raw, wanted: Raw, now: dt.datetime) -> Raw:
    """One of our entries for a listener or a parent."""
    return {**old, **wanted, "conditions": _conditions(old.get("conditions") or (), wanted["conditions"], now)}


def _conditions(old: Sequence[Raw], wanted: Sequence[Raw], now: dt.datetime) -> list[Raw]:
    """Ours updated in place, foreign types where they are, new ones at the end, ours that are over gone.

    Foreign types for which there is no room go, the last ones first: a status without our own would be of no use.
    """
    ours = {condition["type"]: condition for condition in wanted}
    room = MAX_CONDITIONS - len(ours)
    merged: dict[str, Raw] = {}
    for condition in old:
        kind = condition["type"]
        if kind in merged:
            continue
        if kind in ours:
            merged[kind] = _timed(condition, ours[kind], now)
        elif kind not in _OUR_CONDITIONS and room > 0:
            merged[kind] = condition
            room -= 1
    for kind, condition in ours.items():
        merged.setdefault(kind, _timed({}, condition, now))
    return list(merged.values())


def _timed(old: Raw, wanted: Raw, now: dt.datetime) -> Raw:
    """With a transition time, which moves only when ``status`` does (Kubernetes API conventions)."""
    stands = old.get("status") == wanted["status"] and old.get("lastTransitionTime", "") > _CRD_DEFAULT_TIME
    return {**wanted, "lastTransitionTime": old["lastTransitionTime"] if stands else timestamp(now)}


def _parents(
    old: Sequence[Raw], wanted: Sequence[Raw], controller: str, namespace: str, now: dt.datetime
) -> tuple[list[Raw], tuple[Raw, ...]]:
    """``status.parents`` of a route, and our entries that have no room in there.

    Foreign entries keep their order, so the index of each moves only when one of ours before it is over.
    """
    unclaimed = list(wanted)
    updated: dict[int, Raw] = {}
    mine = [index for index, entry in enumerate(old) if entry.get("controllerName") == controller]
    for same in (_written_alike, _meaning_alike(namespace)):
        for index in mine:
            mate = next((one for one in unclaimed if index not in updated and same(old[index], one)), None)
            if mate is not None:
                unclaimed.remove(mate)
                updated[index] = _entry(old[index], mate, now)
    over = set(mine) - updated.keys()
    kept = [updated.get(index, entry) for index, entry in enumerate(old) if index not in over]
    room = max(0, MAX_PARENTS - len(kept))
    added = [_entry({}, entry, now) for entry in unclaimed[:room]]
    return [*kept, *added], tuple(unclaimed[room:])


_Comparison = Callable[[Raw, Raw], bool]


def _written_alike(entry: Raw, other: Raw) -> bool:
    return bool(entry["parentRef"] == other["parentRef"])


def _meaning_alike(namespace: str) -> _Comparison:
    """Whether two entries mean the same parent, from a route in ``namespace``, however it is spelled."""

    def same(entry: Raw, other: Raw) -> bool:
        return _parent(entry["parentRef"], namespace) == _parent(other["parentRef"], namespace)

    return same


def _parent(reference: Raw, namespace: str) -> tuple[Any, ...]:
    return (
        reference.get("group", GATEWAY_GROUP),
        reference.get("kind", "Gateway"),
        reference.get("namespace", namespace),
        reference["name"],
        reference.get("sectionName"),
        reference.get("port"),
    )
