"""TCPRoute: every connection of a TCP listener."""

from __future__ import annotations

from tidegate.core.routes.base import RouteKind
from tidegate.model.routes import TCPRoute

TCP_ROUTE = RouteKind(group=TCPRoute.GROUP, kind=TCPRoute.KIND, protocols=frozenset({"TCP"}), transport="TCP")
