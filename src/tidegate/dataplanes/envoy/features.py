"""What the Envoy data plane can do; apart from ``plane`` so that asking does not load Envoy's API."""

from __future__ import annotations

from tidegate.plan.features import Features

FEATURES = Features(name="envoy", protocols=frozenset({"TCP"}))
