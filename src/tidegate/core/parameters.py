"""Which parameters a Gateway's data plane has: its own, else those of its class, else the defaults (``parametersRef``).

Comes in: classes, Gateways and GatewayParameters. Goes out: the parameters, or why a reference means none. They are
resolved everywhere, so that a mistake is found where it is made, but only a cluster's data planes heed them.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from tidegate.core.incremental import Unit, View
from tidegate.core.reasons import Reason
from tidegate.core.rejection import Rejection
from tidegate.core.tables import CLASSES, GATEWAYS, PARAMETERS
from tidegate.model.gateway import Gateway, GatewayClass
from tidegate.model.meta import ApiStruct
from tidegate.model.parameters import (
    GatewayParameters,
    GatewayParametersSpec,
    PodParameters,
    ServiceParameters,
)
from tidegate.names import GATEWAY_GROUP, ObjectKey
from tidegate.plan.infrastructure import Parameters, ServiceType

S = TypeVar("S", bound=ApiStruct)

_UNSET: tuple[Any, ...] = (None, {}, ())


def class_of(gateway: Gateway) -> ObjectKey:
    """The class that a Gateway names."""
    return ObjectKey(GATEWAY_GROUP, GatewayClass.KIND, "", gateway.spec.gateway_class_name)


def _class_parameters(view: View, key: ObjectKey) -> GatewayParametersSpec | Rejection | None:
    """What a class of ours sets for its Gateways; None for a foreign class."""
    found = view.get(CLASSES, key)
    assert found is not None
    if found.spec.controller_name != view.config.controller_name:
        return None
    reference = found.spec.parameters_ref
    if reference is None:
        return GatewayParametersSpec()
    return _referenced(view, ObjectKey(reference.group, reference.kind, reference.namespace or "", reference.name))


def _gateway_parameters(view: View, key: ObjectKey) -> Parameters | Rejection:
    gateway = view.get(GATEWAYS, key)
    assert gateway is not None
    defaults = view.get(CLASS_PARAMETERS, class_of(gateway)) or GatewayParametersSpec()
    if isinstance(defaults, Rejection):
        message = f"GatewayClass {gateway.spec.gateway_class_name} is not accepted: {defaults.message}"
        return Rejection(defaults.reason, message)
    infrastructure = gateway.spec.infrastructure
    if infrastructure is None or infrastructure.parameters_ref is None:
        return _parameters(defaults)
    reference = infrastructure.parameters_ref
    own = _referenced(view, ObjectKey(reference.group, reference.kind, key.namespace, reference.name))
    return own if isinstance(own, Rejection) else _parameters(_overlaid(own, defaults))


def _referenced(view: View, target: ObjectKey) -> GatewayParametersSpec | Rejection:
    """Kind, then namespace, then existence."""
    if (target.group, target.kind) != (GatewayParameters.GROUP, GatewayParameters.KIND):
        supported = f"supported: {GatewayParameters.GROUP}/{GatewayParameters.KIND}"
        return _invalid(f"parametersRef names {target.group or 'core'}/{target.kind}; {supported}")
    if not target.namespace:
        return _invalid(f"parametersRef names {target} without a namespace")
    found = view.get(PARAMETERS, target)
    return _invalid(f"{target}, which parametersRef names, does not exist") if found is None else found.spec


def _invalid(message: str) -> Rejection:
    return Rejection(Reason.INVALID_PARAMETERS, message)


def _overlaid(upper: S, lower: S) -> S:
    """``upper``, with each field that it leaves open as in ``lower``; lists and maps are taken whole."""
    fields: dict[str, Any] = {}
    for field in upper.__struct_fields__:
        above, below = getattr(upper, field), getattr(lower, field)
        if isinstance(above, ApiStruct) and isinstance(below, ApiStruct):
            fields[field] = _overlaid(above, below)
        elif above in _UNSET:
            fields[field] = below
    return msgspec.structs.replace(upper, **fields)


def _parameters(spec: GatewayParametersSpec) -> Parameters:
    """What is set, without what has no meaning for this type of Service; the defaults for the rest."""
    service, pod = spec.service or ServiceParameters(), spec.pod or PodParameters()
    kind = ServiceType(service.type) if service.type is not None else Parameters().service_type
    balanced, exposed = kind is ServiceType.LOAD_BALANCER, kind is not ServiceType.CLUSTER_IP
    chosen: dict[str, Any] = {
        "replicas": spec.replicas,
        "service_type": kind,
        "load_balancer_class": service.load_balancer_class if balanced else None,
        "external_traffic_policy": service.external_traffic_policy if exposed else None,
        "image": pod.image,
        "resources": _set(pod.resources) if pod.resources is not None else {},
        "node_selector": pod.node_selector,
        "tolerations": tuple(_set(one) for one in pod.tolerations),
        "host_network": pod.host_network,
        "drain_time": spec.drain_seconds,
        "access_log": spec.access_log,
    }
    return Parameters(**{field: value for field, value in chosen.items() if value not in _UNSET})


def _set(struct: ApiStruct) -> dict[str, Any]:
    """The fields that are set, by their names in the API."""
    fields: dict[str, Any] = msgspec.to_builtins(struct)
    return {name: value for name, value in fields.items() if value not in _UNSET}


CLASS_PARAMETERS: Unit[ObjectKey, GatewayParametersSpec | Rejection] = Unit(
    "class parameters", CLASSES, _class_parameters
)
GATEWAY_PARAMETERS: Unit[ObjectKey, Parameters | Rejection] = Unit("gateway parameters", GATEWAYS, _gateway_parameters)
