"""From the plan to the kernel: what one socket needs there. Pure.

In: a socket, its target, who gets which endpoints of its pools, and marks. Out: a ``Forwarding``. The cost is that of
the socket's own backends and endpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import msgspec

from tidegate.dataplanes.nftables import ruleset
from tidegate.dataplanes.nftables.marks import ChoiceKey, LaneKey, MarkKey, Marks
from tidegate.dataplanes.nftables.reach import Client, Family, Place, Ways
from tidegate.dataplanes.nftables.ruleset import Choice, Element, Forwarding, Ladder, Offer, Rung
from tidegate.dataplanes.traffic import Series
from tidegate.names import PoolKey
from tidegate.plan.types import Socket, Target, WeightedBackend

REFUSAL = WeightedBackend(ref="", weight=1, pool=None, label="")
"""The share of a target that has none: all its connections are refused, and counted."""

_COMMENT_BYTES = 120


class Offers(msgspec.Struct, frozen=True):
    """What the endpoints of a pool mean for every lane that uses them."""

    ways: Ways
    ladders: tuple[Offer, ...]


OffersOf = Callable[[PoolKey], Offers]


class Translation(msgspec.Struct, frozen=True):
    """What a socket needs in the kernel, and whose marks are in it."""

    forwarding: Forwarding
    keys: frozenset[MarkKey]


def shares(target: Target) -> tuple[WeightedBackend, ...]:
    """The backends that get connections."""
    return tuple(backend for backend in target.backends if backend.weight > 0) or (REFUSAL,)


def offers(ways: Ways) -> Offers:
    """The rows of a pool. Clients on this host try rows of their own first, then those for everybody; clients at a
    loopback address have only their own, since most endpoints mean nothing to them.
    """
    ladders = []
    for family in Family:
        everybody = ways.to(Client.ELSEWHERE, family)
        here = ways.to(Client.HERE, family)
        loopback = ways.to(Client.LOOPBACK, family)
        if everybody:
            ladders.append(ruleset.offer(Ladder.EVERYBODY, family, everybody))
        if here and here != everybody:
            ladders.append(ruleset.offer(Ladder.HERE, family, here))
        if loopback:
            ladders.append(ruleset.offer(Ladder.LOOPBACK, family, loopback))
    return Offers(ways, tuple(ladders))


def translation(socket: Socket, target: Target, offers_of: OffersOf, marks: Marks, *, hairpins: bool) -> Translation:
    """All that the kernel needs for a socket. ``hairpins``: clients that are their own backend are told apart.

    Raises DataPlaneError when there is no mark left.
    """
    elements: list[Element] = []
    rungs: set[Rung] = set()
    keys: list[MarkKey] = []
    lanes: list[tuple[int, int]] = []
    for backend in shares(target):
        key = LaneKey(target.key, Series(socket.listener, target.route, backend.label), backend.ref)
        mark = marks.take(key)
        keys.append(key)
        lanes.append((mark.number, backend.weight))
        elements.append(ruleset.lane(mark, _comment(socket, target, backend.label or "refused")))
        if backend.pool is not None:
            offered = offers_of(backend.pool)
            for one in offered.ladders:
                rungs.add(one.rung)
                elements += ruleset.rows(mark.number, one)
            if hairpins:
                elements += _hairpins(mark.number, offered.ways)
    if len(lanes) == 1:
        entry = ruleset.entry(socket.key, lanes[0][0])
        return Translation(Forwarding(entry, tuple(elements), None, frozenset(rungs)), frozenset(keys))
    choice_key = ChoiceKey(target.key)
    mark, chain = marks.take(choice_key), ruleset.choice_chain(socket.key)
    keys.append(choice_key)
    elements.append(ruleset.choice(mark, chain, _comment(socket, target, "")))
    entry = ruleset.entry(socket.key, mark.number)
    choice = Choice(chain, _reduced(lanes))
    return Translation(Forwarding(entry, tuple(elements), choice, frozenset(rungs)), frozenset(keys))


def _hairpins(mark: int, ways: Ways) -> Iterable[Element]:
    away = {one.packed: one.kind[0] for one in ways.located if one.kind is not None and one.kind[1] is Place.ELSEWHERE}
    return [ruleset.hairpin(mark, family, packed) for packed, family in away.items()]


def _reduced(lanes: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Weights in lowest terms: the same chances with the smallest numbers."""
    divisor = math.gcd(*(weight for _, weight in lanes))
    return tuple((mark, weight // divisor) for mark, weight in lanes)


def _comment(socket: Socket, target: Target, backend: str) -> str:
    """Who and what a mark stands for, as far as ``nft`` shows comments: up to 128 bytes."""
    parts = (str(socket.listener), target.route.path if target.route is not None else "", backend)
    text = " ".join(filter(None, parts))
    if len(text) <= _COMMENT_BYTES and text.isascii():
        return text
    return text.encode()[: _COMMENT_BYTES - 3].decode(errors="ignore") + "..."
