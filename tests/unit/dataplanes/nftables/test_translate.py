"""What a socket needs in the kernel follows from its target and pools alone."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.plans import backend, forward, pool, socket_key
from support.tables import FACTS, OWN_4, OWN_6, Planner
from tidegate.dataplanes.nftables import ruleset, translate
from tidegate.dataplanes.nftables.reach import Family, Reach
from tidegate.dataplanes.nftables.ruleset import Forwarding
from tidegate.names import TargetKey
from tidegate.plan.types import Endpoint, Target

AWAY_4, AWAY_6 = ("10.9.9.9", 80), ("2001:db8::9", 80)


def maps(forwarding: Forwarding) -> list[str]:
    """The maps of a socket's elements, by name."""
    return sorted(one.place.map for one in forwarding.elements)


def ladders(*endpoints: tuple[str, int]) -> set[str]:
    """The rungs of a pool."""
    ways = Reach(FACTS).ways([Endpoint(*one) for one in endpoints])
    return {one.map for one in translate.offers(ways, hairpins=False).ladders}


def test_single_backend_needs_no_choice() -> None:
    """Its connections are marked as its lane's from the start."""
    made = Planner().forwarding(pool("a", AWAY_4) | forward(80, "a", address="*"))
    assert made.choice is None
    lane = next(one for one in made.elements if one.place.map == ruleset.LANES)
    assert made.entry.data == lane.place.key
    assert maps(made) == ["endpoints4-1", "lanes"]
    assert {rung.map for rung in made.rungs} == {"endpoints4-1"}


def test_several_backends_are_chosen_from() -> None:
    """The entry leads to the choice, the choice to its chain, the chain to the lanes."""
    made = Planner().forwarding(pool("a", AWAY_4) | pool("b", AWAY_4) | forward(80, ("a", 70), ("b", 30), address="*"))
    choice = next(one for one in made.elements if one.place.map == ruleset.CHOICES)
    assert made.choice is not None
    assert made.entry.data == choice.place.key
    assert choice.chain == made.choice.chain == "choice/tcp/any/80"
    lanes = {one.place.key for one in made.elements if one.place.map == ruleset.LANES}
    assert {ruleset.mark_bytes(mark) for mark, _ in made.choice.lanes} == lanes
    assert [weight for _, weight in made.choice.lanes] == [7, 3]


@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=16))
def test_weights_are_exact(weights: list[int]) -> None:
    """Every backend has its share of the draw; one of weight 0 has no lane; all 0 is one lane that refuses."""
    names = [f"s{index}" for index in range(len(weights))]
    made = Planner().forwarding(forward(80, *zip(names, weights, strict=True)))
    positive = [weight for weight in weights if weight]
    assert maps(made).count(ruleset.LANES) == max(1, len(positive))
    if len(positive) > 1:
        assert made.choice is not None
        total = sum(weight for _, weight in made.choice.lanes)
        assert [Fraction(weight, total) for _, weight in made.choice.lanes] == [
            Fraction(weight, sum(positive)) for weight in positive
        ]


@pytest.mark.parametrize("shares", [(), (("a", 0), ("b", 0)), ((None, 1),), (("empty", 1),)])
def test_nothing_usable_is_a_lane_without_rows(shares: tuple[tuple[str | None, int], ...]) -> None:
    """No backend, no weight, a backend that is missing and one without endpoints: counted, then refused."""
    made = Planner().forwarding(pool("a", AWAY_4) | pool("b", AWAY_4) | forward(80, *shares))
    assert maps(made) == ["lanes"]
    assert not made.rungs


def test_refused_share_takes_part_in_the_draw() -> None:
    """A missing backend has its weight, and no rows."""
    made = Planner().forwarding(pool("a", AWAY_4) | forward(80, ("a", 1), (None, 3)))
    assert made.choice is not None
    assert [weight for _, weight in made.choice.lanes] == [1, 3]
    assert maps(made) == ["choices", "endpoints4-1", "lanes", "lanes"]


def test_shares_of_a_target() -> None:
    """Those with a weight; without any, the one that refuses."""
    target = Target(
        key=TargetKey(socket_key(80)), route=None, backends=(backend("a", 0, ref="0"), backend("b", 5, ref="1"))
    )
    assert [one.label for one in translate.shares(target)] == ["b"]
    assert translate.shares(msgspec.structs.replace(target, backends=())) == (translate.REFUSAL,)


def test_ladders() -> None:
    """Clients on this host have rows of their own only where they may use more than everybody."""
    assert ladders(AWAY_4) == {"endpoints4-1"}
    assert ladders((OWN_4, 1)) == {"endpoints4-1", "loopback4-1"}
    assert ladders(("127.0.0.1", 1)) == {"here4-1", "loopback4-1"}
    assert ladders(("127.0.0.1", 1), (OWN_4, 1), AWAY_4) == {"endpoints4-2", "here4-3", "loopback4-2"}
    assert ladders(AWAY_4, AWAY_6, ("10.9.9.8", 1)) == {"endpoints4-2", "endpoints6-1"}
    assert ladders((OWN_6, 1)) == {"endpoints6-1", "loopback6-1"}
    assert ladders() == set()


def test_hairpins_only_where_sources_are_kept() -> None:
    """Each address of another host once, however many ports it has; nothing for this host's own."""
    changes = pool("a", AWAY_4, (AWAY_4[0], 81), AWAY_6, (OWN_4, 1), ("127.0.0.1", 1)) | forward(80, "a")
    assert not [name for name in maps(Planner().forwarding(changes)) if name.startswith("hairpins")]
    made = Planner(hairpins=True).forwarding(changes)
    assert [name for name in maps(made) if name.startswith("hairpins")] == ["hairpins4", "hairpins6"]
    address = bytes([10, 9, 9, 9])
    assert [one.place.key[4:] for one in made.elements if one.place.map == "hairpins4"] == [address * 2]


def test_comments_are_for_people() -> None:
    """They name listener, route and backend, and are short enough for nft."""
    made = Planner().forwarding(forward(80, ("a", 1), (None, 1)))
    comments = {one.place.map: [] for one in made.elements}
    for one in made.elements:
        comments[one.place.map].append(one.comment)
    assert comments["lanes"] == [
        "default/gateway/listener default/route a",
        "default/gateway/listener default/route missing",
    ]
    assert comments["choices"] == ["default/gateway/listener default/route"]
    assert Planner().forwarding(forward(80, route=None)).elements[0].comment == "default/gateway/listener refused"
    long = Planner().forwarding(forward(80, "ä" * 100)).elements[0].comment
    assert len(long.encode()) <= 120
    assert long.endswith("...")


def test_families_are_apart() -> None:
    """Rows of IPv6 hold no address of IPv4."""
    made = Planner().forwarding(pool("a", AWAY_4, AWAY_6) | forward(80, "a"))
    sizes = {one.place.map: len(one.data) for one in made.elements if one.data}
    assert sizes == {"endpoints4-1": 8, "endpoints6-1": 20}
    assert {rung.version for rung in made.rungs} == {Family.IPV4, Family.IPV6}
