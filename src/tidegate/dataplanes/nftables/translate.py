"""From the plan to the kernel: what one socket needs there. Pure.

In: a socket, its target, who gets which endpoints of its pools, and marks. Out: a ``Forwarding``. The cost is that of
the socket's own backends and endpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from tidegate.dataplanes.nftables import ruleset
from tidegate.dataplanes.nftables.marks import ChoiceKey, LaneKey, MarkKey, Marks
from tidegate.dataplanes.nftables.reach import Client, Family, Kind, Place, Ways
from tidegate.dataplanes.nftables.ruleset import Choice, Element, Forwarding, Ladder, Offer, Rung
from tidegate.dataplanes.traffic import Series
from tidegate.names import PoolKey
from tidegate.plan.types import Socket, Target, WeightedBackend

REFUSAL = WeightedBackend(ref="", weight=1, pool=None, label="")
"""The share of a target that has none: all its connections are refused, and counted."""

_COMMENT_BYTES = 120


class Offers(msgspec.Struct, frozen=True):
    """What the endpoints of a pool mean for every lane that uses them: rows, and their addresses on other hosts.

    ``kinds`` are those of its endpoints, and ``known`` says whether it has any.
    """

    kinds: frozenset[Kind]
    known: bool
    ladders: tuple[Offer, ...]
    away: tuple[tuple[Family, bytes], ...]


OffersOf = Callable[[PoolKey], Offers]


def shares(target: Target) -> tuple[WeightedBackend, ...]:
    """The backends that get connections."""
    return tuple(backend for backend in target.backends if backend.weight > 0) or (REFUSAL,)


def offers(ways: Ways, *, hairpins: bool) -> Offers:
    """The rows of a pool; with ``hairpins`` also where its own clients may be.

    Clients on this host try rows of their own first, then those for everybody; clients at a loopback address have only
    their own, since most endpoints mean nothing to them.
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
    return Offers(ways.kinds, bool(ways.located), tuple(ladders), _away(ways) if hairpins else ())


def mark_keys(socket: Socket, target: Target) -> tuple[MarkKey, ...]:
    """What a socket needs marks for: its lanes in the order of its shares, then its choice, when there is one."""
    lanes = tuple(
        LaneKey(target.key, Series(socket.listener, target.route, backend.label), backend.ref)
        for backend in shares(target)
    )
    return lanes if len(lanes) == 1 else (*lanes, ChoiceKey(target.key))


def translation(
    socket: Socket, target: Target, keys: Sequence[MarkKey], offers_of: OffersOf, marks: Marks
) -> Forwarding:
    """All that the kernel needs for a socket, of which ``keys`` are the ``mark_keys``.

    Raises DataPlaneError when there is no mark left.
    """
    elements: list[Element] = []
    rungs: dict[Rung, None] = {}
    lanes: list[tuple[int, int]] = []
    for key, backend in zip(keys, shares(target), strict=False):
        mark = marks.take(key)
        lanes.append((mark.number, backend.weight))
        elements.append(ruleset.lane(mark, _comment(socket, target, backend.label or "refused")))
        if backend.pool is not None:
            offered = offers_of(backend.pool)
            for one in offered.ladders:
                rungs[one.rung] = None
                elements += ruleset.rows(mark.number, one)
            elements += [ruleset.hairpin(mark.number, family, address) for family, address in offered.away]
    if len(lanes) == 1:
        entry = ruleset.entry(socket.key, lanes[0][0])
        return Forwarding(entry, tuple(elements), None, tuple(rungs))
    mark, chain = marks.take(keys[-1]), ruleset.choice_chain(socket.key)
    elements.append(ruleset.choice(mark, chain, _comment(socket, target, "")))
    entry = ruleset.entry(socket.key, mark.number)
    choice = Choice(chain, _reduced(lanes))
    return Forwarding(entry, tuple(elements), choice, tuple(rungs))


def _away(ways: Ways) -> tuple[tuple[Family, bytes], ...]:
    elsewhere = (one for one in ways.located if one.kind is not None and one.kind[1] is Place.ELSEWHERE)
    return tuple(dict.fromkeys((one.kind[0], one.packed) for one in elsewhere if one.kind is not None))


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
