"""One change of the plan changes only its own resources, and the whole does not depend on the order."""

from __future__ import annotations

from random import Random

import pytest
from envoy.config.accesslog.v3 import accesslog_pb2
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from support.discovery import catalog_of
from support.plans import Change, forward, listener_key, pool, pool_key, remove, route_key, socket_key
from tidegate.dataplanes.envoy import naming
from tidegate.dataplanes.envoy.catalog import MAX_FORMER_SERIES, Catalog, Changed
from tidegate.dataplanes.envoy.resources import Kind, Resource
from tidegate.dataplanes.envoy.translate import TranslateOptions
from tidegate.dataplanes.traffic import Series
from tidegate.names import ListenerKey, ObjectKey, TargetKey
from tidegate.plan.types import Pool, Socket

KEY, OTHER = socket_key(80), socket_key(81)
NAME, OTHER_NAME = naming.socket_name(KEY), naming.socket_name(OTHER)
FILTER = naming.filter_name(TargetKey(KEY))


def two_sockets() -> Catalog:
    """Ports 80 (pools a and b) and 81 (pool b)."""
    return catalog_of(forward(80, "a", "b"), forward(81, "b"), pool("a", 1), pool("b", 2))


def only(changed: Changed) -> dict[Kind, set[str]]:
    """The kinds that changed, with the names."""
    return {kind: set(names) for kind, names in changed.items() if names}


def everything(catalog: Catalog) -> dict[Kind, dict[str, Resource | None]]:
    """All resources, by kind and name."""
    return {kind: {name: catalog.get(kind, name) for name in catalog.names(kind)} for kind in Kind}


def test_a_new_socket_gets_all_its_resources() -> None:
    """A listener comes with its filter, cluster and endpoints, without which it would hang."""
    catalog = two_sockets()
    name = naming.socket_name(socket_key(82))
    changed = only(catalog.apply(forward(82, "a")))
    assert changed == {
        Kind.CLUSTER: {name},
        Kind.ASSIGNMENT: {name},
        Kind.FILTER: {name + "/tcp"},
        Kind.LISTENER: {name},
    }


def test_a_removed_socket_takes_its_resources_along() -> None:
    """Nothing of a removed socket stays, and nothing of another is touched."""
    catalog = two_sockets()
    changed = only(catalog.apply(remove(80)))
    assert changed == {Kind.CLUSTER: {NAME}, Kind.ASSIGNMENT: {NAME}, Kind.FILTER: {FILTER}, Kind.LISTENER: {NAME}}
    assert everything(catalog) == everything(catalog_of(forward(81, "b"), pool("b", 2)))
    assert catalog.resources_of(KEY) == ()
    assert catalog.socket_of(Kind.LISTENER, NAME) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (pool("a", 1, 3), {Kind.ASSIGNMENT: {NAME}}),
        (pool("b", 4), {Kind.ASSIGNMENT: {NAME, OTHER_NAME}}),
        ({pool_key("a"): None}, {Kind.ASSIGNMENT: {NAME}}),
        (pool("unused", 5), {}),
        (forward(80, ("a", 9), "b"), {Kind.ASSIGNMENT: {NAME}}),
        (forward(80, "a", "b", route="another"), {Kind.FILTER: {FILTER}}),
        (forward(80, "a", "b", listener="renamed"), {Kind.FILTER: {FILTER}}),
        (forward(80, "a", "b"), {}),
        (remove(9999), {}),
    ],
    ids=[
        "endpoints",
        "shared endpoints",
        "pool gone",
        "unused pool",
        "weight",
        "route",
        "listener name",
        "same again",
        "unknown",
    ],
)
def test_a_change_touches_only_its_own_resources(change: Change, expected: dict[Kind, set[str]]) -> None:
    """Each kind of change is seen in the one kind of resource that it is about, and nowhere else."""
    catalog = two_sockets()
    before = everything(catalog)
    assert only(catalog.apply(change)) == expected
    after = everything(catalog)
    differing = {
        kind: {name for name in before[kind] | after[kind] if before[kind].get(name) != after[kind].get(name)}
        for kind in Kind
    }
    assert only(differing) == expected


def test_endpoints_that_are_not_usable_change_nothing() -> None:
    """A pool whose total changes but not its usable endpoints touches no resource."""
    catalog = two_sockets()
    (value,) = pool("a", 1).values()
    assert isinstance(value, Pool)
    assert only(catalog.apply({value.key: Pool(key=value.key, endpoints=value.endpoints, total=9)})) == {}


