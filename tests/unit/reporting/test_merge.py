"""A new status met with the one before."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tidegate.model.meta import Condition
from tidegate.model.routes import ParentReference
from tidegate.model.status import (
    GatewayClassStatus,
    GatewayStatus,
    GatewayStatusAddress,
    ListenerStatus,
    RouteParentStatus,
    RouteStatus,
    Status,
)
from tidegate.reporting.merge import merged

THEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NOW = THEN + dt.timedelta(hours=1)


def condition(
    status: str = "True", *, kind: str = "Accepted", reason: str = "Accepted", generation: int = 1
) -> Condition:
    """A condition without a time."""
    return Condition(type=kind, status=status, reason=reason, message="text", observed_generation=generation)


def of_class(*conditions: Condition) -> GatewayClassStatus:
    """The status of a class."""
    return GatewayClassStatus(conditions=conditions)


def of_gateway(*conditions: Condition, name: str = "tcp", addresses: tuple[str, ...] = ()) -> GatewayStatus:
    """The status of a Gateway whose one listener has the same conditions."""
    entry = ListenerStatus(name=name, supported_kinds=(), attached_routes=0, conditions=conditions)
    values = tuple(GatewayStatusAddress(value=value) for value in addresses)
    return GatewayStatus(addresses=values, conditions=conditions, listeners=(entry,))


def of_route(*conditions: Condition, section: str | None = None) -> RouteStatus:
    """The status of a route with one parent."""
    reference = ParentReference(name="gw", section_name=section)
    return RouteStatus(
        parents=(RouteParentStatus(parent_ref=reference, controller_name="example.com/c", conditions=conditions),)
    )


def times(status: Status) -> list[dt.datetime | None]:
    """The transition times of all conditions."""
    if isinstance(status, RouteStatus):
        lists = [one.conditions for one in status.parents]
    else:
        listeners = status.listeners if isinstance(status, GatewayStatus) else ()
        lists = [status.conditions, *(one.conditions for one in listeners)]
    return [one.last_transition_time for conditions in lists for one in conditions]


SHAPES = pytest.mark.parametrize("shape", [of_class, of_gateway, of_route])


@SHAPES
def test_a_first_status_is_of_now(shape: Any) -> None:
    """Every condition of a new status gets the time at hand."""
    assert set(times(merged(None, shape(condition()), NOW))) == {NOW}


@SHAPES
@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (condition(), THEN),
        (condition(reason="Other"), THEN),
        (condition(generation=2), THEN),
        (condition("False"), NOW),
        (condition("Unknown"), NOW),
        (condition(kind="Programmed"), NOW),
    ],
)
def test_time_moves_with_the_status_only(shape: Any, new: Condition, expected: dt.datetime) -> None:
    """Reason, message and generation may change without a transition; another type starts anew."""
    old = merged(None, shape(condition()), THEN)
    assert set(times(merged(old, shape(new), NOW))) == {expected}


@SHAPES
def test_no_change_is_equal(shape: Any) -> None:
    """The same status again is the one before, so that nobody writes it; another content is not."""
    old = merged(None, shape(condition()), THEN)
    assert merged(old, shape(condition()), NOW) == old
    assert merged(old, shape(condition(generation=2)), NOW) != old


def test_conditions_go_and_stay_in_order() -> None:
    """A condition that is not told any more is gone; the order is that of the new status."""
    programmed = condition(kind="Programmed")
    old = merged(None, of_class(condition(), condition(kind="Conflicted")), THEN)
    new = merged(old, of_class(programmed, condition()), NOW)
    assert isinstance(new, GatewayClassStatus)
    assert [(one.type, one.last_transition_time) for one in new.conditions] == [("Programmed", NOW), ("Accepted", THEN)]


def test_listeners_are_matched_by_name_and_parents_by_reference() -> None:
    """An entry of another listener or another parentRef has no past; the Gateway itself keeps its own."""
    old = merged(None, of_gateway(condition()), THEN)
    assert times(merged(old, of_gateway(condition(), name="other"), NOW)) == [THEN, NOW]
    route = merged(None, of_route(condition()), THEN)
    assert times(merged(route, of_route(condition(), section="tcp"), NOW)) == [NOW]


def test_the_rest_is_the_new_status() -> None:
    """Addresses and counts are taken as they are."""
    old = merged(None, of_gateway(condition(), addresses=("192.0.2.1",)), THEN)
    new = merged(old, of_gateway(condition(), addresses=("192.0.2.2",)), NOW)
    assert isinstance(new, GatewayStatus)
    assert [one.value for one in new.addresses] == ["192.0.2.2"]
    assert set(times(new)) == {THEN}


def test_a_status_of_another_shape_is_no_past() -> None:
    """An object that was something else starts anew."""
    assert times(merged(of_route(condition()), of_class(condition()), NOW)) == [NOW]
    assert times(merged(of_class(condition()), of_route(condition()), NOW)) == [NOW]
