"""The statuses of our objects (Gateway API, GatewayClass, Gateway and Route status; GEP-1364).

A status is a unit of its own: it is computed again when the object, what it depends on or an outcome
of the data plane changed.
"""

from __future__ import annotations

import msgspec

from tidegate.core import conditions
from tidegate.core.addresses import addresses_of
from tidegate.core.apis import missing_kinds, version_rejection
from tidegate.core.attachment import (
    ATTACHMENTS,
    SERVING,
    WON,
    Attached,
    Attachment,
    NotAttached,
    ParentKey,
    ParentPending,
)
from tidegate.core.backends import BACKENDS, backend_key
from tidegate.core.gateways import DECISIONS, LISTENERS, STANDING, ClassNotAccepted
from tidegate.core.incremental import Unit, View
from tidegate.core.parameters import CLASS_PARAMETERS
from tidegate.core.programmed import SERVED, Programming, gateway_programming, listener_programming
from tidegate.core.reasons import ConditionType, Reason
from tidegate.core.rejection import Rejection
from tidegate.core.tables import APIS, CLASSES, CLUSTER, GATEWAYS, ROUTES, TROUBLES
from tidegate.model.meta import Condition
from tidegate.model.routes import Route
from tidegate.model.status import (
    GatewayClassStatus,
    GatewayStatus,
    ListenerStatus,
    RouteParentStatus,
    RouteStatus,
    Status,
    SupportedFeature,
)
from tidegate.names import ListenerKey, ObjectKey

SUPPORTED_FEATURES = ("Gateway", "GatewayAddressEmpty", "GatewayPort8080", "GatewayStaticAddresses",
                      "ReferenceGrant", "TCPRoute")  # fmt: skip
