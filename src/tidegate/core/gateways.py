"""Which Gateways are ours, and what each of them as a whole is worth (Gateway API, GatewayClass; Gateway).

The checks run in the order of the spec's reasons: parameters, then address types, then listeners.
"""

from __future__ import annotations

import ipaddress

import msgspec

from tidegate.core.config import CoreConfig
from tidegate.core.incremental import Index, Unit, View
from tidegate.core.listeners import ListenerDecision, evaluate_listeners
from tidegate.core.precedence import Age, age_of
from tidegate.core.reasons import Reason
from tidegate.core.rejection import Rejection
from tidegate.core.tables import CLASSES, GATEWAYS
from tidegate.model.gateway import Gateway, GatewayClass
from tidegate.names import GATEWAY_GROUP, WILDCARD_ADDRESS, ListenerKey, ObjectKey


class Ours(msgspec.Struct, frozen=True):
    """The Gateway's class is ours. ``note`` says what a person should know about that, or is empty."""

    note: str = ""


class ClassNotAccepted(msgspec.Struct, frozen=True):
    """The class is ours, but not accepted: the Gateway waits."""

    message: str


class NotOurs(msgspec.Struct, frozen=True):
    """Another controller's Gateway, or one whose class does not exist; ``message`` says which."""

    message: str


Standing = Ours | ClassNotAccepted | NotOurs


class GatewayDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A Gateway of ours. ``rejection`` None: at least one listener is accepted.

    ``unaccepted`` are the names of listeners that are not. ``addresses`` are the socket addresses
    (canonical text or ``*``) that its listeners are bound to.
    """

    key: ObjectKey
    age: Age
    note: str
    rejection: Rejection | None
    unaccepted: tuple[str, ...]
    addresses: tuple[str, ...]
    listeners: tuple[ListenerDecision, ...]


def class_rejection(gateway_class: GatewayClass) -> Rejection | None:
    """Why a class of ours is not accepted, or None."""
    reference = gateway_class.spec.parameters_ref
    if reference is None:
        return None
    return Rejection(Reason.INVALID_PARAMETERS, _no_parameters(reference.group, reference.kind))


def _no_parameters(group: str, kind: str) -> str:
    return f"parametersRef names {group or 'core'}/{kind}, but this data plane takes no parameters: remove it"


def _standing(view: View, key: ObjectKey) -> Standing:
    gateway = view.get(GATEWAYS, key)
    assert gateway is not None
    config: CoreConfig = view.config
    name = gateway.spec.gateway_class_name
    found = view.get(CLASSES, ObjectKey(GATEWAY_GROUP, GatewayClass.KIND, "", name))
    if found is None:
        if config.adopt_missing_classes:
            return Ours(f"GatewayClass {name} is not in the input and is taken as tidegate's")
        return NotOurs(f"GatewayClass {name} does not exist")
    if found.spec.controller_name != config.controller_name:
        return NotOurs(f"not served: GatewayClass {name} belongs to controller {found.spec.controller_name}")
    rejection = class_rejection(found)
    if rejection is not None:
        return ClassNotAccepted(f"GatewayClass {name} is not accepted: {rejection.message}")
    return Ours()


def _addresses(gateway: Gateway, config: CoreConfig) -> tuple[str, ...]:
    """Where the sockets are; with a data plane per Gateway the Service in front carries the addresses."""
    values = [address.value for address in gateway.spec.addresses]
    if config.scope_per_gateway or not values:
        return (WILDCARD_ADDRESS,)
    canonical = [str(ipaddress.ip_address(value)) if value else WILDCARD_ADDRESS for value in values]
    wildcards = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return tuple(dict.fromkeys(WILDCARD_ADDRESS if value in wildcards else value for value in canonical))


def _gateway_rejection(gateway: Gateway) -> Rejection | None:
    infrastructure = gateway.spec.infrastructure
    if infrastructure is not None and infrastructure.parameters_ref is not None:
        reference = infrastructure.parameters_ref
        return Rejection(Reason.INVALID_PARAMETERS, _no_parameters(reference.group, reference.kind))
    types = sorted({address.type for address in gateway.spec.addresses if address.type != "IPAddress"})
    if types:
        return Rejection(
            Reason.UNSUPPORTED_ADDRESS, f"addresses of type {', '.join(types)} are not supported: use IPAddress"
        )
    return None


def _gateway(view: View, key: ObjectKey) -> GatewayDecision | None:
    standing = view.get(STANDING, key)
    if not isinstance(standing, Ours):
        return None
    gateway = view.get(GATEWAYS, key)
    assert gateway is not None
    config: CoreConfig = view.config
    rejection = _gateway_rejection(gateway)
    addresses = _addresses(gateway, config) if rejection is None else ()
    listeners = evaluate_listeners(key, gateway, addresses, config)
    unaccepted = tuple(listener.spec.name for listener in listeners if listener.rejection is not None)
    if rejection is None and len(unaccepted) == len(listeners):
        rejection = Rejection(Reason.LISTENERS_NOT_VALID, f"no listener is accepted: {', '.join(unaccepted)}")
    return GatewayDecision(
        key=key,
        age=age_of(gateway.metadata),
        note=standing.note,
        rejection=rejection,
        unaccepted=unaccepted,
        addresses=addresses,
        listeners=listeners,
    )


STANDING: Unit[ObjectKey, Standing] = Unit("standing", GATEWAYS, _standing)
DECISIONS: Unit[ObjectKey, GatewayDecision] = Unit("gateway decisions", GATEWAYS, _gateway)

LISTENER_DECISIONS: Index[ListenerKey, ObjectKey] = Index(
    "listeners", DECISIONS, lambda key, value: [(listener.key, key) for listener in value.listeners]
)


def _listener(view: View, key: ListenerKey) -> ListenerDecision | None:
    decision = view.get(DECISIONS, key.owner)
    assert decision is not None
    return next(listener for listener in decision.listeners if listener.key == key)


LISTENERS: Unit[ListenerKey, ListenerDecision] = Unit("listener decisions", LISTENER_DECISIONS, _listener)
LISTENERS_OF: Index[ObjectKey, ListenerKey] = Index(
    "listeners of a gateway", LISTENERS, lambda key, _: [(key.owner, key)]
)
LISTENERS_AT: Index[tuple[ObjectKey, int], ListenerKey] = Index(
    "listeners of a gateway at a port", LISTENERS, lambda key, value: [((key.owner, value.spec.port), key)]
)
