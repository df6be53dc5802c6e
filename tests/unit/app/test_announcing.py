"""What the log says of statuses."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from support.resources import gateway_key, route_key
from tidegate.app.announcing import Announcer, problems_of
from tidegate.model.meta import Condition
from tidegate.model.routes import ParentReference
from tidegate.model.status import GatewayStatus, ListenerStatus, RouteParentStatus, RouteStatus


def condition(kind: str, status: str, reason: str = "Some") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=f"{kind} is {status}")


def route_status(*conditions: Condition) -> RouteStatus:
    reference = ParentReference(name="edge", section_name="db", port=5432)
    return RouteStatus(
        parents=(RouteParentStatus(parent_ref=reference, controller_name="example.com/x", conditions=conditions),)
    )


def test_problems_have_places_and_respect_polarity() -> None:
    """False is bad, except where True is; each problem says of which listener or parent it speaks."""
    listener = ListenerStatus(
        name="db", supported_kinds=(), attached_routes=0, conditions=(condition("Conflicted", "True"),)
    )
    gateway = GatewayStatus(addresses=(), conditions=(condition("Accepted", "True"),), listeners=(listener,))
    assert [(place, one.type) for place, one in problems_of(gateway)] == [("listener db", "Conflicted")]
    (found,) = problems_of(route_status(condition("Accepted", "False"), condition("ResolvedRefs", "True")))
    assert (found[0], found[1].type) == ("parent edge/db:5432", "Accepted")


def test_what_is_well_is_a_number_and_the_rest_is_told() -> None:
    """A withdrawn status says nothing, a pending one only to developers."""
    with capture_logs() as logs:
        Announcer(structlog.get_logger()).announce(
            {
                gateway_key("gone"): None,
                route_key("well"): route_status(condition("Accepted", "True")),
                route_key("waits"): route_status(condition("Accepted", "Unknown", "Pending")),
                route_key("bad"): route_status(condition("ResolvedRefs", "False", "BackendNotFound")),
            }
        )
    assert [(log["log_level"], log["event"]) for log in logs] == [
        ("debug", "not in force"),
        ("warning", "references do not resolve"),
        ("info", "in force"),
    ]
    assert logs[-1]["objects"] == 1


def test_what_lasts_is_told_once() -> None:
    """Another change of the object tells nothing of it again; once it was over, it is news."""
    bad, well = condition("ResolvedRefs", "False", "BackendNotFound"), condition("ResolvedRefs", "True")
    other = condition("Accepted", "False")
    with capture_logs() as logs:
        announcer = Announcer(structlog.get_logger())
        for conditions in ((bad,), (bad,), (other, bad), (well,), (bad,)):
            announcer.announce({route_key("app"): route_status(*conditions)})
        announcer.announce({route_key("app"): None})
        announcer.announce({route_key("app"): route_status(bad)})
    assert [log.get("condition", "well") for log in logs] == [
        "ResolvedRefs",
        "Accepted",
        "well",
        "ResolvedRefs",
        "ResolvedRefs",
    ]
