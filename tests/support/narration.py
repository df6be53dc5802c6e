"""A decision as text that people can review: every status in a few lines, the plan by socket, the cluster's part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import yaml

from support.resources import World
from tidegate.core.statuses import Verdict
from tidegate.model.kinds import Resource
from tidegate.model.meta import Condition
from tidegate.model.status import GatewayClassStatus, GatewayStatus, RouteStatus, Status
from tidegate.names import ObjectKey, SocketKey
from tidegate.plan.infrastructure import Infrastructure, KeptInfrastructure, Parameters
from tidegate.plan.types import PlanKey, PlanValue, Pool, Socket, Target, WeightedBackend


def narrated(world: World) -> str:
    """Statuses and plan as stable YAML text; routes and Gateways without a status say so."""
    verdicts, plan = world.verdicts, world.plan
    document: dict[str, Any] = {
        "statuses": {str(key): _status(verdicts[key]) for key in sorted(verdicts)},
        "without status": _without_status(world.decision.resources(), verdicts),
        "plan": {_place(key): _socket(value, plan) for key, value in _sockets(plan)},
        "pools": {str(key): _pool(value) for key, value in sorted(_pools(plan).items())},
        "infrastructure": {str(key): _infrastructure(one) for key, one in sorted(world.infrastructure.items())},
        "ready proxies": {scope: " ".join(sorted(found)) for scope, found in sorted(world.ready.items()) if found},
    }
    kept = {key: value for key, value in document.items() if value}
    return yaml.safe_dump(kept, sort_keys=False, width=160, allow_unicode=True)


def _without_status(resources: Iterable[Resource], verdicts: Mapping[ObjectKey, Verdict]) -> list[str]:
    keys = [ObjectKey(one.GROUP, one.KIND, one.metadata.namespace, one.metadata.name) for one in resources]
    return sorted(
        str(key) for key in keys if key.kind in ("GatewayClass", "Gateway", "TCPRoute") and key not in verdicts
    )


def _status(verdict: Verdict) -> dict[str, Any]:
    status: Status = verdict.status
    fields: dict[str, Any] = {"waiting": True} if verdict.waiting else {}
    match status:
        case GatewayClassStatus():
            fields |= _conditions(status.conditions)
            fields["features"] = " ".join(feature.name for feature in status.supported_features)
        case GatewayStatus():
            fields["addresses"] = [f"{one.type} {one.value}" for one in status.addresses]
            fields |= _conditions(status.conditions)
            fields["listeners"] = {
                one.name: {
                    "kinds": [kind.kind for kind in one.supported_kinds],
                    "routes": one.attached_routes,
                    **_conditions(one.conditions),
                }
                for one in status.listeners
            }
            assert len(fields["listeners"]) == len(status.listeners)
        case RouteStatus():
            fields["parents"] = [
                {"ref": _compact(_reference(one.parent_ref)), **_conditions(one.conditions)} for one in status.parents
            ]
    return fields


def _reference(reference: Any) -> dict[str, Any]:
    """The fields of a parentRef that are set and are not the defaults."""
    fields = ("namespace", "name", "section_name", "port")
    return {field: value for field in fields if (value := getattr(reference, field)) is not None}


def _compact(fields: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items())


def _conditions(conditions: Iterable[Condition]) -> dict[str, str]:
    found = list(conditions)
    texts = {one.type: f"{one.status}/{one.reason} @{one.observed_generation} - {one.message}" for one in found}
    assert len(texts) == len(found), "a condition type stands there twice"
    return texts


def _sockets(plan: Mapping[PlanKey, PlanValue]) -> list[tuple[Any, Socket]]:
    found: list[tuple[Any, Socket]] = [(key, value) for key, value in plan.items() if isinstance(value, Socket)]
    return sorted(found, key=lambda pair: pair[0])


def _pools(plan: Mapping[PlanKey, PlanValue]) -> dict[Any, Pool]:
    return {key: value for key, value in plan.items() if isinstance(value, Pool)}


def _socket(socket: Socket, plan: Mapping[PlanKey, PlanValue]) -> dict[str, Any]:
    (match,) = socket.matches
    target = plan[match.target]
    assert isinstance(target, Target)
    return {
        "scope": socket.key.scope,
        "listener": str(socket.listener),
        "route": target.route.path if target.route is not None else "none",
        "shares": [_share(backend) for backend in target.backends],
    }


def _place(key: SocketKey) -> str:
    """A socket, with its scope where others may have one like it."""
    return str(key) if key.scope == "standalone" else f"{key.scope} {key}"


def _infrastructure(found: Infrastructure | KeptInfrastructure) -> dict[str, Any] | str:
    """What is not as by default."""
    if isinstance(found, KeptInfrastructure):
        return f"{found.name} is kept as it is"
    usual = msgspec.to_builtins(Parameters())
    chosen = {name: value for name, value in msgspec.to_builtins(found.parameters).items() if value != usual[name]}
    fields = {
        "name": found.name,
        "class": found.class_name,
        "labels": dict(found.labels),
        "annotations": dict(found.annotations),
        "ports": " ".join(f"{one.name}={one.port}/{one.protocol}" for one in found.ports),
        "addresses": " ".join(found.addresses),
        "parameters": chosen,
    }
    return {name: value for name, value in fields.items() if value}


def _share(backend: WeightedBackend) -> str:
    fate = f"pool {backend.pool}" if backend.pool is not None else "refused"
    return f"{backend.ref}: weight {backend.weight} of {backend.label} - {fate}"


def _pool(pool: Pool) -> str:
    places = " ".join(f"{one.address}:{one.port}" for one in pool.endpoints) or "none"
    return f"{places} ({len(pool.endpoints)} of {pool.total})"
