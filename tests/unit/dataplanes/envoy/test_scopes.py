"""A plan is divided by scope, pools included, and each scope has catalogs of exactly its part."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from support.discovery import catalog_of
from support.plans import Change, forward, pool, pool_key, remove, socket_key
from tidegate.dataplanes.envoy.catalog import Catalog
from tidegate.dataplanes.envoy.naming import socket_name
from tidegate.dataplanes.envoy.resources import Kind, Resource
from tidegate.dataplanes.envoy.scopes import PlanRouter, Scope
from tidegate.dataplanes.envoy.translate import TranslateOptions
from tidegate.names import PoolKey, TargetKey
from tidegate.plan.types import PlanChange, PlanKey, PlanValue, Target

A, B = "team-a/gw", "team-b/gw"
HERE = TranslateOptions()
IPV4 = TranslateOptions(wildcard="0.0.0.0")


def scope_of(key: PlanKey) -> str | None:
    """The scope of a socket or a target; None for a pool."""
    match key:
        case PoolKey():
            return None
        case TargetKey():
            return key.socket.scope
        case _:
            return key.scope


def added_up(changes: list[PlanChange]) -> dict[PlanKey, PlanValue]:
    """The plan that changes make."""
    plan: dict[PlanKey, PlanValue] = {}
    for change in changes:
        for key, value in change.items():
            plan.pop(key, None)
            if value is not None:
                plan[key] = value
    return plan


def part_of(plan: Mapping[PlanKey, PlanValue], scope: str) -> dict[PlanKey, PlanValue]:
    """What a scope should have of a plan."""
    part = {key: value for key, value in plan.items() if scope_of(key) == scope}
    pools = {backend.pool for value in part.values() if isinstance(value, Target) for backend in value.backends}
    return part | {key: value for key, value in plan.items() if key in pools}


def resources(catalog: Catalog) -> dict[tuple[Kind, str], Resource | None]:
    """All that a catalog has."""
    return {(kind, name): catalog.get(kind, name) for kind in Kind for name in catalog.names(kind)}


PORTS, NAMES, SCOPES = st.integers(80, 82), st.sampled_from(["p", "q"]), st.sampled_from([A, B])
STEPS = st.one_of(
    st.builds(
        lambda port, names, scope: forward(port, *names, scope=scope), PORTS, st.lists(NAMES, max_size=2), SCOPES
    ),
    st.builds(lambda port, scope: remove(port, scope=scope), PORTS, SCOPES),
    st.builds(lambda name, ends: pool(name, *ends), NAMES, st.sets(st.integers(1, 3))),
    st.builds(lambda name: {pool_key(name): None}, NAMES),
)
CHANGES = st.lists(st.lists(STEPS, max_size=3).map(lambda steps: {k: v for step in steps for k, v in step.items()}))


@settings(max_examples=300)
@given(CHANGES)
def test_parts_add_up_to_the_part_of_the_sum(changes: list[Change]) -> None:
    """Dividing each change gives every scope what dividing the whole plan would, and never anything else."""
    router = PlanRouter()
    parts: dict[str, list[PlanChange]] = {A: [], B: []}
    for change in changes:
        for scope, part in router.divide(change).items():
            parts[scope].append(part)
    plan = added_up(list(changes))
    for scope, own in parts.items():
        assert added_up(own) == part_of(plan, scope)


@settings(max_examples=100)
@given(CHANGES, CHANGES)
def test_a_catalog_is_the_same_whenever_it_was_made(before: list[Change], after: list[Change]) -> None:
    """One made late has what one made early has, which is what its part of the plan says."""
    router, early, late = PlanRouter(), Scope(lambda *_: []), Scope(lambda *_: [])
    early.catalog(HERE)
    for change in (*before, *after):
        part = router.divide(change).get(A, {})
        early.apply(part)
        late.apply(part)
    expected = catalog_of(part_of(added_up([*before, *after]), A))
    assert resources(early.catalog(HERE)) == resources(late.catalog(HERE)) == resources(expected)


def test_a_change_concerns_only_the_scopes_that_it_touches() -> None:
    """A socket has one scope; a pool those that use it; what nobody uses has none."""
    router = PlanRouter()
    router.divide(forward(80, "both", "mine", scope=A) | forward(80, "both", scope=B))
    assert set(router.divide(forward(81, scope=A))) == {A}
    assert set(router.divide(pool("both", 1))) == {A, B}
    assert set(router.divide(pool("mine", 1))) == {A}
    assert router.divide(pool("unused", 1)) == {}
    assert router.divide({}) == {}


def test_a_pool_comes_and_goes_with_its_users() -> None:
    """A scope gets a pool with its first target that uses it, and loses it with the last."""
    router = PlanRouter()
    router.divide(pool("p", 1))
    first = router.divide(forward(80, "p", scope=A))[A]
    assert first[pool_key("p")] == pool("p", 1)[pool_key("p")]
    assert pool_key("p") not in router.divide(forward(81, "p", scope=A))[A]
    assert pool_key("p") not in router.divide(remove(80, scope=A))[A]
    last = router.divide(remove(81, scope=A))[A]
    assert last[pool_key("p")] is None
    assert router.divide(pool("p", 2)) == {}


def test_surroundings_have_catalogs_of_their_own() -> None:
    """Proxies with and without IPv6 get listeners that differ in the address, from one plan."""
    scope = Scope(lambda *_: [])
    scope.apply(forward(80, "p", address="*", scope=A))
    name = socket_name(socket_key(80, "*", A))
    six, four = (scope.catalog(one).get(Kind.LISTENER, name) for one in (HERE, IPV4))
    assert six is not None
    assert four is not None
    assert b"0.0.0.0" in four.body
    assert b"0.0.0.0" not in six.body
    assert scope.catalog(HERE) is scope.catalog(HERE)
    changed = scope.apply(forward(81, "p", scope=A))
    assert set(changed) == {HERE, IPV4}
    assert set(scope.refresh()) == {HERE, IPV4}


def test_a_scope_serves_only_while_it_is_known() -> None:
    """Catalogs made before and after are ready only as long as the Gateway is one of ours."""
    scope = Scope(lambda *_: [])
    early = scope.catalog(HERE)
    assert not early.ready
    scope.known = True
    assert scope.known
    assert early.ready
    assert scope.catalog(IPV4).ready
    scope.known = False
    assert not early.ready


def test_an_empty_scope_says_so() -> None:
    """When all is gone nothing is left to remember."""
    scope = Scope(lambda *_: [])
    assert scope.is_empty
    scope.apply(forward(80, scope=A))
    assert not scope.is_empty
    scope.apply(remove(80, scope=A))
    assert scope.is_empty
