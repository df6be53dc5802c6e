"""What a cluster has to provide for each Gateway of ours, and under which name (GEP-1762, GEP-1867).

Only where each Gateway has a data plane of its own; else there is nothing to provide.
"""

from __future__ import annotations

import hashlib
import re

from tidegate.core.gateways import DECISIONS, GatewayDecision
from tidegate.core.incremental import Unit, View
from tidegate.core.parameters import GATEWAY_PARAMETERS
from tidegate.core.protocols import PROTOCOLS
from tidegate.core.tables import GATEWAYS, SERVICES
from tidegate.model.corev1 import Service
from tidegate.model.gateway import Gateway, GatewayInfrastructure
from tidegate.names import (
    ACCESS_LOG_LABEL,
    CORE_GROUP,
    GATEWAY_NAME_LABEL,
    MANAGED_BY_LABEL,
    MANAGER,
    ObjectKey,
    label_value,
)
from tidegate.plan.infrastructure import Infrastructure, InfrastructurePort, KeptInfrastructure, Parameters

LONGEST_NAME = 63
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_DIGITS = 8


def infrastructure_name(gateway: str, class_name: str) -> str:
    """What all objects of a data plane are called: ``<gateway>-<class>``, made fit for a Service (RFC 1035).

    A hash follows where that alone is no Service's name, and where a dash in the class's name leaves open which
    Gateway is meant: ``a-b-c`` is Gateway ``a-b`` of class ``c``, and never ``a`` of class ``b-c``.
    """
    wanted = f"{gateway}-{class_name}"
    if "-" not in class_name and len(wanted) <= LONGEST_NAME and _SERVICE_NAME.match(wanted):
        return wanted
    digest = hashlib.sha256(f"{gateway}/{class_name}".encode()).hexdigest()[:_DIGITS]
    start = wanted.replace(".", "-") if wanted[0].isalpha() else f"gw-{wanted.replace('.', '-')}"
    return f"{start[: LONGEST_NAME - _DIGITS - 1].rstrip('-')}-{digest}"


def service_of(gateway: Gateway) -> ObjectKey:
    """The Service in front of a Gateway's data plane."""
    meta = gateway.metadata
    name = infrastructure_name(meta.name, gateway.spec.gateway_class_name)
    return ObjectKey(CORE_GROUP, Service.KIND, meta.namespace, name)


def is_ours(service: Service) -> bool:
    """Whether a Service under such a name is of our making."""
    return service.metadata.labels.get(MANAGED_BY_LABEL) == MANAGER


def is_of_another(service: Service, gateway: Gateway) -> bool:
    """Whether a Service of our making leads to the proxies of another Gateway, which comes to the same name."""
    name = label_value(gateway.metadata.name)
    return is_ours(service) and service.metadata.labels.get(GATEWAY_NAME_LABEL, name) != name


def _infrastructure(view: View, key: ObjectKey) -> Infrastructure | KeptInfrastructure | None:
    if not view.config.scope_per_gateway:
        return None
    gateway, decision = view.get(GATEWAYS, key), view.get(DECISIONS, key)
    assert gateway is not None
    assert decision is not None
    name = service_of(gateway).name
    parameters = view.get(GATEWAY_PARAMETERS, key)
    if decision.rejection is not None or not isinstance(parameters, Parameters):
        return KeptInfrastructure(gateway=key, name=name, access_log=_logged(view, gateway))
    wanted = gateway.spec.infrastructure or GatewayInfrastructure()
    return Infrastructure(
        gateway=key,
        uid=gateway.metadata.uid,
        class_name=gateway.spec.gateway_class_name,
        name=name,
        labels=wanted.labels,
        annotations=wanted.annotations,
        ports=_ports(decision),
        addresses=tuple(address.value for address in gateway.spec.addresses if address.value),
        parameters=parameters,
    )


def _logged(view: View, gateway: Gateway) -> str:
    """The format of the access log when parameters were last known, as the Service remembers it."""
    service = view.get(SERVICES, service_of(gateway))
    if service is None or not is_ours(service) or is_of_another(service, gateway):
        return "off"
    return service.metadata.labels.get(ACCESS_LOG_LABEL, "off")


def _ports(decision: GatewayDecision) -> tuple[InfrastructurePort, ...]:
    """Those of all accepted listeners. Named after the port: renaming a listener changes no Service."""
    places = {
        (listener.spec.port, PROTOCOLS[listener.spec.protocol].transport)
        for listener in decision.listeners
        if listener.rejection is None
    }
    return tuple(
        InfrastructurePort(name=f"{transport.lower()}-{port}", port=port, protocol=transport)
        for port, transport in sorted(places)
    )


INFRASTRUCTURE: Unit[ObjectKey, Infrastructure | KeptInfrastructure] = Unit(
    "infrastructure", DECISIONS, _infrastructure
)
