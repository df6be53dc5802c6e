"""Which listeners a route's parentRef attaches to (Gateway API, ParentReference; GEP-957, GEP-724).

Each parentRef is judged on its own. Attachment does not depend on whether a listener is programmed or
on the route's backends. References from routes to parents need no ReferenceGrant.
"""

from __future__ import annotations

import msgspec

from tidegate.core.gateways import DECISIONS, LISTENERS, LISTENERS_OF, STANDING, ClassNotAccepted, Ours
from tidegate.core.incremental import Index, Unit, View
from tidegate.core.listeners import ListenerDecision
from tidegate.core.precedence import Age, RankedRoute, age_of
from tidegate.core.reasons import Reason
from tidegate.core.rejection import Rejection
from tidegate.core.selectors import matches
from tidegate.core.tables import NAMESPACES, ROUTES
from tidegate.model.corev1 import NAMESPACE_NAME_LABEL, Namespace
from tidegate.model.gateway import Gateway
from tidegate.model.routes import ParentReference, Route
from tidegate.names import CORE_GROUP, GATEWAY_GROUP, ListenerKey, ObjectKey


class ParentKey(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """One parentRef of a route, by its position."""

    route: ObjectKey
    position: int


class Attached(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The parentRef attaches to these listeners, at least one. ``age`` is the route's."""

    age: Age
    listeners: tuple[ListenerKey, ...]


class NotAttached(msgspec.Struct, frozen=True, gc=False):
    """A parent of ours, but none of its listeners takes the route."""

    rejection: Rejection


class ParentPending(msgspec.Struct, frozen=True, gc=False):
    """A parent of ours that is not decided on yet. ``attached``: the listeners whose data plane, if there is one
    already, serves the route all the same.
    """

    message: str
    attached: Attached | None = None


Attachment = Attached | NotAttached | ParentPending


def _attachment(view: View, key: ParentKey) -> Attachment | None:
    """None: the parent is not ours, or does not exist, and gets no status entry."""
    route = view.get(ROUTES, key.route)
    assert route is not None
    reference = route.spec.parent_refs[key.position]
    if (reference.group, reference.kind) != (GATEWAY_GROUP, Gateway.KIND):
        return None
    namespace = reference.namespace or key.route.namespace
    gateway = ObjectKey(GATEWAY_GROUP, Gateway.KIND, namespace, reference.name)
    standing = view.get(STANDING, gateway)
    if not isinstance(standing, Ours | ClassNotAccepted):
        return None
    attachment = _judged(view, key, route, gateway)
    if isinstance(standing, ClassNotAccepted):
        return ParentPending(standing.message, attachment if isinstance(attachment, Attached) else None)
    return attachment


def _judged(view: View, key: ParentKey, route: Route, gateway: ObjectKey) -> Attached | NotAttached:
    """Name and port first, then kind and namespace."""
    reference = route.spec.parent_refs[key.position]
    relevant = _relevant(view, gateway, reference)
    if not relevant:
        return NotAttached(Rejection(Reason.NO_MATCHING_PARENT, _no_listener(gateway, reference)))
    permitted = [listener for listener in relevant if _permits(view, listener, key.route)]
    if not permitted:
        return NotAttached(Rejection(Reason.NOT_ALLOWED_BY_LISTENERS, _refusal(view, relevant, key.route)))
    return Attached(age=age_of(route.metadata), listeners=tuple(listener.key for listener in permitted))


def _relevant(view: View, gateway: ObjectKey, reference: ParentReference) -> list[ListenerDecision]:
    """The listeners that the reference names; reads no more than these."""
    keys: list[ListenerKey]
    if reference.section_name is not None:
        keys = [ListenerKey(gateway, reference.section_name)]
    elif reference.port is not None:
        decision = view.get(DECISIONS, gateway)
        listeners = decision.listeners if decision is not None else ()
        keys = sorted(listener.key for listener in listeners if listener.spec.port == reference.port)
    else:
        keys = list(view.entries(LISTENERS_OF, gateway))
    found = [listener for key in keys if (listener := view.get(LISTENERS, key)) is not None]
    return [listener for listener in found if reference.port is None or listener.spec.port == reference.port]


def _permits(view: View, listener: ListenerDecision, route: ObjectKey) -> bool:
    return _takes_kind(listener, route) and _takes_namespace(view, listener, route.namespace)


def _takes_kind(listener: ListenerDecision, route: ObjectKey) -> bool:
    return any((kind.group, kind.kind) == (route.group, route.kind) for kind in listener.supported_kinds)


def _takes_namespace(view: View, listener: ListenerDecision, namespace: str) -> bool:
    allowed = listener.spec.allowed_routes.namespaces
    match allowed.from_:
        case "All":
            return True
        case "Selector":
            return matches(allowed.selector, _labels(view, namespace))
        case _:
            return namespace == listener.key.owner.namespace


def _labels(view: View, namespace: str) -> dict[str, str]:
    """Every namespace has the label of its own name, whatever is written; one that is not in the input, only that."""
    found = view.get(NAMESPACES, ObjectKey(CORE_GROUP, Namespace.KIND, "", namespace))
    return (found.metadata.labels if found is not None else {}) | {NAMESPACE_NAME_LABEL: namespace}


def _no_listener(gateway: ObjectKey, reference: ParentReference) -> str:
    wanted = []
    if reference.section_name is not None:
        wanted.append(f"the name {reference.section_name}")
    if reference.port is not None:
        wanted.append(f"port {reference.port}")
    return f"Gateway {gateway.path} has no listener with {' and '.join(wanted) or 'any name'}"


def _refusal(view: View, listeners: list[ListenerDecision], route: ObjectKey) -> str:
    parts = []
    for listener in listeners:
        name = listener.spec.name
        if not _takes_kind(listener, route):
            kinds = ", ".join(kind.kind for kind in listener.supported_kinds) or "no routes"
            parts.append(f"listener {name} ({listener.spec.protocol}) takes {kinds}, not {route.kind}")
        elif not _takes_namespace(view, listener, route.namespace):
            parts.append(f"listener {name} takes no routes from namespace {route.namespace}")
    return "; ".join(parts)


PARENTS: Index[ParentKey, int] = Index(
    "parent refs",
    ROUTES,
    lambda key, value: [(ParentKey(key, position), position) for position in range(len(value.spec.parent_refs))],
)
ATTACHMENTS: Unit[ParentKey, Attachment] = Unit("attachments", PARENTS, _attachment)


def _attached(key: ParentKey, value: Attachment) -> list[tuple[ListenerKey, RankedRoute]]:
    attached = value.attached if isinstance(value, ParentPending) else value
    if not isinstance(attached, Attached):
        return []
    return [(listener, RankedRoute(attached.age, key.route)) for listener in attached.listeners]


ATTACHED: Index[ListenerKey, RankedRoute] = Index("attached routes", ATTACHMENTS, _attached)


class Serving(msgspec.Struct, frozen=True, gc=False):
    """Which of the attached routes a listener serves (the oldest), and how many are attached."""

    winner: ObjectKey | None
    attached: int


def _serving(view: View, key: ListenerKey) -> Serving:
    ranked = view.entries(ATTACHED, key)
    return Serving(ranked[0].route if ranked else None, len(ranked))


SERVING: Unit[ListenerKey, Serving] = Unit("serving", LISTENERS, _serving)
WON: Index[ObjectKey, ListenerKey] = Index(
    "listeners that a route serves",
    SERVING,
    lambda key, value: [(value.winner, key)] if value.winner is not None else [],
)
