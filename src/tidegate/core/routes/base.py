"""What a route kind is to the core: which listener protocols it fits, and over which transport."""

from __future__ import annotations

import msgspec


class RouteKind(msgspec.Struct, frozen=True, kw_only=True):
    """``protocols`` are the listener protocols that the kind attaches to; ``transport`` is that of the
    Service ports that its backendRefs mean (``TCP`` or ``UDP``).
    """

    group: str
    kind: str
    protocols: frozenset[str]
    transport: str
