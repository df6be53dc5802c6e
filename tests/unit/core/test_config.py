"""What the decision takes as given."""

from __future__ import annotations

from support.resources import FEATURES, gateway_key
from tidegate.core.config import CoreConfig


def test_scope_of_a_gateway() -> None:
    """Standalone all Gateways share one scope; with a data plane each, it is the Gateway's own."""
    shared, own = CoreConfig(features=FEATURES), CoreConfig(features=FEATURES, scope_per_gateway=True)
    keys = (gateway_key("one"), gateway_key("one", "other"))
    assert [shared.scope_of(key) for key in keys] == ["standalone", "standalone"]
    assert [own.scope_of(key) for key in keys] == ["default/one", "other/one"]
