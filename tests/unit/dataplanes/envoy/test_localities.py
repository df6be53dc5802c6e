"""Shares are exact whatever pools overlap, refused weight keeps its part, and Envoy's limits are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from support.plans import backend, pool_key
from tidegate.dataplanes.envoy.localities import MAX_WEIGHT_SUM, Share, Split, WeightedEndpoint, split, whole_weights
from tidegate.names import PoolKey
from tidegate.plan.types import Endpoint, WeightedBackend

PROPERTY = settings(max_examples=300, deadline=None, derandomize=True)
A, B, C, D = (Endpoint("10.0.0.1", port) for port in (1, 2, 3, 4))

Pools = Mapping[str, Sequence[Endpoint]]


def split_of(pools: Pools, *backends: WeightedBackend) -> Split:
    """The split with these pools; a pool that is not there has no endpoints."""
    by_key: dict[PoolKey, tuple[Endpoint, ...]] = {pool_key(name): tuple(some) for name, some in pools.items()}
    return split(backends, lambda key: by_key.get(key, ()))


def parts(result: Split) -> tuple[dict[Endpoint, Fraction], Fraction]:
    """The part of all connections that each endpoint gets when Envoy follows the weights, and the refused part."""
    total = sum(share.weight for share in result.shares) + result.refused
    found: dict[Endpoint, Fraction] = {}
    for share in result.shares:
        inside = sum(one.weight for one in share.endpoints)
        for one in share.endpoints:
            assert one.endpoint not in found, "Envoy uses an address in two localities only once"
            found[one.endpoint] = Fraction(share.weight, total) * Fraction(one.weight, inside)
    return found, Fraction(result.refused, total)


def test_separate_backends_are_shares_of_their_own() -> None:
    """Backends without common endpoints keep their weight, ref and label, and their endpoints weigh alike."""
    result = split_of({"a": [A, B], "b": [C]}, backend("a", 70, ref="0/0"), backend("b", 30, ref="0/1"))
    assert result == Split(
        shares=(
            Share(name="0/0", weight=70, endpoints=(WeightedEndpoint(A, 1, "a"), WeightedEndpoint(B, 1, "a"))),
            Share(name="0/1", weight=30, endpoints=(WeightedEndpoint(C, 1, "b"),)),
        ),
        refused=0,
    )


def test_overlapping_backends_become_one_share_with_summed_weights() -> None:
    """50 on A and 50 on A and B beside 100 refused is 3/8, 1/8 and 1/2 of all connections."""
    result = split_of(
        {"one": [A], "two": [A, B]},
        backend("one", 50, ref="0/0"),
        backend("two", 50, ref="0/1"),
        backend(None, 100, ref="0/2"),
    )
    assert [share.name for share in result.shares] == ["0/0"]
    assert parts(result) == ({A: Fraction(3, 8), B: Fraction(1, 8)}, Fraction(1, 2))


def test_backends_that_overlap_through_a_third_become_one_share() -> None:
    """A later backend joins two earlier ones, and the share stands where the first of them stood."""
    result = split_of(
        {"a": [A], "lone": [D], "b": [B], "both": [A, B, C]},
        backend("a", 1, ref="0/0"),
        backend("lone", 1, ref="0/1"),
        backend("b", 1, ref="0/2"),
        backend("both", 3, ref="0/3"),
    )
    assert [(share.name, share.weight) for share in result.shares] == [("0/0", 5), ("0/1", 1)]
    third = Fraction(1, 3)
    assert parts(result)[0] == {A: third, B: third, C: third / 2, D: third / 2}


def test_the_same_pool_twice_gets_the_sum_of_the_weights() -> None:
    """Two backends with one pool are one share, labelled once."""
    result = split_of({"a": [A, B]}, backend("a", 1, ref="0/0"), backend("a", 2, ref="0/1"))
    (share,) = result.shares
    assert share.weight == 3
    assert {one.label for one in share.endpoints} == {"a"}
    assert len({one.weight for one in share.endpoints}) == 1


def test_a_common_endpoint_is_labelled_with_all_its_backends() -> None:
    """An endpoint names every backend that it serves, in their order, and no other."""
    result = split_of({"a": [A, B], "b": [B, C]}, backend("a", 1, ref="0/0"), backend("b", 1, ref="0/1"))
    (share,) = result.shares
    assert {one.endpoint: one.label for one in share.endpoints} == {A: "a", B: "a,b", C: "b"}


def test_refused_weights_are_summed() -> None:
    """Missing backends, empty pools and unknown pools refuse the sum of their weights."""
    result = split_of(
        {"a": [A], "empty": []},
        backend("a", 5, ref="0/0"),
        backend(None, 10, ref="0/1"),
        backend("empty", 20, ref="0/2"),
        backend("unknown", 40, ref="0/3"),
    )
    assert result.refused == 70
    assert [share.weight for share in result.shares] == [5]


def test_weight_zero_gets_nothing() -> None:
    """A backend of weight 0 has no share, adds nothing to the refused weight and does not join others."""
    result = split_of(
        {"a": [A], "b": [B], "both": [A, B]},
        backend("both", 0, ref="0/0"),
        backend("a", 1, ref="0/1"),
        backend("b", 1, ref="0/2"),
        backend(None, 0, ref="0/3"),
    )
    assert [share.name for share in result.shares] == ["0/1", "0/2"]
    assert result.refused == 0


def test_everything_is_refused_when_nothing_can_serve() -> None:
    """No backend, only weights of 0, or only refused backends: all connections are refused."""
    refuse = Split(shares=(), refused=1)
    assert split_of({}) == refuse
    assert split_of({"a": [A]}, backend("a", 0, ref="0/0")) == refuse
    assert split_of({}, backend("gone", 1_000_000, ref="0/0"), backend(None, 7, ref="0/1")) == refuse


BACKENDS = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=1_000_000),
        st.one_of(st.none(), st.sets(st.sampled_from([A, B, C, D, Endpoint("::1", 1), Endpoint("::1", 2)]))),
    ),
    max_size=8,
)


@PROPERTY
@given(BACKENDS)
def test_every_share_is_exact(described: list[tuple[int, set[Endpoint] | None]]) -> None:
    """Each endpoint gets exactly the sum of weight / endpoints over its backends, and the rest is refused."""
    pools = {str(number): sorted(some) for number, (_, some) in enumerate(described) if some is not None}
    backends = [
        backend(str(number) if some is not None else None, weight, ref=f"0/{number}")
        for number, (weight, some) in enumerate(described)
    ]
    result = split_of(pools, *backends)
    total = sum(weight for weight, _ in described)
    expected: dict[Endpoint, Fraction] = defaultdict(Fraction)
    refused = Fraction(0)
    for weight, some in described:
        for endpoint in some or ():
            expected[endpoint] += Fraction(weight, len(some or ())) / (total or 1)
        refused += Fraction(weight, total) if total and not some else 0
    served, ended = parts(result)
    assert served == {endpoint: part for endpoint, part in expected.items() if part}
    assert ended == (refused if total else 1)


@PROPERTY
@given(BACKENDS)
def test_sub_zones_are_unique_and_weights_are_accepted_by_envoy(
    described: list[tuple[int, set[Endpoint] | None]],
) -> None:
    """Envoy merges localities of one name and rejects weights of 0 and sums beyond 32 bits."""
    pools = {str(number): sorted(some or ()) for number, (_, some) in enumerate(described)}
    backends = [backend(str(number), weight, ref=f"0/{number}") for number, (weight, _) in enumerate(described)]
    result = split_of(pools, *backends)
    names = [share.name for share in result.shares]
    assert len(names) == len(set(names))
    weights = [share.weight for share in result.shares]
    assert all(weight >= 1 for weight in weights)
    assert 1 <= sum(weights) + result.refused <= MAX_WEIGHT_SUM
    for share in result.shares:
        assert all(one.weight >= 1 for one in share.endpoints)
        assert sum(one.weight for one in share.endpoints) <= MAX_WEIGHT_SUM


def test_fractions_become_whole_in_the_same_proportion() -> None:
    """A third and a half become 2 and 3."""
    assert whole_weights([Fraction(1, 3), Fraction(1, 2)]) == [2, 3]


def test_whole_weights_within_the_limit_stay() -> None:
    """Weights that Envoy accepts are sent as the user wrote them, up to the limit itself."""
    assert whole_weights([10, 20]) == [10, 20]
    assert whole_weights([MAX_WEIGHT_SUM - 1, 1]) == [MAX_WEIGHT_SUM - 1, 1]


def test_weights_beyond_the_limit_are_reduced_exactly_where_possible() -> None:
    """A common divisor is taken out before anything is rounded."""
    assert whole_weights([2**40, 3 * 2**40]) == [1, 3]


@PROPERTY
@given(st.lists(st.integers(min_value=1, max_value=2**80), min_size=1, max_size=20))
def test_weights_beyond_the_limit_are_scaled(weights: list[int]) -> None:
    """Scaled weights fit, never become 0, and each is off by a few units in some four thousand million at most."""
    scaled = whole_weights(weights)
    assert sum(scaled) <= MAX_WEIGHT_SUM
    assert min(scaled) >= 1
    for weight, result in zip(weights, scaled, strict=True):
        exact = Fraction(weight, sum(weights)) * sum(scaled)
        assert abs(result - exact) <= len(weights)


def test_large_prime_pools_stay_within_the_limit() -> None:
    """Overlapping pools whose sizes have a huge common multiple are rounded, and every endpoint still gets some."""
    sizes = (997, 1009, 1013, 1019)
    endpoints = [Endpoint("10.0.0.1", port) for port in range(1, 1020)]
    pools = {str(size): endpoints[:size] for size in sizes}
    result = split_of(pools, *(backend(str(size), 999_983, ref=f"0/{size}") for size in sizes))
    (share,) = result.shares
    assert len(share.endpoints) == 1019
    assert min(one.weight for one in share.endpoints) >= 1
    assert sum(one.weight for one in share.endpoints) <= MAX_WEIGHT_SUM
