"""The fixture of tests that run controllers in a cluster; ``support.controllers`` describes it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.cluster import Cluster
from support.cluster_fixtures import show_when_failed
from support.cluster_kubelet import Kubelet
from support.controllers import World, worlds


@pytest.fixture
async def world(cluster: Cluster, kubelet: Kubelet, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A cluster with kubelet and load balancers played; skips the test where this machine cannot have one."""
    async with worlds(cluster, kubelet) as present:
        show_when_failed(request, present.report)
        yield present
