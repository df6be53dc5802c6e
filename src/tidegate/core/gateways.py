"""Which Gateways are ours, and what each of them as a whole is worth (Gateway API, GatewayClass; Gateway).

The checks run in the order of the spec's reasons: parameters, then address types, then listeners.
"""

from __future__ import annotations

import ipaddress

import msgspec

from tidegate.core.config import CoreConfig
from tidegate.core.incremental import Index, Unit, View
from tidegate.core.listeners import ListenerDecision, evaluate_listeners
from tidegate.core.parameters import CLASS_PARAMETERS, GATEWAY_PARAMETERS, class_of
from tidegate.core.precedence import Age, age_of
from tidegate.core.reasons import Reason
from tidegate.core.rejection import Rejection
from tidegate.core.tables import CLASSES, GATEWAYS
from tidegate.model.gateway import Gateway
from tidegate.names import WILDCARD_ADDRESS, ListenerKey, ObjectKey
from tidegate.plan.infrastructure import Parameters


class Ours(msgspec.Struct, frozen=True, gc=False):
    """The Gateway's class is ours. ``note`` says what a person should know about that, or is empty."""

    note: str = ""


class ClassNotAccepted(msgspec.Struct, frozen=True, gc=False):
    """The class is ours, but not accepted: the Gateway waits."""

    message: str


class NotOurs(msgspec.Struct, frozen=True, gc=False):
    """Another controller's Gateway, or one whose class does not exist; ``message`` says which."""

    message: str


Standing = Ours | ClassNotAccepted | NotOurs


class GatewayDecision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A Gateway of ours. ``rejection`` None: at least one listener is accepted.

    ``unaccepted`` are the names of listeners that are not. ``addresses`` are the socket addresses
    (canonical text or ``*``) that its listeners are bound to.

    A Gateway with a data plane of its own keeps its sockets when it is not accepted any more, for example because its
    parameters are gone: it then gets nothing new, and what serves there goes on. If there is no data plane yet, nobody
    opens these sockets.
    """

    key: ObjectKey
    age: Age
    note: str
    rejection: Rejection | None
    unaccepted: tuple[str, ...]
    addresses: tuple[str, ...]
    listeners: tuple[ListenerDecision, ...]


def _standing(view: View, key: ObjectKey) -> Standing:
    gateway = view.get(GATEWAYS, key)
    assert gateway is not None
    config: CoreConfig = view.config
    name = gateway.spec.gateway_class_name
    found = view.get(CLASSES, class_of(gateway))
    if found is None:
        if config.adopt_missing_classes:
            return Ours(f"GatewayClass {name} is not in the input and is taken as tidegate's")
        return NotOurs(f"GatewayClass {name} does not exist")
    if found.spec.controller_name != config.controller_name:
        return NotOurs(f"not served: GatewayClass {name} belongs to controller {found.spec.controller_name}")
    parameters = view.get(CLASS_PARAMETERS, class_of(gateway))
    if isinstance(parameters, Rejection):
        return ClassNotAccepted(f"GatewayClass {name} is not accepted: {parameters.message}")
    return Ours()


def _addresses(gateway: Gateway, config: CoreConfig) -> tuple[str, ...]:
    """Where the sockets are; with a data plane per Gateway the Service in front carries the addresses."""
    values = [address.value for address in gateway.spec.addresses]
    if config.scope_per_gateway or not values:
        return (WILDCARD_ADDRESS,)
    canonical = [str(ipaddress.ip_address(value)) if value else WILDCARD_ADDRESS for value in values]
    wildcards = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return tuple(dict.fromkeys(WILDCARD_ADDRESS if value in wildcards else value for value in canonical))


def _gateway_rejection(gateway: Gateway, parameters: Parameters | Rejection) -> Rejection | None:
    if isinstance(parameters, Rejection):
        return parameters
    types = sorted({address.type for address in gateway.spec.addresses if address.type != "IPAddress"})
    if types:
        return Rejection(
            Reason.UNSUPPORTED_ADDRESS, f"addresses of type {', '.join(types)} are not supported: use IPAddress"
        )
    return None


def _gateway(view: View, key: ObjectKey) -> GatewayDecision | None:
    config: CoreConfig = view.config
    match view.get(STANDING, key):
        case Ours(note=note):
            pass
        case ClassNotAccepted() if config.scope_per_gateway:
            note = ""
        case _:
            return None
    gateway, parameters = view.get(GATEWAYS, key), view.get(GATEWAY_PARAMETERS, key)
    assert gateway is not None
    assert parameters is not None
    rejection = _gateway_rejection(gateway, parameters)
    addresses = _addresses(gateway, config) if rejection is None or config.scope_per_gateway else ()
    host_network = isinstance(parameters, Parameters) and parameters.host_network
    listeners = evaluate_listeners(
        key, gateway, addresses, config, accepted=rejection is None, host_network=host_network
    )
    unaccepted = tuple(listener.spec.name for listener in listeners if listener.rejection is not None)
    if rejection is None and len(unaccepted) == len(listeners):
        rejection = Rejection(Reason.LISTENERS_NOT_VALID, f"no listener is accepted: {', '.join(unaccepted)}")
    return GatewayDecision(
        key=key,
        age=age_of(gateway.metadata),
        note=note,
        rejection=rejection,
        unaccepted=unaccepted,
        addresses=addresses,
        listeners=listeners,
    )


def _in_use(view: View, key: ObjectKey) -> bool | None:
    """Whether a class of ours has a Gateway, so that it should not go (``gateway-exists-finalizer``)."""
    found = view.get(CLASSES, key)
    assert found is not None
    if found.spec.controller_name != view.config.controller_name:
        return None
    return bool(view.entries(GATEWAYS_OF, key))


GATEWAYS_OF: Index[ObjectKey, ObjectKey] = Index(
    "gateways of a class", GATEWAYS, lambda key, gateway: [(class_of(gateway), key)]
)
IN_USE: Unit[ObjectKey, bool] = Unit("classes in use", CLASSES, _in_use)

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