def test_a_revision_is_no_resource() -> None:
    """A socket with a new revision and nothing else new changes no resource, and the revision is known."""
    catalog = two_sockets()
    old = catalog.sockets()[KEY]
    new = Socket(key=KEY, listener=old.listener, matches=old.matches, revision="new")
    assert only(catalog.apply({KEY: new})) == {}
    assert catalog.sockets()[KEY].revision == "new"


def test_targets_without_a_socket_have_no_resources() -> None:
    """What no socket leads to is kept, but Envoy does not get it until a socket does."""
    socket_part: Change = {KEY: forward(80, "a")[KEY]}
    target_part: Change = {TargetKey(KEY): forward(80, "a")[TargetKey(KEY)]}
    catalog = catalog_of(target_part, pool("a", 1))
    assert only(everything(catalog)) == {}
    assert only(catalog.apply(pool("a", 2))) == {}
    catalog.apply(socket_part)
    assert everything(catalog) == everything(catalog_of(forward(80, "a"), pool("a", 2)))


def test_a_socket_without_its_target_refuses() -> None:
    """A socket is served from the start, refusing, and only its filter and endpoints change when the target comes."""
    forwarding = forward(80, "a")
    catalog = catalog_of({KEY: forwarding[KEY]}, pool("a", 1))
    assert len(catalog.resources_of(KEY)) == len(Kind)
    assert only(catalog.apply({TargetKey(KEY): forwarding[TargetKey(KEY)]})) == {
        Kind.ASSIGNMENT: {NAME},
        Kind.FILTER: {FILTER},
    }


def test_a_socket_without_matches_refuses() -> None:
    """A listener without a route has all resources and the same endpoints as one whose backends are missing."""
    with_match = forward(80)[KEY]
    assert isinstance(with_match, Socket)
    without = Socket(key=KEY, listener=with_match.listener, matches=(), revision="0")
    one, other = catalog_of({KEY: without}), catalog_of(forward(80, (None, 1)))
    assert len(one.resources_of(KEY)) == len(Kind)
    assert one.get(Kind.ASSIGNMENT, NAME) == other.get(Kind.ASSIGNMENT, NAME)


def test_a_socket_that_comes_back_is_the_same() -> None:
    """Removing a socket and adding it again gives the same bytes."""
    catalog = two_sockets()
    before = everything(catalog)
    catalog.apply(remove(80))
    catalog.apply(forward(80, "a", "b"))
    assert everything(catalog) == before


def test_resources_know_their_socket() -> None:
    """Each resource of a socket leads back to it."""
    catalog = two_sockets()
    for key in (KEY, OTHER):
        resources = catalog.resources_of(key)
        assert {one.kind for one in resources} == set(Kind)
        assert {catalog.socket_of(one.kind, one.name) for one in resources} == {key}


def test_targets_are_found_by_socket() -> None:
    """The target of a socket is the planned one; an unknown socket has none."""
    catalog = two_sockets()
    target = catalog.target_of(KEY)
    assert target is not None
    assert [one.label for one in target.backends] == ["a", "b"]
    assert catalog.target_of(socket_key(9999)) is None


def test_withheld_listeners_are_kept_from_envoy() -> None:
    """Of a withheld socket everything but the listener is there, until it is released."""
    catalog = two_sockets()
    listener = catalog.get(Kind.LISTENER, NAME)
    assert only(catalog.withhold([KEY])) == {Kind.LISTENER: {NAME}}
    assert catalog.is_withheld(KEY)
    assert catalog.get(Kind.LISTENER, NAME) is None
    assert catalog.names(Kind.LISTENER) == [OTHER_NAME]
    assert catalog.get(Kind.FILTER, FILTER) is not None
    assert only(catalog.withhold([KEY])) == {}
    assert only(catalog.release([KEY, OTHER])) == {Kind.LISTENER: {NAME}}
    assert catalog.get(Kind.LISTENER, NAME) == listener


def test_a_removed_socket_is_withheld_no_more() -> None:
    """A socket that comes back is not kept waiting for its former life."""
    catalog = two_sockets()
    catalog.withhold([KEY])
    catalog.apply(remove(80))
    assert not catalog.is_withheld(KEY)


