"""One row per kind that tidegate reads. A new kind is a class in this package and a row here."""

from __future__ import annotations

import msgspec

from tidegate.model.corev1 import EndpointSlice, Namespace, Service
from tidegate.model.gateway import Gateway, GatewayClass
from tidegate.model.grants import ReferenceGrant
from tidegate.model.parameters import GatewayParameters
from tidegate.model.routes import TCPRoute
from tidegate.names import CORE_GROUP, ObjectKey

Resource = GatewayClass | Gateway | GatewayParameters | TCPRoute | ReferenceGrant | Namespace | Service | EndpointSlice


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How a kind is known to the API: ``versions`` newest first, ``plural`` and ``short_names`` as
    ``kubectl`` takes them, ``resource`` the typed class.
    """

    group: str
    kind: str
    versions: tuple[str, ...]
    plural: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    resource: type[Resource]

    @property
    def api_version(self) -> str:
        """``group/version`` of the newest version, as in ``apiVersion``."""
        version = self.versions[0]
        return f"{self.group}/{version}" if self.group != CORE_GROUP else version


def _row(resource: type[Resource], versions: str, plural: str, short: str = "", *, namespaced: bool = True) -> Kind:
    return Kind(
        group=resource.GROUP,
        kind=resource.KIND,
        versions=tuple(versions.split()),
        plural=plural,
        short_names=tuple(short.split()),
        namespaced=namespaced,
        resource=resource,
    )


KINDS: tuple[Kind, ...] = (
    _row(GatewayClass, "v1 v1beta1", "gatewayclasses", "gc", namespaced=False),
    _row(Gateway, "v1 v1beta1", "gateways", "gtw"),
    _row(GatewayParameters, "v1alpha1", "gatewayparameters", "gwparams"),
    _row(TCPRoute, "v1 v1alpha2", "tcproutes"),
    _row(ReferenceGrant, "v1 v1beta1", "referencegrants", "refgrant"),
    _row(Namespace, "v1", "namespaces", "ns", namespaced=False),
    _row(Service, "v1", "services", "svc"),
    _row(EndpointSlice, "v1", "endpointslices"),
)

BY_GROUP_KIND: dict[tuple[str, str], Kind] = {(row.group, row.kind): row for row in KINDS}


def kind_of(resource: Resource) -> Kind:
    """The row of a typed object's kind."""
    return BY_GROUP_KIND[(resource.GROUP, resource.KIND)]


def key_of(resource: Resource) -> ObjectKey:
    """The identity of a typed object."""
    meta = resource.metadata
    return ObjectKey(resource.GROUP, resource.KIND, meta.namespace, meta.name)
