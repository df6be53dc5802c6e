"""Which sockets other tables take, and which of two instances serves: the same answer at both."""

from __future__ import annotations

import itertools

import pytest

from support.plans import socket_key
from tidegate.dataplanes.nftables.doors import Doors, Neighbour, contests
from tidegate.dataplanes.nftables.ruleset import entry_place

KEY = socket_key(80, "*")
LATER, EARLIER = Neighbour("tidegate-later", ahead=True), Neighbour("tidegate-earlier", ahead=False)

ADDRESSES = ("*", "10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2")


@pytest.mark.parametrize(("own", "other"), list(itertools.product(ADDRESSES, repeat=2)))
def test_overlap(own: str, other: str) -> None:
    """The same address overlaps, and one for all addresses every one; another port never."""
    doors = Doors([(LATER, [entry_place(socket_key(80, other))])])
    expected = {socket_key(80, own): LATER} if own == other or "*" in (own, other) else {}
    assert doors.taken([socket_key(80, own), socket_key(81, own)]) == expected


def test_several_neighbours() -> None:
    """The first that takes connections is named; without neighbours nothing is taken."""
    somewhere = [entry_place(socket_key(80, "10.0.0.1"))]
    doors = Doors([(LATER, [entry_place(socket_key(81))]), (EARLIER, somewhere), (LATER, somewhere)])
    assert doors.taken([KEY]) == {KEY: EARLIER}
    assert Doors().taken([KEY]) == {}
    assert Doors([(LATER, [])]).taken([KEY]) == {}


@pytest.mark.parametrize("allow_shadow", [False, True])
@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("neighbour", [LATER, EARLIER])
def test_contest(neighbour: Neighbour, is_open: bool, allow_shadow: bool) -> None:
    """Who has no door waits, unless it may shadow; who has one says that it gets nothing when the other is ahead."""
    contest = contests({KEY: neighbour}, {KEY: is_open}, allow_shadow=allow_shadow).get(KEY)
    if is_open or allow_shadow:
        assert (contest is not None) == neighbour.ahead
        assert contest is None or (not contest.closed and "gets the connections" in contest.message)
    else:
        assert contest is not None
        assert contest.closed
        assert "--allow-shadow" in contest.message
    assert contest is None or f"(table {neighbour.table})" in contest.message


@pytest.mark.parametrize(("one", "other"), list(itertools.product([False, True], repeat=2)))
def test_never_both_and_never_none(one: bool, other: bool) -> None:
    """Whoever of two has a door: exactly one serves, and neither waits for one that waits."""
    earlier = not contests({KEY: LATER}, {KEY: one}, allow_shadow=False) if other else one
    later = not contests({KEY: EARLIER}, {KEY: other}, allow_shadow=False) if one else other
    assert (one or other) == (earlier != later)
