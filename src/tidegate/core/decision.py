"""The whole decision: objects and outcomes in, changes of the plan and of statuses out.

The order of ``NODES`` is the story: inputs, which Gateways are ours, their listeners, which routes attach,
which backends they mean, who holds each socket and where its connections go, and what to say about it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tidegate.core import tables
from tidegate.core.attachment import ATTACHED, ATTACHMENTS, PARENTS, SERVING, WON
from tidegate.core.backends import BACKENDS, REFERENCES
from tidegate.core.compile import CLAIMS, GRANTS, HOLDERS, POOL_KEYS, POOLS, SOCKETS, TARGETS
from tidegate.core.config import CoreConfig
from tidegate.core.front import FRONT
from tidegate.core.gateways import (
    DECISIONS,
    GATEWAYS_OF,
    IN_USE,
    LISTENER_DECISIONS,
    LISTENERS,
    LISTENERS_OF,
    STANDING,
)
from tidegate.core.incremental import Fault, Graph, Node, Update
from tidegate.core.infrastructure import INFRASTRUCTURE
from tidegate.core.parameters import CLASS_PARAMETERS, GATEWAY_PARAMETERS
from tidegate.core.readiness import READY
from tidegate.core.statuses import CLASS_STATUSES, GATEWAY_STATUSES, LISTENER_VERDICTS, ROUTE_STATUSES, Verdict
from tidegate.model.apis import InstalledApis
from tidegate.model.kinds import Resource
from tidegate.names import ObjectKey, TargetKey
from tidegate.plan.infrastructure import Infrastructure, KeptInfrastructure, Trouble
from tidegate.plan.outcome import AddressReport, Report
from tidegate.plan.types import PlanKey, PlanValue

INPUTS: tuple[Node, ...] = (
    tables.CLASSES,
    tables.GATEWAYS,
    tables.PARAMETERS,
    tables.ROUTES,
    tables.GRANTS,
    tables.NAMESPACES,
    tables.SERVICES,
    tables.SLICES,
    tables.OUTCOMES,
    tables.ADDRESSES,
    tables.APIS,
    tables.TROUBLES,
)
OBJECTS = INPUTS[:8]
STATUSES = (CLASS_STATUSES, GATEWAY_STATUSES, ROUTE_STATUSES)

NODES: tuple[Node, ...] = (
    *INPUTS,
    tables.SLICES_OF,
    tables.GRANTS_IN,
    GATEWAYS_OF,
    IN_USE,
    CLASS_PARAMETERS,
    STANDING,
    GATEWAY_PARAMETERS,
    DECISIONS,
    INFRASTRUCTURE,
    READY,
    FRONT,
    LISTENER_DECISIONS,
    LISTENERS,
    LISTENERS_OF,
    PARENTS,
    ATTACHMENTS,
    ATTACHED,
    SERVING,
    WON,
    REFERENCES,
    BACKENDS,
    CLAIMS,
    GRANTS,
    HOLDERS,
    TARGETS,
    POOL_KEYS,
    POOLS,
    SOCKETS,
    LISTENER_VERDICTS,
    *STATUSES,
)


class DecisionChange(msgspec.Struct, frozen=True, kw_only=True):
    """What one round changed: parts of the plan, and verdicts (None: no status of ours any more).

    Where each Gateway has a data plane of its own, also what the cluster has to provide for a Gateway (None: nothing
    any more), and by scope the addresses of the proxies that are ready. ``classes_in_use``: whether a class of ours
    has a Gateway (None: it is gone, or not ours any more).
    """

    plan: dict[PlanKey, PlanValue | None]
    verdicts: dict[ObjectKey, Verdict | None]
    infrastructure: dict[ObjectKey, Infrastructure | KeptInfrastructure | None] = {}
    ready: dict[str, frozenset[str]] = {}
    classes_in_use: dict[ObjectKey, bool | None] = {}
    faults: tuple[Fault, ...] = ()


class Decision:
    """Keeps everything known and everything decided. Not shared between tasks."""

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        self.graph = Graph(NODES, config)

    def set_object(self, key: ObjectKey, resource: Resource | None) -> None:
        """Take the newest version of an object; None: it is gone. Decided on by the next ``decide``."""
        self.graph.put(tables.table_of(key), key, resource)

    def set_report(self, report: Report) -> None:
        """Take what a data plane says. Decided on by the next ``decide``."""
        if isinstance(report, AddressReport):
            self.graph.put(tables.ADDRESSES, report.scope, report)
        else:
            self.graph.put(tables.OUTCOMES, report.socket, report.outcome)

    def set_trouble(self, gateway: ObjectKey, trouble: Trouble | None) -> None:
        """Take what keeps a Gateway's own objects from being made; None: nothing. Decided on by the next ``decide``."""
        self.graph.put(tables.TROUBLES, gateway, trouble)

    def set_apis(self, apis: InstalledApis) -> None:
        """Take what the cluster has installed. Decided on by the next ``decide``."""
        self.graph.put(tables.APIS, tables.CLUSTER, apis)

    def decide(self) -> DecisionChange:
        """Decide on all that was set since the last time."""
        update, get = self.graph.update(), self.graph.get
        return DecisionChange(
            plan=self._plan_change(update),
            verdicts={key: get(unit, key) for unit in STATUSES for key in update.keys(unit)},
            infrastructure={key: get(INFRASTRUCTURE, key) for key in update.keys(INFRASTRUCTURE)},
            ready={key.path: get(READY, key) or frozenset() for key in update.keys(READY)},
            classes_in_use={key: get(IN_USE, key) for key in update.keys(IN_USE)},
            faults=tuple(update.faults),
        )

    def _plan_change(self, update: Update) -> dict[PlanKey, PlanValue | None]:
        changed: dict[PlanKey, PlanValue | None] = {key: self.graph.get(POOLS, key) for key in update.keys(POOLS)}
        for key in update.keys(TARGETS):
            target = self.graph.get(TARGETS, key)
            # Its own key, which is the same: who keeps the plan keeps one object.
            changed[target.key if target is not None else TargetKey(key)] = target
        changed |= {key: self.graph.get(SOCKETS, key) for key in update.keys(SOCKETS)}
        return changed

    def resource(self, key: ObjectKey) -> Resource | None:
        """The object as it is in force."""
        found: Resource | None = self.graph.get(tables.table_of(key), key)
        return found

    def resources(self) -> Iterator[Resource]:
        """Every object in force, by kind."""
        for table in OBJECTS:
            for _, resource in self.graph.items(table):  # type: ignore[arg-type]
                yield resource

    def verdicts(self) -> dict[ObjectKey, Verdict | None]:
        """Every verdict in force."""
        return {key: verdict for unit in STATUSES for key, verdict in self.graph.items(unit)}
