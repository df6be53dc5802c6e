"""Envoy's side of a delta-ADS stream, and catalogs to talk about, for tests of the Envoy data plane's pure parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import status_pb2

from support.plans import Change
from tidegate.dataplanes.envoy.catalog import Catalog
from tidegate.dataplanes.envoy.resources import Kind
from tidegate.dataplanes.envoy.translate import TranslateOptions


def catalog_of(*changes: Change, ready: bool = True) -> Catalog:
    """A catalog without loggers that holds these changes, applied as one."""
    catalog = Catalog(TranslateOptions(), lambda prefix, listener, route: [])
    whole: Change = {}
    for change in changes:
        whole.update(change)
    catalog.apply(whole)
    catalog.ready = ready
    return catalog


def request(
    kind: Kind,
    *,
    subscribe: Collection[str] = (),
    unsubscribe: Collection[str] = (),
    has: Mapping[str, str] | None = None,
    nonce: str = "",
    error: str | None = None,
    node: base_pb2.Node | None = None,
) -> discovery_pb2.DeltaDiscoveryRequest:
    """What Envoy sends; ``has`` is what it says to have from before, ``error`` rejects the response of ``nonce``."""
    return discovery_pb2.DeltaDiscoveryRequest(
        type_url=kind.type_url,
        resource_names_subscribe=subscribe,
        resource_names_unsubscribe=unsubscribe,
        initial_resource_versions=has or {},
        response_nonce=nonce,
        node=node,
        error_detail=None if error is None else status_pb2.Status(code=13, message=error),
    )
