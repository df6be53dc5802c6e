"""A new status met with the one before: transition times, and whether anything changed.

Pure; the time is passed in. ``lastTransitionTime`` moves only when a condition's ``status`` does
(Kubernetes API conventions).
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

import msgspec

from tidegate.model.meta import Condition
from tidegate.model.status import GatewayStatus, ListenerStatus, RouteStatus, Status


def merged(old: Status | None, new: Status, now: dt.datetime) -> Status:
    """``new`` with transition times; equal to ``old`` when nothing else changed."""
    match new:
        case GatewayStatus():
            before = {one.name: one for one in old.listeners} if isinstance(old, GatewayStatus) else {}
            listeners = tuple(_listener(before.get(one.name), one, now) for one in new.listeners)
            conditions = _timed(_conditions(old), new.conditions, now)
            return msgspec.structs.replace(new, conditions=conditions, listeners=listeners)
        case RouteStatus():
            entries = old.parents if isinstance(old, RouteStatus) else ()
            known = {one.parent_ref: one.conditions for one in entries}
            parents = tuple(
                msgspec.structs.replace(one, conditions=_timed(known.get(one.parent_ref, ()), one.conditions, now))
                for one in new.parents
            )
            return RouteStatus(parents=parents)
        case _:
            return msgspec.structs.replace(new, conditions=_timed(_conditions(old), new.conditions, now))


def _listener(old: ListenerStatus | None, new: ListenerStatus, now: dt.datetime) -> ListenerStatus:
    conditions = _timed(old.conditions if old is not None else (), new.conditions, now)
    return msgspec.structs.replace(new, conditions=conditions)


def _conditions(status: Status | None) -> tuple[Condition, ...]:
    return () if status is None or isinstance(status, RouteStatus) else status.conditions


@lru_cache(maxsize=1024)
def _timed(old: tuple[Condition, ...], new: tuple[Condition, ...], now: dt.datetime) -> tuple[Condition, ...]:
    """Most objects are well in the same words, and since the same moment: these have their conditions in common."""
    before = {condition.type: condition for condition in old}
    return tuple(_with_time(before.get(condition.type), condition, now) for condition in new)


@lru_cache(maxsize=1024)
def _with_time(old: Condition | None, new: Condition, now: dt.datetime) -> Condition:
    same = old is not None and old.status == new.status
    time = old.last_transition_time if old is not None and same else now
    return msgspec.structs.replace(new, last_transition_time=time)
