"""What the decision takes as given: constant for the life of a graph."""

from __future__ import annotations

import msgspec

from tidegate.names import CONTROLLER_NAME, ObjectKey
from tidegate.plan.features import Features


class CoreConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``adopt_missing_classes``: a class without an object counts as ours (standalone).

    ``scope_per_gateway``: each Gateway has a data plane of its own (Kubernetes); else all share one, and
    with it their addresses and ports.
    """

    features: Features
    controller_name: str = CONTROLLER_NAME
    adopt_missing_classes: bool = True
    scope_per_gateway: bool = False

    def scope_of(self, gateway: ObjectKey) -> str:
        """The scope that a Gateway's sockets belong to."""
        return gateway.path if self.scope_per_gateway else "standalone"
