"""What a data plane can do, as data: the core refuses, with a reason, what a plane cannot do."""

from __future__ import annotations

import msgspec


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """``protocols`` are the listener protocols (Gateway API ``ProtocolType``) that the plane serves.

    ``reserved_ports`` are those that it opens for itself wherever it opens those of listeners.
    """

    name: str
    protocols: frozenset[str]
    reserved_ports: frozenset[int] = frozenset()
