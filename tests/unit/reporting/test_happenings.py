"""What an operator hears about when a status changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from support.resources import class_key, gateway_key, route_key
from support.statuses import FOREIGN, Raw, crd_default, raw_condition, raw_parent
from tidegate.names import CONTROLLER_NAME, ObjectKey
from tidegate.reporting.base import Subject, Written
from tidegate.reporting.happenings import happenings

DEFAULTS = crd_default("Accepted", "Programmed")
ACCEPTED, PROGRAMMED, RESOLVED = (raw_condition(kind) for kind in ("Accepted", "Programmed", "ResolvedRefs"))


def no(kind: str, reason: str, message: str = "text", status: str = "False") -> Raw:
    """A condition that does not hold."""
    return {**raw_condition(kind, status, reason=reason), "message": message}


def told(key: ObjectKey, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What is told of a change, as lines."""
    subject = Subject(key, "v1", "u")
    found = happenings(Written(subject=subject, before=before, after=after), CONTROLLER_NAME)
    assert all(one.subject == subject and one.action for one in found)
    return [f"{one.tone} {one.reason}: {one.note}" for one in found]


def of_gateway(before: Raw | list[Raw], after: list[Raw], **listeners: tuple[list[Raw], list[Raw]]) -> list[str]:
    """What is told of a Gateway's conditions, and of those of its listeners before and after."""

    def status(conditions: Raw | list[Raw], side: int) -> Raw:
        entries = [{"name": name, "conditions": pair[side]} for name, pair in listeners.items()]
        found = conditions if isinstance(conditions, dict) else {"conditions": conditions}
        return {**found, "listeners": entries}

    return told(gateway_key("gw"), status(before, 0), status(after, 1))


def of_route(before: list[Raw], after: list[Raw], **reference: Any) -> list[str]:
    """What is told of the one parent of a route."""
    statuses = [{"parents": [raw_parent("gw", *found, **reference)] if found else []} for found in (before, after)]
    return told(route_key("route"), *statuses)


FINE = [ACCEPTED, PROGRAMMED]


def test_a_gateway_is_accepted_and_served() -> None:
    """Both are told, after the defaults of the CRD or one after the other."""
    assert of_gateway(DEFAULTS, FINE) == ["Normal Accepted: text", "Normal Programmed: text"]
    waiting = [ACCEPTED, no("Programmed", "Pending")]
    assert of_gateway(DEFAULTS, waiting) == ["Normal Accepted: text"]
    assert of_gateway(waiting, FINE) == ["Normal Programmed: text"]


def test_a_gateway_is_not_accepted() -> None:
    """Why is told; that it is therefore not programmed goes without saying."""
    refused = [no("Accepted", "InvalidParameters"), no("Programmed", "Invalid")]
    assert of_gateway(DEFAULTS, refused) == ["Warning InvalidParameters: text"]
    assert of_gateway(refused, FINE) == ["Normal Accepted: text", "Normal Programmed: text"]


def test_a_gateway_is_accepted_in_part() -> None:
    """True with a reason of its own is a warning."""
    partly = [no("Accepted", "ListenersNotValid", status="True"), PROGRAMMED]
    assert of_gateway(FINE, partly) == ["Warning ListenersNotValid: text"]
    assert of_gateway(partly, FINE) == ["Normal Accepted: text"]


def test_the_data_plane_is_lost_and_comes_back() -> None:
    """Whatever the reason is."""
    lost = [ACCEPTED, no("Programmed", "Pending", "no proxy is ready")]
    assert of_gateway(FINE, lost) == ["Warning DataPlaneLost: no proxy is ready"]
    assert of_gateway(lost, FINE) == ["Normal Programmed: text"]
    assert of_gateway(FINE, [ACCEPTED, no("Programmed", "AddressNotUsable")]) == ["Warning DataPlaneLost: text"]


def test_a_gateway_that_cannot_be_served_says_why() -> None:
    """Reasons that time alone does not mend are told when they come up."""
    unusable = [ACCEPTED, no("Programmed", "AddressNotUsable")]
    assert of_gateway([ACCEPTED, no("Programmed", "Pending")], unusable) == ["Warning AddressNotUsable: text"]


def test_waiting_is_no_happening() -> None:
    """Unknown conditions and those that are only a matter of time."""
    waiting = [no(kind, "Pending", status="Unknown") for kind in ("Accepted", "Programmed")]
    assert of_gateway(DEFAULTS, waiting) == []


@pytest.mark.parametrize("status", [FINE, [no("Accepted", "Invalid"), no("Programmed", "Invalid")]])
def test_the_same_again_is_no_happening(status: list[Raw]) -> None:
    """Another generation, another time, other addresses are none either."""
    later = [{**one, "observedGeneration": 2, "lastTransitionTime": "2027-01-01T00:00:00Z"} for one in status]
    assert of_gateway(status, later) == []


def test_another_text_of_a_failure_is_news() -> None:
    """Its subject may be another one."""
    before, after = ([no("Accepted", "Invalid", text), PROGRAMMED] for text in ("one", "two"))
    assert of_gateway(before, after) == ["Warning Invalid: two"]


