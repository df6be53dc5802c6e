"""Whatever changes, what is written again is all that differs, and it is what a plan from scratch would need."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.plans import Change, forward, pool, pool_key, remove, socket_key
from support.tables import FACTS, OWN_4, Planner
from tidegate.dataplanes.nftables.marks import NUMBERS
from tidegate.dataplanes.nftables.reach import HostFacts
from tidegate.dataplanes.nftables.ruleset import NOTHING, Forwarding
from tidegate.errors import DataPlaneError
from tidegate.names import SocketKey
from tidegate.plan.types import PlanKey, PlanValue, Pool

AWAY, OTHER = ("10.9.9.9", 80), ("10.9.9.8", 80)

POOLS = st.sampled_from("abc")
PORTS = st.integers(80, 83)
ENDPOINTS = st.lists(
    st.sampled_from([AWAY, OTHER, (OWN_4, 1), ("127.0.0.1", 1), ("2001:db8::1", 1)]), max_size=3, unique=True
)
SHARES = st.lists(st.tuples(POOLS | st.none(), st.integers(0, 3)), max_size=3)
CHANGES = st.lists(
    st.one_of(
        st.builds(lambda name, endpoints: pool(name, *endpoints), POOLS, ENDPOINTS),
        POOLS.map(lambda name: {pool_key(name): None}),
        st.builds(lambda port, shares: forward(port, *shares), PORTS, SHARES),
        PORTS.map(remove),
        st.builds(lambda port, shares: dict(list(forward(port, *shares).items())[1:]), PORTS, SHARES),
    ),
    max_size=12,
)


@given(CHANGES, st.booleans())
def test_changes_are_as_good_as_a_new_plan(changes: Sequence[Change], hairpins: bool) -> None:
    """After any changes, what was written of each socket is what it would need if the plan were new."""
    planner = Planner(hairpins=hairpins)
    written: dict[SocketKey, Forwarding] = {}
    plan: dict[PlanKey, PlanValue] = {}
    for change in changes:
        for key, wanted in planner.wanted(change).items():
            written[key] = wanted.forwarding
        plan = {key: value for key, value in (plan | change).items() if value is not None}
    written = {key: forwarding for key, forwarding in written.items() if forwarding != NOTHING}
    scratch = Planner(planner.marks, hairpins=hairpins).wanted(plan)
    sockets = {key for key in plan if isinstance(key, SocketKey)}
    assert written == {key: wanted.forwarding for key, wanted in scratch.items() if key in sockets}


def test_sockets_by_address() -> None:
    """Those on one address are known by it, as long as they are planned."""
    planner = Planner()
    planner.wanted(forward(80, "a"), forward(81, "a"), forward(80, "a", address=OWN_4), forward(82, "a", address="*"))
    assert planner.catalog.addressed() == {
        "127.0.0.1": {socket_key(80), socket_key(81)},
        OWN_4: {socket_key(80, OWN_4)},
    }
    planner.wanted(remove(80), remove(80, OWN_4), forward(81, "b"), remove(82, "*"), remove(83))
    assert planner.catalog.addressed() == {"127.0.0.1": {socket_key(81)}}


def test_only_users_of_a_pool_are_touched() -> None:
    """A change of endpoints, also to none, is of no concern to sockets of other pools."""
    planner = Planner()
    planner.wanted(pool("a", AWAY), pool("b", AWAY), forward(80, "a"), forward(81, "b"), forward(82, "a", "b"))
    assert set(planner.catalog.apply(pool("a"))) == {socket_key(80), socket_key(82)}
    assert set(planner.catalog.apply({pool_key("b"): None})) == {socket_key(81), socket_key(82)}
    assert not planner.catalog.apply(pool("unused", AWAY))


def test_change_that_changes_nothing() -> None:
    """Endpoints that are not usable are counted elsewhere; a missing pool is an empty one."""
    planner = Planner()
    planner.wanted(pool("a", AWAY), forward(80, "a", "b"))
    same = next(iter(pool("a", AWAY).values()))
    assert isinstance(same, Pool)
    assert not planner.catalog.apply({same.key: msgspec.structs.replace(same, total=7)})
    assert not planner.catalog.apply(pool("b"))


def test_facts_of_the_host() -> None:
    """Everything is written again when they change, and nothing when they do not."""
    planner = Planner()
    planner.wanted(pool("a", AWAY), forward(80, "a"), forward(81, "a"))
    assert planner.catalog.set_facts(FACTS) == []
    facts = msgspec.structs.replace(FACTS, forwards=frozenset())
    assert set(planner.catalog.set_facts(facts)) == {socket_key(80), socket_key(81)}
    assert not [one for one in planner.catalog.forwarding(socket_key(80)).elements if one.place.map == "endpoints4-1"]


@pytest.mark.parametrize("endpoint", [("10.9.9.9", 80), ("::ffff:10.9.9.9", 80)])
def test_addresses_of_the_host(endpoint: tuple[str, int]) -> None:
    """One that comes or goes matters to those who have an endpoint there; the first of a family, to wildcards, too."""
    planner = Planner()
    changes = (pool("a", endpoint), pool("b", OTHER), forward(80, "a"), forward(81, "b"), forward(82, "b", address="*"))
    planner.wanted(*changes)
    facts = msgspec.structs.replace(FACTS, addresses=FACTS.addresses | {"10.9.9.1", "fd99::1"})
    assert planner.catalog.set_facts(facts) == []
    facts = msgspec.structs.replace(facts, addresses=facts.addresses | {"10.9.9.9"})
    assert planner.catalog.set_facts(facts) == [socket_key(80)]
    again = Planner(planner.marks, facts=facts).wanted(*changes)
    assert all(planner.catalog.forwarding(key) == one.forwarding for key, one in again.items())
    facts = msgspec.structs.replace(facts, addresses=frozenset({"127.0.0.1", "::1", "10.9.9.9", "10.9.9.1"}))
    assert planner.catalog.set_facts(facts) == [socket_key(82, "*")]


def test_marks_are_kept_until_the_kernel_knows() -> None:
    """A lane is retired once what replaces it is written, not before; so is that of a socket that is gone."""
    planner, key = Planner(), socket_key(80)
    planner.wanted(forward(80, "a"))
    planner.catalog.written(key)
    planner.wanted(forward(80, "b"))
    assert not planner.marks.retired
    planner.catalog.written(key)
    assert len(planner.marks.retired) == 1
    planner.wanted(remove(80))
    assert len(planner.marks.retired) == 1
    planner.catalog.written(key)
    assert len(planner.marks.retired) == 2
    assert not planner.marks.series().planned()


def test_revisions_that_were_never_written() -> None:
    """Their marks are retired with the next one that is."""
    planner = Planner()
    for name in "abc":
        planner.wanted(forward(80, name))
    planner.catalog.written(socket_key(80))
    assert len(planner.marks.retired) == 2
    assert len(planner.marks.series().planned()) == 1


@pytest.mark.parametrize(
    ("facts", "said"), [(FACTS, ""), (HostFacts(addresses=FACTS.addresses, forwards=frozenset()), "does not forward")]
)
def test_limits(facts: HostFacts, said: str) -> None:
    """What is said about a socket is about its weighted backends that have endpoints."""
    planner = Planner(facts=facts)
    planner.wanted(
        pool("a", AWAY), pool("b", ("::1", 1)), forward(80, "a", ("b", 0), (None, 1), "empty", address=OWN_4)
    )
    found = planner.catalog.limits(socket_key(80, OWN_4))
    assert said in found
    assert bool(found) is bool(said)
    assert planner.catalog.limits(socket_key(1)) == ""


def test_unknown_socket_is_nothing() -> None:
    """A socket that is not in the plan needs nothing."""
    assert Planner().catalog.forwarding(socket_key(80)) == NOTHING


def test_marks_of_a_socket_that_was_refused() -> None:
    """When there was no mark for one of its lanes, those of the others are retired with it, too."""
    planner = Planner()
    marks = planner.marks
    marks.adopt({}, range(marks.prefix + 2, marks.prefix + NUMBERS))
    with pytest.raises(DataPlaneError):
        planner.wanted(pool("a", AWAY), forward(80, "a", "b"))
    assert not marks.retired
    planner.wanted(remove(80))
    planner.catalog.written(socket_key(80))
    assert marks.retired.keys() == {marks.prefix + 1}