def test_loggers_are_asked_with_the_counters_prefix() -> None:
    """Loggers learn the statistics prefix of the filter, the listener and the route."""
    asked: list[tuple[str, ListenerKey, ObjectKey | None]] = []

    def loggers(prefix: str, listener: ListenerKey, route: ObjectKey | None) -> list[Message]:
        asked.append((prefix, listener, route))
        return []

    catalog = Catalog(TranslateOptions(), loggers)
    catalog.apply(forward(80, "a", route="r"))
    ((prefix, listener, route),) = asked
    assert prefix == naming.traffic_prefix(TargetKey(KEY), listener, route)
    assert route == route_key("r")


def test_refresh_takes_other_loggers() -> None:
    """When the loggers are others now, the filters change, and nothing else does."""
    present: list[Message] = []
    catalog = Catalog(TranslateOptions(), lambda prefix, listener, route: present)
    catalog.apply(forward(80, "a") | forward(81, "b"))
    assert only(catalog.refresh()) == {}
    present.append(accesslog_pb2.AccessLog(name="new"))
    assert only(catalog.refresh()) == {Kind.FILTER: {FILTER, naming.filter_name(TargetKey(OTHER))}}


def counted(listener: str, route: str | None) -> Series:
    """The series of a listener and a route of the tests' Gateway."""
    return Series(listener_key(listener), route_key(route) if route is not None else None)


def test_series_follow_listener_and_route() -> None:
    """A new route or listener name begins another series, and the former one is remembered for open connections."""
    catalog = catalog_of(forward(80, "a", listener="l", route="r"), forward(81, "a", listener="m", route=None))
    assert list(catalog.series().values()) == [counted("l", "r"), counted("m", None)]
    assert catalog.former_series() == {}
    (prefix,) = (name for name, one in catalog.series().items() if one == counted("l", "r"))
    catalog.apply(forward(80, "a", listener="l", route="s"))
    assert set(catalog.series().values()) == {counted("l", "s"), counted("m", None)}
    assert catalog.former_series() == {prefix: counted("l", "r")}
    catalog.apply(forward(80, "a", listener="l", route="r"))
    assert catalog.series()[prefix] == counted("l", "r")
    assert list(catalog.former_series().values()) == [counted("l", "s")]


def test_weights_and_endpoints_begin_no_series() -> None:
    """What is counted together stays together while only backends change."""
    catalog = two_sockets()
    before = dict(catalog.series())
    catalog.apply({**forward(80, ("a", 7)), **pool("a", 5)})
    assert catalog.series() == before
    assert catalog.former_series() == {}


def test_only_so_many_former_series_are_remembered() -> None:
    """However often routes change, memory stays bounded, and the newest former series are kept."""
    catalog = catalog_of()
    for number in range(MAX_FORMER_SERIES + 5):
        catalog.apply(forward(80, route=f"r{number}"))
    former = list(catalog.former_series().values())
    assert len(former) <= MAX_FORMER_SERIES
    assert former[-1] == counted("listener", f"r{MAX_FORMER_SERIES + 3}")


STEPS = st.lists(
    st.one_of(
        st.builds(
            forward,
            st.sampled_from([80, 81]),
            st.sampled_from(["a", "b", ("a", 3), (None, 2)]),
            route=st.sampled_from(["r", "s", None]),
            listener=st.sampled_from(["l", "m"]),
        ),
        st.builds(remove, st.sampled_from([80, 81])),
        st.builds(pool, st.sampled_from(["a", "b"]), st.integers(min_value=1, max_value=3)),
        st.sampled_from([{pool_key("a"): None}, {pool_key("b"): None}]),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(STEPS, st.randoms(use_true_random=False))
def test_history_and_order_leave_no_trace(steps: list[Change], random: Random) -> None:
    """After any history, change by change and entry by entry, the resources are those of the last values alone."""
    catalog = catalog_of()
    last: Change = {}
    known = everything(catalog)
    for step in steps:
        entries = list(step.items())
        random.shuffle(entries)
        for key, value in entries:
            changed = catalog.apply({key: value})
            for kind, names in changed.items():
                for name in names:
                    known[kind].pop(name, None)
                    if (now := catalog.get(kind, name)) is not None:
                        known[kind][name] = now
        last.update(step)
    assert everything(catalog) == everything(catalog_of(last))
    assert known == everything(catalog), "every difference was told"
    for name in catalog.names(Kind.LISTENER):
        assert catalog.get(Kind.CLUSTER, name)
        assert catalog.get(Kind.ASSIGNMENT, name)
        assert catalog.get(Kind.FILTER, name + "/tcp")
