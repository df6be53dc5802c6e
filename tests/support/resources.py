"""Typed objects from manifests, and a decision that is fed with them and with a data plane that obeys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from support.manifests import Manifest, flat
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision, DecisionChange
from tidegate.core.statuses import Verdict
from tidegate.model.decode import Decoded, decode
from tidegate.model.gateway import Gateway
from tidegate.model.kinds import Resource, key_of
from tidegate.model.status import GatewayClassStatus, GatewayStatus, ListenerStatus, RouteParentStatus, RouteStatus
from tidegate.names import GATEWAY_GROUP, ListenerKey, ObjectKey, SocketKey
from tidegate.plan.features import Features
from tidegate.plan.infrastructure import Infrastructure, KeptInfrastructure
from tidegate.plan.outcome import AddressReport, Live, Outcome, SocketReport
from tidegate.plan.types import PlanKey, PlanValue, Socket

FEATURES = Features(name="test", protocols=frozenset({"TCP"}))
HOST_ADDRESS = "192.0.2.1"


def typed(document: Manifest, order: int = 0) -> Resource:
    """The object that a valid manifest means, as a source would deliver it: of generation 1 unless given."""
    result = decode(document)
    assert isinstance(result, Decoded), result
    resource: Any = result.resource
    generation = resource.metadata.generation or 1
    metadata = msgspec.structs.replace(resource.metadata, generation=generation, order=order)
    replaced: Resource = msgspec.structs.replace(resource, metadata=metadata)
    return replaced


def on_one_port(resource: Resource, port: int) -> Gateway:
    """The Gateway with all its listeners on one port, which validation would refuse."""
    assert isinstance(resource, Gateway)
    listeners = tuple(msgspec.structs.replace(one, port=port) for one in resource.spec.listeners)
    return msgspec.structs.replace(resource, spec=msgspec.structs.replace(resource.spec, listeners=listeners))


def gateway_key(name: str, namespace: str = "default") -> ObjectKey:
    """The identity of a Gateway."""
    return ObjectKey(GATEWAY_GROUP, "Gateway", namespace, name)


def route_key(name: str, namespace: str = "default") -> ObjectKey:
    """The identity of a TCPRoute."""
    return ObjectKey(GATEWAY_GROUP, "TCPRoute", namespace, name)


def class_key(name: str) -> ObjectKey:
    """The identity of a GatewayClass."""
    return ObjectKey(GATEWAY_GROUP, "GatewayClass", "", name)


def listener_key(gateway: str, listener: str, namespace: str = "default") -> ListenerKey:
    """The identity of a Gateway's listener."""
    return ListenerKey(gateway_key(gateway, namespace), listener)


def socket_key(port: int, address: str = "*", scope: str = "standalone") -> SocketKey:
    """The identity of a TCP socket."""
    return SocketKey(scope, address, "TCP", port)


