"""The index of a plan knows its values, who uses what, and what a change touches: that, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.plans import Change, forward, pool, pool_key, remove, socket_key
from tidegate.dataplanes.planindex import PlanIndex, target_key
from tidegate.names import TargetKey
from tidegate.plan.types import PlanKey, PlanValue, Pool, Socket, Target

KEY, TARGET = socket_key(80), TargetKey(socket_key(80))


def index_of(*changes: Change) -> PlanIndex:
    """The index of a plan that came by these changes."""
    index = PlanIndex()
    for change in changes:
        index.apply(change)
    return index


def users(index: PlanIndex, name: str) -> list[int]:
    """The ports whose targets use a pool."""
    return [socket.key.port for _, socket in index.users(pool_key(name))]


def part(change: Change, key: PlanKey) -> Change:
    """One entry of a change."""
    return {key: change[key]}


def test_what_changes_touch() -> None:
    """A socket touches its target, a target itself, a pool nothing but itself: who uses it is asked afterwards."""
    index = index_of(forward(80, "a"), forward(81, "a", "b"), pool("a", 1))
    touched = index.apply(part(forward(80, "a"), KEY))
    assert (touched.sockets, list(touched.targets), touched.pools) == ([KEY], [TARGET], [])
    touched = index.apply(part(forward(80, "b"), TARGET))
    assert (touched.sockets, list(touched.targets), touched.pools) == ([], [TARGET], [])
    touched = index.apply(pool("a", 2) | pool("unused", 3))
    assert (touched.sockets, list(touched.targets), touched.pools) == ([], [], [pool_key("a"), pool_key("unused")])
    assert (users(index, "a"), users(index, "b"), users(index, "unused")) == ([81], [80, 81], [])


def test_a_socket_that_leads_elsewhere() -> None:
    """The target to which it led is touched too, and nothing leads there any more."""
    index = index_of(forward(80, "a"))
    old = index.sockets[KEY]
    other = TargetKey(KEY, "other")
    new = msgspec.structs.replace(old, matches=(msgspec.structs.replace(old.matches[0], target=other),))
    touched = index.apply({KEY: new})
    assert list(touched.targets) == [TARGET, other]
    assert index.leading_to(TARGET) is None
    assert index.leading_to(other) == new


def test_only_other_endpoints_touch_a_pool() -> None:
    """Endpoints that are known but not usable are no concern of anybody; a missing pool is an empty one."""
    index = index_of(pool("a", 1))
    value = index.pools[pool_key("a")]
    assert not index.apply({value.key: msgspec.structs.replace(value, total=7)}).pools
    assert not index.apply(pool("b") | {pool_key("missing"): None}).pools
    assert index.apply({value.key: None}).pools == [value.key]


def test_what_the_plan_does_not_have() -> None:
    """A missing target refuses everything, a missing pool has no endpoints, and to neither does anything lead."""
    index = PlanIndex()
    assert index.target(TARGET) == Target(key=TARGET, route=None, backends=())
    assert index.endpoints(pool_key("a")) == ()
    assert index.leading_to(TARGET) is None
    assert users(index, "a") == []


def test_a_socket_without_match_has_a_target_of_its_own() -> None:
    """So it is served like one whose backends are missing: it refuses."""
    socket = index_of(forward(80)).sockets[KEY]
    assert target_key(socket) == TARGET
    assert target_key(msgspec.structs.replace(socket, matches=())) == TARGET


def test_a_value_of_another_type_is_an_error() -> None:
    """A plan that gives a key another key's type is a mistake of ours, and is not swallowed."""
    with pytest.raises(TypeError, match="is not a Socket"):
        index_of({KEY: forward(80)[TARGET]})


PORTS, POOLS = st.integers(80, 83), st.sampled_from("abc")
SHARES = st.lists(st.tuples(POOLS | st.none(), st.integers(0, 3)), max_size=3)
FORWARDINGS = st.builds(lambda port, shares: forward(port, *shares), PORTS, SHARES)
CHANGES = st.lists(
    st.one_of(
        FORWARDINGS,
        FORWARDINGS.map(lambda change: dict(list(change.items())[1:])),
        FORWARDINGS.map(lambda change: dict(list(change.items())[:1])),
        PORTS.map(remove),
        PORTS.map(lambda port: part(remove(port), socket_key(port))),
        st.builds(pool, POOLS, st.integers(1, 3)),
        POOLS.map(lambda name: {pool_key(name): None}),
    ),
    max_size=12,
)


@given(CHANGES)
def test_history_leaves_no_trace(changes: Sequence[Change]) -> None:
    """After any changes, values and users are those of the last values alone."""
    index = index_of(*changes)
    plan: dict[PlanKey, PlanValue] = {}
    for change in changes:
        plan = {key: value for key, value in (plan | change).items() if value is not None}
    assert index.sockets == {key: value for key, value in plan.items() if isinstance(value, Socket)}
    assert index.pools == {key: value for key, value in plan.items() if isinstance(value, Pool)}
    for name in "abc":
        using = {
            key.socket.port
            for key, value in plan.items()
            if isinstance(key, TargetKey) and isinstance(value, Target) and key.socket in plan
            if pool_key(name) in {backend.pool for backend in value.backends}
        }
        assert users(index, name) == sorted(using)
