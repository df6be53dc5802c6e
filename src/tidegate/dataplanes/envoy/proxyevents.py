"""What happens to the proxies of a fleet, as values: the same words inside one replica and between two.

A replica makes them of its own streams. The ``roster`` takes them, those that another replica sends included.
"""

from __future__ import annotations

import msgspec

from tidegate.plan.outcome import SocketReport


class Connecting(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A proxy has opened a stream. ``instance`` is that of its process; an earlier process of its name is gone."""

    scope: str
    node: str
    instance: str


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """It has confirmed or rejected all that there was for it when it came; ``reports`` are about all its sockets."""

    scope: str
    node: str
    instance: str
    addresses: tuple[str, ...]
    reports: tuple[SocketReport, ...]


class Changed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Some outcomes of a settled proxy are others now."""

    scope: str
    node: str
    reports: tuple[SocketReport, ...]


class Lost(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Its stream has ended. It may well serve on, and come back, here or at another replica."""

    scope: str
    node: str


ProxyEvent = Connecting | Settled | Changed | Lost
