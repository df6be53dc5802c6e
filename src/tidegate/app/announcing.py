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


def announce(log: structlog.typing.FilteringBoundLogger, published: Mapping[ObjectKey, Status | None]) -> None:
    """Log statuses that are new."""
    well = 0
    for key, status in published.items():
        problems = list(problems_of(status)) if status is not None else []
        well += status is not None and not problems
        for where, condition in problems:
            say = log.debug if condition.reason == Reason.PENDING else log.warning
            say(
                "not in force" if condition.type != ConditionType.RESOLVED_REFS else "references do not resolve",
                object=str(key),
                where=where,
                condition=condition.type,
                reason=condition.reason,
                message=condition.message,
            )
    if well:
        log.info("in force", objects=well)


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
