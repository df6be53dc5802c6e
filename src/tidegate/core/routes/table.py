"""The table of route kinds. A new kind is a file beside this one and a row here."""

from __future__ import annotations

from tidegate.core.routes.base import RouteKind
from tidegate.core.routes.tcp import TCP_ROUTE

ROUTE_KINDS: tuple[RouteKind, ...] = (TCP_ROUTE,)

BY_GROUP_KIND: dict[tuple[str, str], RouteKind] = {(row.group, row.kind): row for row in ROUTE_KINDS}


def kinds_for(protocol: str) -> tuple[RouteKind, ...]:
    """The route kinds that attach to listeners of ``protocol``, in the table's order."""
    return tuple(row for row in ROUTE_KINDS if protocol in row.protocols)
