"""Statuses as they will be."""

from __future__ import annotations

from support.manifests import gateway, listener
from support.resources import FEATURES, gateway_key, typed
from tidegate.controller.foresight import settle
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision
from tidegate.model.status import GatewayStatus


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
