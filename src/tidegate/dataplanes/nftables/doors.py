"""The doors of other instances' tables in this network namespace, and what they mean for our sockets. Pure.

In: what the entry maps of those tables hold, and which tables were made after ours. Out: for each socket of ours at
whose port another table takes connections, which one; and, as long as that matters, what there is to say.

Two tables can have a door for the same connections. Of chains of one priority the kernel asks the one first that was
made last, so all go to the table that was made later, and nothing else tells the two instances of each other. What
follows is the same for both, whatever the order in which they look: who has no door beside another's waits; where both
have one, because they opened at the same moment or one of them may shadow, the earlier table gets nothing and says so.
It keeps its door, through which connections come again in the instant in which the other goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tidegate.dataplanes.nftables import ruleset
from tidegate.dataplanes.nftables.ruleset import Place, entry_place
from tidegate.names import WILDCARD_ADDRESS, SocketKey


class Neighbour(msgspec.Struct, frozen=True):
    """A table of another instance. ``ahead``: it was made after ours, and gets connections first."""

    table: str
    ahead: bool


class Contest(msgspec.Struct, frozen=True):
    """What there is to say about a socket that another table takes. ``closed``: it is not to be opened."""

    message: str
    closed: bool


class Doors:
    """The doors of other tables, by port. ``neighbours`` come with the places of theirs, those first that get
    connections first.
    """

    def __init__(self, neighbours: Iterable[tuple[Neighbour, Iterable[Place]]] = ()) -> None:
        self._by_port: dict[int, list[tuple[Place, Neighbour]]] = {}
        for neighbour, places in neighbours:
            for place in places:
                self._by_port.setdefault(ruleset.port_of(place), []).append((place, neighbour))

    def taken(self, keys: Iterable[SocketKey]) -> dict[SocketKey, Neighbour]:
        """Those of our sockets whose connections, or some of them, may go to another table, and to which."""
        if not self._by_port:
            return {}
        found = ((key, self._taker(key)) for key in keys)
        return {key: neighbour for key, neighbour in found if neighbour is not None}

    def _taker(self, key: SocketKey) -> Neighbour | None:
        doors = self._by_port.get(key.port)
        if doors is None:
            return None
        own = entry_place(key)
        everywhere = key.address == WILDCARD_ADDRESS
        return next((neighbour for place, neighbour in doors if _overlap(own, place, everywhere=everywhere)), None)


def contests(
    taken: Mapping[SocketKey, Neighbour], is_open: Mapping[SocketKey, bool], *, allow_shadow: bool
) -> dict[SocketKey, Contest]:
    """What there is to say about sockets that other tables take; ``is_open`` says at which of them ours has a door.
    About a socket that is served all the same there is nothing.
    """
    found = ((key, _contest(key, neighbour, may_open=allow_shadow or is_open[key])) for key, neighbour in taken.items())
    return {key: contest for key, contest in found if contest is not None}


def _contest(key: SocketKey, neighbour: Neighbour, *, may_open: bool) -> Contest | None:
    if not may_open:
        return Contest(
            f"port {key.port} is held by another instance (table {neighbour.table}); it is served as soon as it is "
            "free, or after a restart with --allow-shadow, which takes its connections away",
            closed=True,
        )
    if neighbour.ahead:
        return Contest(
            f"port {key.port} is taken by another instance (table {neighbour.table}), whose table was made later "
            "and gets the connections; choose another port for one of the two",
            closed=False,
        )
    return None


def _overlap(own: Place, other: Place, *, everywhere: bool) -> bool:
    """Whether there are connections that both doors take; ``everywhere``: ours is for all addresses."""
    if own == other:
        return True
    wide = everywhere or other.map == ruleset.SOCKETS
    return wide and ruleset.protocol_and_port_of(own) == ruleset.protocol_and_port_of(other)
