"""What the statuses will be once a data plane has taken everything: for dry runs. Pure, but for the date."""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
from collections.abc import Mapping, Sequence

import msgspec

from tidegate.controller.board import StatusBoard
from tidegate.core.compile import SOCKETS
from tidegate.core.decision import Decision
from tidegate.core.infrastructure import INFRASTRUCTURE
from tidegate.model.corev1 import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from tidegate.model.meta import ObjectMeta
from tidegate.model.status import Status
from tidegate.names import CORE_GROUP, MANAGED_BY_LABEL, MANAGER, WILDCARD_ADDRESS, ObjectKey
from tidegate.plan.infrastructure import Infrastructure, ServiceType
from tidegate.plan.outcome import AddressReport, Failed, FailureReason, Live, SocketReport
from tidegate.plan.types import Socket

UNKNOWN_ADDRESS = "0.0.0.0"  # noqa: S104  Nothing is bound to it.
"""Stands for an address that a cluster has yet to choose."""


def settle(decision: Decision, addresses: Sequence[str], *, this_host: bool = False) -> Mapping[ObjectKey, Status]:
    """Report every socket Live and every scope at ``addresses``, and give the statuses of all objects.

    ``this_host``: ``addresses`` are all there are here, beside loopback, so sockets on others cannot be opened.
    """
    decision.decide()
    for scope in {key.scope for key, _ in decision.graph.items(SOCKETS)}:
        decision.set_report(AddressReport(scope=scope, addresses=tuple(addresses)))
    for key, socket in decision.graph.items(SOCKETS):
        usable = not this_host or key.address in (WILDCARD_ADDRESS, *addresses) or _is_loopback(key.address)
        decision.set_report(
            SocketReport(socket=key, outcome=Live(revision=socket.revision) if usable else _failed(socket))
        )
    return _statuses(decision)


def settle_cluster(decision: Decision) -> Mapping[ObjectKey, Status]:
    """The same where each Gateway has a data plane of its own: every proxy ready, every missing Service there.

    A Service that is missing has the addresses that its Gateway asks for, else ``UNKNOWN_ADDRESS``; one that is there
    has those that it has. It gets the ports that it is to have, unless it is somebody else's.
    """
    decision.decide()
    for _, infrastructure in decision.graph.items(INFRASTRUCTURE):
        if isinstance(infrastructure, Infrastructure):
            _provide_service(decision, infrastructure)
    for key, socket in decision.graph.items(SOCKETS):
        decision.set_report(SocketReport(socket=key, outcome=Live(revision=socket.revision)))
    return _statuses(decision)


def _provide_service(decision: Decision, infrastructure: Infrastructure) -> None:
    meta = ObjectMeta(
        name=infrastructure.name, namespace=infrastructure.gateway.namespace, labels={MANAGED_BY_LABEL: MANAGER}
    )
    key = ObjectKey(CORE_GROUP, Service.KIND, meta.namespace, meta.name)
    ports = tuple(
        ServicePort(name=one.name, port=one.port, protocol=one.protocol, target_port=one.port)
        for one in infrastructure.ports
    )
    present = decision.resource(key)
    if isinstance(present, Service):
        spec = msgspec.structs.replace(present.spec, ports=ports)
        decision.set_object(key, msgspec.structs.replace(present, spec=spec))
        return
    ingress = tuple(LoadBalancerIngress(ip=address) for address in (*infrastructure.addresses, UNKNOWN_ADDRESS))
    service = Service(
        metadata=meta,
        spec=ServiceSpec(type=ServiceType.LOAD_BALANCER.value, ports=ports),
        status=ServiceStatus(load_balancer=LoadBalancerStatus(ingress=ingress)),
    )
    decision.set_object(key, service)


def _statuses(decision: Decision) -> Mapping[ObjectKey, Status]:
    decision.decide()
    board, now = StatusBoard(), dt.datetime.now(dt.UTC)
    board.take(decision.verdicts(), monotonic=0.0, now=now)
    board.take({}, monotonic=math.inf, now=now)  # Nothing else is coming that a verdict could wait for.
    return board.statuses


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _failed(socket: Socket) -> Failed:
    return Failed(
        revision=socket.revision,
        reason=FailureReason.ADDRESS_NOT_USABLE,
        message=f"{socket.key.address} is not an address of this host",
    )
