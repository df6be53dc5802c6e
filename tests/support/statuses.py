"""Typed statuses as the decision makes them, and raw ones as an API server holds them, ours and foreign."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tidegate.model.gateway import RouteGroupKind
from tidegate.model.meta import Condition
from tidegate.model.routes import ParentReference
from tidegate.model.status import (
    GatewayClassStatus,
    GatewayStatus,
    GatewayStatusAddress,
    ListenerStatus,
    RouteParentStatus,
    RouteStatus,
    SupportedFeature,
)
from tidegate.names import CONTROLLER_NAME, GATEWAY_GROUP

Raw = dict[str, Any]

FOREIGN = "example.com/other"
THEN = "2026-01-01T00:00:00Z"
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
NOW_TEXT = "2026-01-02T03:04:05Z"


def condition(kind: str = "Accepted", status: str = "True", *, reason: str = "", generation: int = 1) -> Condition:
    """A condition of ours, without a time."""
    return Condition(type=kind, status=status, reason=reason or kind, message="text", observed_generation=generation)


def class_status(*conditions: Condition, features: tuple[str, ...] = ("Gateway", "TCPRoute")) -> GatewayClassStatus:
    """The status of a GatewayClass; accepted unless given."""
    return GatewayClassStatus(
        conditions=conditions or (condition(), condition("SupportedVersion")),
        supported_features=tuple(SupportedFeature(name=name) for name in features),
    )


def listener_status(name: str, *conditions: Condition, attached: int = 0, generation: int = 1) -> ListenerStatus:
    """The entry of a listener; in order unless given."""
    fine = tuple(condition(kind, generation=generation) for kind in ("Accepted", "Programmed", "ResolvedRefs"))
    return ListenerStatus(
        name=name,
        supported_kinds=(RouteGroupKind(kind="TCPRoute"),),
        attached_routes=attached,
        conditions=conditions or fine,
    )


def gateway_status(
    *listeners: ListenerStatus,
    conditions: tuple[Condition, ...] = (),
    addresses: tuple[str, ...] = ("192.0.2.1",),
    generation: int = 1,
) -> GatewayStatus:
    """The status of a Gateway; accepted and programmed unless given."""
    fine = tuple(condition(kind, generation=generation) for kind in ("Accepted", "Programmed"))
    return GatewayStatus(
        addresses=tuple(GatewayStatusAddress(value=value) for value in addresses),
        conditions=conditions or fine,
        listeners=listeners or (listener_status("tcp", generation=generation),),
    )


def route_status(
    *parents: ParentReference | str, conditions: tuple[Condition, ...] = (), generation: int = 1
) -> RouteStatus:
    """The status of a route with an entry of ours per parent; a name stands for the Gateway of that name."""
    fine = tuple(condition(kind, generation=generation) for kind in ("Accepted", "ResolvedRefs"))
    references = (ParentReference(name=one) if isinstance(one, str) else one for one in parents or ("gw",))
    return RouteStatus(
        parents=tuple(
            RouteParentStatus(parent_ref=one, controller_name=CONTROLLER_NAME, conditions=conditions or fine)
            for one in references
        )
    )


def raw_condition(
    kind: str = "Accepted", status: str = "True", *, reason: str = "", generation: int = 1, at: str = THEN
) -> Raw:
    """The same as ``condition``, as it is stored."""
    return {
        "type": kind,
        "status": status,
        "reason": reason or kind,
        "message": "text",
        "observedGeneration": generation,
        "lastTransitionTime": at,
    }


def raw_parent(name: str = "gw", *conditions: Raw, controller: str = CONTROLLER_NAME, **reference: Any) -> Raw:
    """A stored entry of a route for a parent; in order unless given."""
    return {
        "parentRef": {"group": GATEWAY_GROUP, "kind": "Gateway", "name": name, **reference},
        "controllerName": controller,
        "conditions": list(conditions) or [raw_condition("Accepted"), raw_condition("ResolvedRefs")],
    }


def crd_default(*kinds: str) -> Raw:
    """The status that a CRD puts into an object which nobody has looked at."""
    return {
        "conditions": [
            {
                "type": kind,
                "status": "Unknown",
                "reason": "Pending",
                "message": "Waiting for controller",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }
            for kind in kinds
        ]
    }