class World:
    """A decision, all that its changes add up to, and what a data plane says to it."""

    def __init__(self, *documents: Manifest | list[Manifest], cluster: bool = False, **config: Any) -> None:
        where = {"adopt_missing_classes": False, "scope_per_gateway": True} if cluster else {}
        self.decision = Decision(CoreConfig(**{"features": FEATURES, **where, **config}))
        self.plan: dict[PlanKey, PlanValue] = {}
        self.verdicts: dict[ObjectKey, Verdict] = {}
        self.infrastructure: dict[ObjectKey, Infrastructure | KeptInfrastructure] = {}
        self.ready: dict[str, frozenset[str]] = {}
        self.classes_in_use: dict[ObjectKey, bool] = {}
        self._order = 0
        self.apply(*documents)

    def apply(self, *documents: Manifest | list[Manifest]) -> DecisionChange:
        """Set objects, in order of appearance, and decide."""
        for document in flat(documents):
            resource = typed(document, self._order)
            self._order += 1
            self.decision.set_object(key_of(resource), resource)
        return self.decide()

    def set(self, *resources: Resource) -> DecisionChange:
        """Set objects as they are, those included that no API server would store, and decide."""
        for resource in resources:
            self.decision.set_object(key_of(resource), resource)
        return self.decide()

    def remove(self, *documents: Manifest) -> DecisionChange:
        """Take objects away and decide."""
        for document in documents:
            self.decision.set_object(key_of(typed(document)), None)
        return self.decide()

    def decide(self) -> DecisionChange:
        """Decide, which must not fail, and keep what changed."""
        change = self.decision.decide()
        assert not change.faults, change.faults
        _fold(self.plan, change.plan)
        _fold(self.verdicts, change.verdicts)
        _fold(self.infrastructure, change.infrastructure)
        self.ready |= change.ready
        _fold(self.classes_in_use, change.classes_in_use)
        return change

    def report(self, outcomes: Mapping[SocketKey, Outcome | None]) -> DecisionChange:
        """Let the data plane say something about sockets, and decide."""
        for key, outcome in outcomes.items():
            self.decision.set_report(SocketReport(socket=key, outcome=outcome))
        return self.decide()

    def obey(self, except_for: Iterable[SocketKey] = (), addresses: tuple[str, ...] = (HOST_ADDRESS,)) -> None:
        """Every planned socket is live, and every scope of a planned socket has these addresses."""
        sockets = [value for value in self.plan.values() if isinstance(value, Socket)]
        for scope in {"standalone", *(socket.key.scope for socket in sockets)}:
            self.decision.set_report(AddressReport(scope=scope, addresses=addresses))
        skipped = set(except_for)
        self.report({one.key: Live(revision=one.revision) for one in sockets if one.key not in skipped})

    def socket(self, port: int, address: str = "*", scope: str = "standalone") -> Socket:
        """The planned socket; fails when there is none."""
        found = self.plan[socket_key(port, address, scope)]
        assert isinstance(found, Socket)
        return found

    def data_plane(self, gateway: str, namespace: str = "default") -> Infrastructure:
        """What is to be provided for a Gateway; fails when it is none or to be kept as it is."""
        found = self.infrastructure[gateway_key(gateway, namespace)]
        assert isinstance(found, Infrastructure)
        return found

    def gateway(self, name: str, namespace: str = "default") -> GatewayStatus:
        """The status of a Gateway of ours."""
        status = self.verdicts[gateway_key(name, namespace)].status
        assert isinstance(status, GatewayStatus)
        return status

    def listener(self, gateway: str, name: str, namespace: str = "default") -> ListenerStatus:
        """The status of a Gateway's listener."""
        return next(one for one in self.gateway(gateway, namespace).listeners if one.name == name)

    def parents(self, route: str, namespace: str = "default") -> tuple[RouteParentStatus, ...]:
        """The status entries of a route, which may have none."""
        verdict = self.verdicts.get(route_key(route, namespace))
        if verdict is None:
            return ()
        assert isinstance(verdict.status, RouteStatus)
        return verdict.status.parents

    def gateway_class(self, name: str) -> GatewayClassStatus:
        """The status of a GatewayClass of ours."""
        status = self.verdicts[class_key(name)].status
        assert isinstance(status, GatewayClassStatus)
        return status


def _fold(kept: dict[Any, Any], changes: Mapping[Any, Any]) -> None:
    for key, value in changes.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value


def said(holder: GatewayClassStatus | GatewayStatus | ListenerStatus | RouteParentStatus, kind: str) -> str:
    """One condition as ``status/reason``, or ``absent``."""
    return next((f"{one.status}/{one.reason}" for one in holder.conditions if one.type == kind), "absent")


def message(holder: GatewayClassStatus | GatewayStatus | ListenerStatus | RouteParentStatus, kind: str) -> str:
    """The message of a condition."""
    return next(one.message for one in holder.conditions if one.type == kind)
