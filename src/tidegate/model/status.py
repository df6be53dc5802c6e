"""The ``status`` of each kind, as the API server stores it."""

from __future__ import annotations

from tidegate.model.gateway import RouteGroupKind
from tidegate.model.meta import ApiStruct, Condition
from tidegate.model.routes import ParentReference


class SupportedFeature(ApiStruct, frozen=True, kw_only=True):
    name: str


class GatewayClassStatus(ApiStruct, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...]
    supported_features: tuple[SupportedFeature, ...] = ()


class GatewayStatusAddress(ApiStruct, frozen=True, kw_only=True):
    type: str = "IPAddress"
    value: str


class ListenerStatus(ApiStruct, frozen=True, kw_only=True):
    name: str
    supported_kinds: tuple[RouteGroupKind, ...]
    attached_routes: int
    conditions: tuple[Condition, ...]


class GatewayStatus(ApiStruct, frozen=True, kw_only=True):
    addresses: tuple[GatewayStatusAddress, ...]
    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerStatus, ...]
    attached_listener_sets: int = 0


class RouteParentStatus(ApiStruct, frozen=True, kw_only=True):
    """Our entry for one parentRef; ``parent_ref`` is the spec's, verbatim."""

    parent_ref: ParentReference
    controller_name: str
    conditions: tuple[Condition, ...]


class RouteStatus(ApiStruct, frozen=True, kw_only=True):
    parents: tuple[RouteParentStatus, ...]


Status = GatewayClassStatus | GatewayStatus | RouteStatus
