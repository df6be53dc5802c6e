"""The only sort keys: who comes first when objects compete (Gateway API conflict resolution).

Older first by creation second; then, for objects whose source has no creation times, by the order in
which they were first seen; then by ``namespace/name``.
"""

from __future__ import annotations

import msgspec

from tidegate.model.meta import ObjectMeta
from tidegate.names import ListenerKey, ObjectKey, SocketKey


class Age(msgspec.Struct, frozen=True, order=True, gc=False):
    """Sorts objects by precedence: the smallest has the right of way."""

    created: int
    order: int
    path: str


def age_of(metadata: ObjectMeta) -> Age:
    """The precedence of an object. Without a creation time it counts as youngest."""
    created = metadata.creation_timestamp
    seconds = int(created.timestamp()) if created is not None else 2**62
    return Age(seconds, metadata.order, f"{metadata.namespace}/{metadata.name}")


class RankedRoute(msgspec.Struct, frozen=True, order=True, gc=False):
    """A route among those of a listener."""

    age: Age
    route: ObjectKey


class RankedClaim(msgspec.Struct, frozen=True, order=True, gc=False):
    """A listener's claim to a socket: ranked by its owner's age, then by its own position."""

    age: Age
    position: int
    listener: ListenerKey
    socket: SocketKey
