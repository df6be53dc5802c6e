"""What people read in the log when statuses change: what is not well one by one, the rest as a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import structlog

from tidegate.core.reasons import ConditionType, Reason
from tidegate.model.meta import Condition
from tidegate.model.routes import ParentReference
from tidegate.model.status import GatewayStatus, RouteStatus, Status
from tidegate.names import ObjectKey

_BAD_WHEN_TRUE = (ConditionType.PARTIALLY_INVALID, ConditionType.CONFLICTED)


class Announcer:
    """Logs statuses that are new. What is wrong with an object is told once while it lasts, whatever else changes."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        self._log = log
        self._told: dict[ObjectKey, set[tuple[str, ...]]] = {}

    def announce(self, published: Mapping[ObjectKey, Status | None]) -> None:
        """Take statuses that are new; None: withdrawn."""
        well = 0
        for key, status in published.items():
            told = self._told.pop(key, set())
            if status is None:
                continue
            known = {_said(*problem): problem for problem in problems_of(status)}
            if not known:
                well += 1
                continue
            self._told[key] = set(known)
            for said, problem in known.items():
                if said not in told:
                    self._tell(key, *problem)
        if well:
            self._log.info("in force", objects=well)

    def _tell(self, key: ObjectKey, where: str, condition: Condition) -> None:
        say = self._log.debug if condition.reason == Reason.PENDING else self._log.warning
        say(
            "not in force" if condition.type != ConditionType.RESOLVED_REFS else "references do not resolve",
            object=str(key),
            where=where,
            condition=condition.type,
            reason=condition.reason,
            message=condition.message,
        )


def _said(where: str, condition: Condition) -> tuple[str, ...]:
    """What a problem is told by."""
    return (where, condition.type, condition.status, condition.reason, condition.message)


def problems_of(status: Status) -> Iterator[tuple[str, Condition]]:
    """The conditions of a status that people want to hear of, each with its place in the object."""
    for place, conditions in _places(status):
        for condition in conditions:
            if (condition.status != "True") != (condition.type in _BAD_WHEN_TRUE):
                yield place, condition


def _places(status: Status) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    match status:
        case GatewayStatus():
            yield "", status.conditions
            yield from ((f"listener {one.name}", one.conditions) for one in status.listeners)
        case RouteStatus():
            yield from ((f"parent {_parent(one.parent_ref)}", one.conditions) for one in status.parents)
        case _:
            yield "", status.conditions


def _parent(reference: ParentReference) -> str:
    """A parentRef as people tell it from others: Gateway, listener name, port."""
    section = f"/{reference.section_name}" if reference.section_name else ""
    return f"{reference.name}{section}{f':{reference.port}' if reference.port else ''}"