CLUSTER_FEATURES = ("GatewayInfrastructurePropagation",)
"""What ``status.supportedFeatures`` of our classes says, and in a cluster beside that."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """A status without transition times. ``waiting``: a data plane's outcome that it depends on is still
    to come, so that it is worth waiting a moment before publishing it.
    """

    status: Status
    waiting: bool = False


def _class_status(view: View, key: ObjectKey) -> Verdict | None:
    found = view.get(CLASSES, key)
    assert found is not None
    if found.spec.controller_name != view.config.controller_name:
        return None
    generation, apis = found.metadata.generation, view.get(APIS, CLUSTER)
    parameters = view.get(CLASS_PARAMETERS, key)
    rejection = parameters if isinstance(parameters, Rejection) else None
    missing = missing_kinds(apis)
    served = "the class is served by tidegate" + (f"; not installed: {', '.join(missing)}" if missing else "")
    supported = "this Gateway API version is supported"
    features = (*SUPPORTED_FEATURES, *(CLUSTER_FEATURES if view.config.scope_per_gateway else ()))
    return Verdict(
        GatewayClassStatus(
            conditions=(
                conditions.judged(ConditionType.ACCEPTED, generation, rejection, served),
                conditions.judged(ConditionType.SUPPORTED_VERSION, generation, version_rejection(apis), supported),
            ),
            supported_features=tuple(SupportedFeature(name=name) for name in sorted(features)),
        )
    )


class ListenerVerdict(msgspec.Struct, frozen=True, gc=False):
    """What there is to say about one listener; apart, so that its change costs no other listener."""

    status: ListenerStatus
    programming: Programming


def _gateway_status(view: View, key: ObjectKey) -> Verdict | None:
    gateway = view.get(GATEWAYS, key)
    assert gateway is not None
    generation = gateway.metadata.generation
    standing, decision = view.get(STANDING, key), view.get(DECISIONS, key)
    if isinstance(standing, ClassNotAccepted):
        waits = tuple(
            conditions.unknown(kind, generation, standing.message)
            for kind in (ConditionType.ACCEPTED, ConditionType.PROGRAMMED)
        )
        addresses = addresses_of(view, gateway, decision)
        return Verdict(GatewayStatus(addresses=addresses.published, conditions=waits, listeners=()))
    if decision is None:
        return None
    addresses = addresses_of(view, gateway, decision)
    verdicts = [view.get(LISTENER_VERDICTS, listener.key) for listener in decision.listeners]
    listeners = [verdict for verdict in verdicts if verdict is not None]
    programming = gateway_programming(
        decision, [one.programming for one in listeners], addresses, view.get(TROUBLES, key)
    )
    served = "; ".join(filter(None, ("the data plane serves this Gateway", programming.note)))
    status = GatewayStatus(
        addresses=addresses.published,
        conditions=(
            _gateway_accepted(generation, decision.rejection, decision.unaccepted, decision.note),
            conditions.judged(ConditionType.PROGRAMMED, generation, programming.rejection, served),
        ),
        listeners=tuple(one.status for one in listeners),
    )
    return Verdict(status, waiting=programming.waiting)


def _gateway_accepted(
    generation: int, rejection: Rejection | None, unaccepted: tuple[str, ...], note: str
) -> Condition:
    if rejection is not None:
        return conditions.unmet(ConditionType.ACCEPTED, generation, rejection)
    if unaccepted:
        message = f"listeners that are not accepted: {', '.join(unaccepted)}"
        return conditions.met(ConditionType.ACCEPTED, generation, message, Reason.LISTENERS_NOT_VALID)
    return conditions.met(ConditionType.ACCEPTED, generation, note or "all listeners are accepted")


def _listener_verdict(view: View, key: ListenerKey) -> ListenerVerdict:
    gateway = view.get(GATEWAYS, key.owner)
    listener = view.get(LISTENERS, key)
    assert gateway is not None
    assert listener is not None
    generation = gateway.metadata.generation
    programming = listener_programming(view, listener)
    serving = view.get(SERVING, key)
    found = [
        conditions.judged(ConditionType.ACCEPTED, generation, listener.rejection, "the listener is valid"),
        conditions.judged(
            ConditionType.PROGRAMMED,
            generation,
            programming.rejection,
            "; ".join(filter(None, (SERVED, programming.note))),
        ),
        conditions.judged(
            ConditionType.RESOLVED_REFS, generation, listener.unresolved, "all references of the listener resolve"
        ),
    ]
    if listener.conflict and listener.rejection is not None:
        found.append(conditions.conflicted(generation, listener.rejection))
    status = ListenerStatus(
        name=listener.spec.name,
        supported_kinds=listener.supported_kinds,
        attached_routes=serving.attached if serving is not None else 0,
        conditions=conditions.together(*found),
    )
    return ListenerVerdict(status, programming)


def _route_status(view: View, key: ObjectKey) -> Verdict | None:
    """One entry per parentRef of ours; a route with no parent of ours has no status."""
    route = view.get(ROUTES, key)
    assert route is not None
    won = set(view.entries(WON, key))
    refs = _resolved_refs(view, key, route)
    parents = []
    for position, reference in enumerate(route.spec.parent_refs):
        attachment = view.get(ATTACHMENTS, ParentKey(key, position))
        if attachment is None:
            continue
        found = (_route_accepted(route, attachment, won), *refs)
        parents.append(
            RouteParentStatus(parent_ref=reference, controller_name=view.config.controller_name, conditions=found)
        )
    if not parents:
        return None
    return Verdict(RouteStatus(parents=tuple(parents)), waiting=any(_waits(view, listener) for listener in won))


def _waits(view: View, key: ListenerKey) -> bool:
    verdict = view.get(LISTENER_VERDICTS, key)
    return verdict is not None and verdict.programming.waiting


def _route_accepted(route: Route, attachment: Attachment, won: set[ListenerKey]) -> Condition:
    generation = route.metadata.generation
    match attachment:
        case ParentPending(message=message):
            return conditions.unknown(ConditionType.ACCEPTED, generation, message)
        case NotAttached(rejection=rejection):
            return conditions.unmet(ConditionType.ACCEPTED, generation, rejection)
        case Attached(listeners=listeners):
            lost = [listener.listener for listener in listeners if listener not in won]
            message = f"attached to {', '.join(listener.listener for listener in listeners)}"
            if lost:
                message += f"; an older route serves {', '.join(lost)}"
            return conditions.met(ConditionType.ACCEPTED, generation, message)


_SEVERITY = (Reason.REF_NOT_PERMITTED, Reason.INVALID_KIND, Reason.BACKEND_NOT_FOUND, Reason.UNSUPPORTED_PROTOCOL)


def _resolved_refs(view: View, key: ObjectKey, route: Route) -> tuple[Condition, ...]:
    """ResolvedRefs, and PartiallyInvalid for rules that v1 does not know."""
    generation = route.metadata.generation
    failures: dict[str, Rejection] = {}
    for reference in route.spec.rules[0].backend_refs:
        backend = view.get(BACKENDS, backend_key(key, reference))
        if isinstance(backend, Rejection):
            failures[backend.message] = backend
    if failures:
        reason = min((rejection.reason for rejection in failures.values()), key=_SEVERITY.index)
        resolved = conditions.unmet(ConditionType.RESOLVED_REFS, generation, Rejection(reason, "; ".join(failures)))
    else:
        resolved = conditions.met(ConditionType.RESOLVED_REFS, generation, "all backends resolve")
    dropped = len(route.spec.rules) - 1
    if not dropped:
        return (resolved,)
    message = f"Dropped Rule: only the first of {dropped + 1} rules is in force"
    return (resolved, conditions.partially_invalid(generation, message))


CLASS_STATUSES: Unit[ObjectKey, Verdict] = Unit("class statuses", CLASSES, _class_status)
LISTENER_VERDICTS: Unit[ListenerKey, ListenerVerdict] = Unit("listener verdicts", LISTENERS, _listener_verdict)
GATEWAY_STATUSES: Unit[ObjectKey, Verdict] = Unit("gateway statuses", GATEWAYS, _gateway_status)
ROUTE_STATUSES: Unit[ObjectKey, Verdict] = Unit("route statuses", ROUTES, _route_status)