def test_a_port_conflict_is_told_once() -> None:
    """Three conditions of the listener speak of it."""
    conflict = [no(kind, "ProtocolConflict", "port 80 is taken") for kind in ("Accepted", "Programmed")]
    conflict += [RESOLVED, no("Conflicted", "ProtocolConflict", status="True")]
    fine = [ACCEPTED, PROGRAMMED, RESOLVED]
    assert of_gateway(FINE, FINE, a=(fine, conflict)) == ["Warning ProtocolConflict: listener a: port 80 is taken"]
    assert of_gateway(FINE, FINE, a=(conflict, fine)) == ["Normal Accepted: listener a: text"]


def test_a_port_that_cannot_be_opened_is_told() -> None:
    """And that it could be opened after all."""
    taken = [ACCEPTED, no("Programmed", "PortUnavailable", "port 80 is in use"), RESOLVED]
    fine = [ACCEPTED, PROGRAMMED, RESOLVED]
    waiting = [ACCEPTED, no("Programmed", "Pending"), RESOLVED]
    assert of_gateway(FINE, FINE, a=(waiting, taken)) == ["Warning PortUnavailable: listener a: port 80 is in use"]
    assert of_gateway(FINE, FINE, a=(taken, fine)) == ["Normal Programmed: listener a: text"]
    assert of_gateway(FINE, FINE, a=(waiting, fine)) == []
    assert of_gateway(FINE, FINE, a=([], fine)) == []


def test_listeners_are_told_together() -> None:
    """One happening per reason; those with the same text are named in one breath."""
    fine = [ACCEPTED, PROGRAMMED, RESOLVED]
    bad = [ACCEPTED, PROGRAMMED, no("ResolvedRefs", "InvalidRouteKinds")]
    other = [ACCEPTED, PROGRAMMED, no("ResolvedRefs", "InvalidRouteKinds", "else")]
    assert of_gateway(FINE, FINE, a=(fine, bad), b=(fine, other), c=(fine, bad)) == [
        "Warning InvalidRouteKinds: listener a, listener c: text; listener b: else"
    ]


def test_a_route_that_is_accepted_is_no_happening() -> None:
    """It is the rule; neither is its withdrawal."""
    assert of_route([], [ACCEPTED, RESOLVED]) == []
    assert of_route([ACCEPTED, RESOLVED], []) == []
    assert told(route_key("route"), {}, {"parents": [raw_parent()]}) == []


def test_a_route_that_is_not_permitted_is_told() -> None:
    """With the parent that does not take it, and when it takes it after all."""
    refused = [no("Accepted", "NotAllowedByListeners"), RESOLVED]
    assert of_route([], refused) == ["Warning NotAllowedByListeners: parent gw: text"]
    assert of_route(refused, [ACCEPTED, RESOLVED]) == ["Normal Accepted: parent gw: text"]
    assert of_route([], refused, namespace="infra", sectionName="tcp", port=80) == [
        "Warning NotAllowedByListeners: parent infra/gw/tcp/80: text"
    ]


def test_a_missing_backend_is_told_once() -> None:
    """However many parents the route has; and that it is there again."""
    missing = [ACCEPTED, no("ResolvedRefs", "BackendNotFound", "Service web not found")]
    fine = [ACCEPTED, RESOLVED]
    before, after = ([raw_parent("a", *one), raw_parent("b", *one)] for one in (fine, missing))
    assert told(route_key("route"), {"parents": before}, {"parents": after}) == [
        "Warning BackendNotFound: Service web not found"
    ]
    assert told(route_key("route"), {"parents": after}, {"parents": before}) == ["Normal ResolvedRefs: text"]


def test_a_route_that_is_partly_in_force_is_told() -> None:
    """A condition of negative polarity is a warning when it appears."""
    partly = [ACCEPTED, RESOLVED, no("PartiallyInvalid", "UnsupportedValue", "Dropped Rule", "True")]
    assert of_route([ACCEPTED, RESOLVED], partly) == ["Warning UnsupportedValue: Dropped Rule"]
    assert of_route(partly, [ACCEPTED, RESOLVED]) == []


def test_entries_of_others_are_not_ours_to_tell() -> None:
    """They may say what they like."""
    foreign = raw_parent("gw", no("Accepted", "Invalid"), controller=FOREIGN)
    assert told(route_key("route"), {}, {"parents": [foreign]}) == []


def test_a_class() -> None:
    """It is accepted or not; a version of the API that is not known is told."""
    version = no("SupportedVersion", "UnsupportedVersion")
    supported = raw_condition("SupportedVersion")
    first, fine = {"conditions": [ACCEPTED, version]}, {"conditions": [ACCEPTED, supported]}
    key = class_key("class")
    assert told(key, crd_default("Accepted"), fine) == ["Normal Accepted: text"]
    assert told(key, crd_default("Accepted"), first) == ["Normal Accepted: text", "Warning UnsupportedVersion: text"]
    assert told(key, first, fine) == ["Normal SupportedVersion: text"]
    bad = {"conditions": [no("Accepted", "InvalidParameters"), supported]}
    assert told(key, fine, bad) == ["Warning InvalidParameters: text"]
