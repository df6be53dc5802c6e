"""The table of route kinds."""

from __future__ import annotations

import pytest

from tidegate.core.routes.table import BY_GROUP_KIND, ROUTE_KINDS, kinds_for
from tidegate.model.kinds import BY_GROUP_KIND as READ


def test_every_route_kind_is_read_and_has_its_row() -> None:
    """A row of its own per kind, and each kind is one that the model reads."""
    assert len(BY_GROUP_KIND) == len(ROUTE_KINDS)
    assert set(BY_GROUP_KIND) <= set(READ)


@pytest.mark.parametrize(
    ("protocol", "kinds"),
    [("TCP", ["TCPRoute"]), ("TLS", []), ("HTTP", []), ("tcp", []), ("example.com/own", [])],
)
def test_kinds_of_a_protocol(protocol: str, kinds: list[str]) -> None:
    """TCPRoute fits TCP listeners and no TLS ones."""
    assert [row.kind for row in kinds_for(protocol)] == kinds
