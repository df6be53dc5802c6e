"""What the kernel data plane can do; apart from ``plane`` so that asking loads nothing else."""

from __future__ import annotations

from tidegate.plan.features import Features

FEATURES = Features(name="nftables", protocols=frozenset({"TCP"}))
