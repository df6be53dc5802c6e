"""Fixtures for tests with a fleet: an authority, and Pods whose certificates are of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.certificates import Issuer
from support.fleets import Pods, pods
from support.ports import Ports


@pytest.fixture
def issuer() -> Issuer:
    """The authority of this test's cluster."""
    return Issuer()


@pytest.fixture
async def made(issuer: Issuer, ports: Ports) -> AsyncIterator[Pods]:
    """Makes Pods that are gone after the test."""
    async with pods(issuer, ports) as present:
        yield present
