"""The inputs of the decision: one table per kind of object, and what data planes and fleets report."""

from __future__ import annotations

from typing import Any

from tidegate.core.incremental import Index, Table
from tidegate.core.routes.table import BY_GROUP_KIND
from tidegate.model.apis import InstalledApis
from tidegate.model.corev1 import SERVICE_NAME_LABEL, EndpointSlice, Namespace, Service
from tidegate.model.gateway import Gateway, GatewayClass
from tidegate.model.grants import ReferenceGrant
from tidegate.model.parameters import GatewayParameters
from tidegate.model.routes import Route
from tidegate.names import ObjectKey, SocketKey
from tidegate.plan.infrastructure import Trouble
from tidegate.plan.outcome import AddressReport, Outcome

CLASSES: Table[ObjectKey, GatewayClass] = Table("gateway classes")
GATEWAYS: Table[ObjectKey, Gateway] = Table("gateways")
PARAMETERS: Table[ObjectKey, GatewayParameters] = Table("gateway parameters")
ROUTES: Table[ObjectKey, Route] = Table("routes")
GRANTS: Table[ObjectKey, ReferenceGrant] = Table("reference grants")
NAMESPACES: Table[ObjectKey, Namespace] = Table("namespaces")
SERVICES: Table[ObjectKey, Service] = Table("services")
SLICES: Table[ObjectKey, EndpointSlice] = Table("endpoint slices")
OUTCOMES: Table[SocketKey, Outcome] = Table("outcomes")
ADDRESSES: Table[str, AddressReport] = Table("addresses")
TROUBLES: Table[ObjectKey, Trouble] = Table("troubles with infrastructure")
APIS: Table[str, InstalledApis] = Table("installed APIs")

CLUSTER = "cluster"
"""The one key of ``APIS``."""

_TABLES: dict[tuple[str, str], Table[ObjectKey, Any]] = {
    (GatewayClass.GROUP, GatewayClass.KIND): CLASSES,
    (Gateway.GROUP, Gateway.KIND): GATEWAYS,
    (GatewayParameters.GROUP, GatewayParameters.KIND): PARAMETERS,
    (ReferenceGrant.GROUP, ReferenceGrant.KIND): GRANTS,
    (Namespace.GROUP, Namespace.KIND): NAMESPACES,
    (Service.GROUP, Service.KIND): SERVICES,
    (EndpointSlice.GROUP, EndpointSlice.KIND): SLICES,
    **dict.fromkeys(BY_GROUP_KIND, ROUTES),
}


def table_of(key: ObjectKey) -> Table[ObjectKey, Any]:
    """The table that an object belongs to."""
    return _TABLES[(key.group, key.kind)]


SLICES_OF: Index[tuple[str, str], ObjectKey] = Index(
    "slices of a service",
    SLICES,
    lambda key, value: [((key.namespace, value.metadata.labels.get(SERVICE_NAME_LABEL, "")), key)],
)
GRANTS_IN: Index[str, ObjectKey] = Index("grants in a namespace", GRANTS, lambda key, _: [(key.namespace, key)])
