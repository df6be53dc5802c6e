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
