"""What a Gateway needs in a cluster, as a value."""

from __future__ import annotations

from tidegate.names import GATEWAY_GROUP, ObjectKey
from tidegate.plan.infrastructure import Infrastructure, Parameters


def test_scope_is_that_of_the_gateways_sockets() -> None:
    """Plan and infrastructure meet in the scope."""
    infrastructure = Infrastructure(
        gateway=ObjectKey(GATEWAY_GROUP, "Gateway", "team-a", "edge"),
        uid="1",
        class_name="tidegate",
        name="edge-tidegate",
        labels={},
        annotations={},
        ports=(),
        addresses=(),
        parameters=Parameters(),
    )
    assert infrastructure.scope == "team-a/edge"
