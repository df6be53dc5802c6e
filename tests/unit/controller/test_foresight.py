"""Statuses as they will be."""

from __future__ import annotations

from typing import Any

from support.manifests import gateway, gateway_class, listener, service
from support.resources import FEATURES, class_key, gateway_key, typed
from tidegate.controller.foresight import UNKNOWN_ADDRESS, settle, settle_cluster
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision
from tidegate.model.status import GatewayStatus
from tidegate.names import MANAGED_BY_LABEL, MANAGER, ObjectKey


def test_everything_planned_counts_as_live() -> None:
    """A dry run ends with the statuses that a data plane without limits would bring about."""
    decision = Decision(CoreConfig(features=FEATURES))
    decision.set_object(gateway_key("edge"), typed(gateway("edge", [listener("db", 5432)])))
    status = settle(decision, ["192.0.2.7"])[gateway_key("edge")]
    assert isinstance(status, GatewayStatus)
    assert [one.value for one in status.addresses] == ["192.0.2.7"]
    assert all(one.status == "True" for one in (*status.conditions, *status.listeners[0].conditions))


def test_a_foreign_address_is_foreseen_as_not_usable() -> None:
    """On a known host, an address that is not its own is no more usable in a dry run than in a real one."""
    decision = Decision(CoreConfig(features=FEATURES))
    addresses = [{"value": "192.0.2.7"}, {"value": "127.0.0.1"}, {"value": "203.0.113.9"}]
    decision.set_object(gateway_key("edge"), typed(gateway("edge", [listener("db", 5432)], addresses=addresses)))
    status = settle(decision, ["192.0.2.7"], this_host=True)[gateway_key("edge")]
    assert isinstance(status, GatewayStatus)
    assert [one.value for one in status.addresses] == ["192.0.2.7", "127.0.0.1"]
    assert "AddressNotUsable" in {one.reason for one in status.conditions}


def cluster(**spec: Any) -> Decision:
    """A cluster with a class of ours and a Gateway of it, and no Service yet."""
    decision = Decision(CoreConfig(features=FEATURES, adopt_missing_classes=False, scope_per_gateway=True))
    decision.set_object(class_key("tidegate"), typed(gateway_class()))
    decision.set_object(gateway_key("edge"), typed(gateway("edge", [listener("db", 5432)], **spec)))
    return decision


def test_in_a_cluster_a_missing_service_is_foreseen() -> None:
    """What the fleet will make counts as made, with an address that nobody knows yet."""
    status = settle_cluster(cluster())[gateway_key("edge")]
    assert isinstance(status, GatewayStatus)
    assert [one.value for one in status.addresses] == [UNKNOWN_ADDRESS]
    assert all(one.status == "True" for one in (*status.conditions, *status.listeners[0].conditions))


def test_in_a_cluster_a_service_that_is_there_is_taken_as_it_is() -> None:
    """A load balancer that nobody provides is a trouble of now, which no dry run hides; ports are given to it."""
    decision = cluster()
    own = service("edge-tidegate")
    own["metadata"] |= {"labels": {MANAGED_BY_LABEL: MANAGER}}
    own["spec"] |= {"type": "LoadBalancer"}
    decision.set_object(ObjectKey("", "Service", "default", "edge-tidegate"), typed(own))
    status = settle_cluster(decision)[gateway_key("edge")]
    assert isinstance(status, GatewayStatus)
    assert "AddressNotAssigned" in {one.reason for one in status.conditions}
    assert all(one.status == "True" for one in status.listeners[0].conditions)
