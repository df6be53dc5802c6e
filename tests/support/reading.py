"""A second, slow and plain reading of the Gateway API for TCP, to hold against the decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from tidegate.core.precedence import age_of
from tidegate.model.corev1 import Namespace, Service
from tidegate.model.gateway import Gateway, GatewayClass, Listener, LocalParametersReference, ParametersReference
from tidegate.model.grants import ReferenceGrant
from tidegate.model.kinds import Resource
from tidegate.model.parameters import GatewayParameters
from tidegate.model.routes import BackendRef, TCPRoute
from tidegate.names import CONTROLLER_NAME, GATEWAY_GROUP, ObjectKey

Inputs = Mapping[ObjectKey, Resource]
Fate = tuple[ObjectKey | None, list[bool]]
"""The route that serves a socket, and whether each of its backendRefs resolves."""

R = TypeVar("R", bound=Resource)


def plainly_planned(inputs: Inputs) -> dict[tuple[str, int], Fate]:
    """By address and port: the route of the oldest Gateway that claims it, and its backends."""
    claims: dict[tuple[str, int], tuple[Gateway, Listener]] = {}
    gateways = sorted(_all(inputs, Gateway), key=lambda one: age_of(one.metadata))
    for gateway in gateways:
        if _served(inputs, gateway):
            for listener in gateway.spec.listeners:
                if listener.protocol == "TCP":
                    for address in _addresses(gateway):
                        others = [place for place, claim in claims.items() if claim[0] is not gateway]
                        if not any(_overlap(place, (address, listener.port)) for place in others):
                            claims.setdefault((address, listener.port), (gateway, listener))
    return {place: _fate(inputs, *claim) for place, claim in claims.items()}


def _overlap(left: tuple[str, int], right: tuple[str, int]) -> bool:
    return left[1] == right[1] and (left[0] == right[0] or "*" in (left[0], right[0]))


def _all(inputs: Inputs, kind: type[R]) -> Iterator[R]:
    return (one for one in inputs.values() if isinstance(one, kind))


def _served(inputs: Inputs, gateway: Gateway) -> bool:
    classes = {one.metadata.name: one.spec for one in _all(inputs, GatewayClass)}
    found = classes.get(gateway.spec.gateway_class_name)
    if found is not None and found.controller_name != CONTROLLER_NAME:
        return False
    of_class = found.parameters_ref if found is not None else None
    own = gateway.spec.infrastructure.parameters_ref if gateway.spec.infrastructure is not None else None
    return (
        (of_class is None or _exists(inputs, of_class, of_class.namespace))
        and (own is None or _exists(inputs, own, gateway.metadata.namespace))
        and all(address.type == "IPAddress" for address in gateway.spec.addresses)
    )


def _exists(inputs: Inputs, reference: ParametersReference | LocalParametersReference, namespace: str | None) -> bool:
    """Whether a parametersRef names GatewayParameters that are there."""
    known = {(one.metadata.namespace, one.metadata.name) for one in _all(inputs, GatewayParameters)}
    kind = (reference.group, reference.kind)
    return kind == ("tidegate.dev", "GatewayParameters") and (namespace, reference.name) in known


def _addresses(gateway: Gateway) -> list[str]:
    return [address.value or "*" for address in gateway.spec.addresses] or ["*"]


def _fate(inputs: Inputs, gateway: Gateway, listener: Listener) -> Fate:
    routes = [route for route in _all(inputs, TCPRoute) if _attaches(inputs, route, gateway, listener)]
    if not routes:
        return None, []
    winner = min(routes, key=lambda route: age_of(route.metadata))
    key = ObjectKey(GATEWAY_GROUP, "TCPRoute", winner.metadata.namespace, winner.metadata.name)
    refs = winner.spec.rules[0].backend_refs
    return key, [_resolves(inputs, winner.metadata.namespace, ref) for ref in refs]


def _attaches(inputs: Inputs, route: TCPRoute, gateway: Gateway, listener: Listener) -> bool:
    here = route.metadata.namespace
    kinds = [(kind.group, kind.kind) for kind in listener.allowed_routes.kinds]
    return (
        any(
            (ref.namespace or here, ref.name) == (gateway.metadata.namespace, gateway.metadata.name)
            and ref.section_name in (None, listener.name)
            and ref.port in (None, listener.port)
            for ref in route.spec.parent_refs
        )
        and (not kinds or (GATEWAY_GROUP, "TCPRoute") in kinds)
        and _allows(inputs, here, gateway, listener)
    )


def _allows(inputs: Inputs, namespace: str, gateway: Gateway, listener: Listener) -> bool:
    allowed = listener.allowed_routes.namespaces
    if allowed.from_ != "Selector":
        return allowed.from_ == "All" or namespace == gateway.metadata.namespace
    if allowed.selector is None:
        return False
    labels = {one.metadata.name: one.metadata.labels for one in _all(inputs, Namespace)}.get(namespace, {})
    if not all(labels.get(key) == value for key, value in allowed.selector.match_labels.items()):
        return False
    return all(
        one.operator == "NotIn" and labels.get(one.key) not in one.values for one in allowed.selector.match_expressions
    )


def _resolves(inputs: Inputs, namespace: str, ref: BackendRef) -> bool:
    there = ref.namespace or namespace
    service = next(
        (s for s in _all(inputs, Service) if (s.metadata.namespace, s.metadata.name) == (there, ref.name)), None
    )
    return (
        (ref.group, ref.kind) == ("", "Service")
        and (there == namespace or _granted(inputs, namespace, there, ref.name))
        and service is not None
        and service.spec.type != "ExternalName"
        and any((port.port, port.protocol) == (ref.port, "TCP") for port in service.spec.ports)
    )


def _granted(inputs: Inputs, origin: str, there: str, name: str) -> bool:
    return any(
        grant.metadata.namespace == there
        and any((one.group, one.kind, one.namespace) == (GATEWAY_GROUP, "TCPRoute", origin) for one in grant.spec.from_)
        and any((one.group, one.kind) == ("", "Service") and one.name in (None, name) for one in grant.spec.to)
        for grant in _all(inputs, ReferenceGrant)
    )
