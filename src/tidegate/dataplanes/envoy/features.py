"""What the Envoy data plane can do; apart from ``plane`` so that asking does not load Envoy's API."""

from __future__ import annotations

from tidegate.plan.features import Features

FEATURES = Features(name="envoy", protocols=frozenset({"TCP"}))

STATUS_PORT = 15021
"""Where a proxy in a cluster tells how it is."""

FLEET_FEATURES = Features(name="envoy", protocols=FEATURES.protocols, reserved_ports=frozenset({STATUS_PORT}))
"""What proxies in a cluster can do."""
