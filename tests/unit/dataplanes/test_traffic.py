"""The ledger's totals only grow and equal what was really counted, whatever the Envoys do."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from tidegate.dataplanes.traffic import SLICE, LedgerState, RawCounters, Series, TrafficLedger
from tidegate.names import ListenerKey, ObjectKey
from tidegate.plan.outcome import Traffic

GATEWAY = ObjectKey("gateway.networking.k8s.io", "Gateway", "default", "edge")


def series(listener: str = "foo", route: str | None = "app") -> Series:
    """A series of the Gateway ``edge``."""
    key = None if route is None else ObjectKey("gateway.networking.k8s.io", "TCPRoute", "default", route)
    return Series(listener=ListenerKey(GATEWAY, listener), route=key)


FOO, BAR = series("foo"), series("bar")
OWNERS = {"foo": FOO, "bar": BAR}


def raw(opened: int = 0, ended: int = 0, *, refused: int = 0, received: int = 0, sent: int = 0) -> RawCounters:
    """Counters of one prefix."""
    return RawCounters(opened=opened, ended=ended, refused=refused, received=received, sent=sent)


def only(ledger: TrafficLedger, what: Series = FOO) -> Traffic:
    """One series of a ledger."""
    (traffic,) = [one for one in ledger.traffic([what]) if (one.listener, one.route) == (what.listener, what.route)]
    return traffic


def test_nothing_counted_yet() -> None:
    """A planned series that Envoy never mentioned has zeros."""
    traffic = only(TrafficLedger())
    assert (traffic.opened, traffic.refused, traffic.active, traffic.received, traffic.sent) == (0, 0, 0, 0, 0)


def test_backends_of_a_route_are_counted_apart() -> None:
    """Where a data plane tells the backends of a route apart, each has a row of its own, in order."""
    blue, red = (msgspec.structs.replace(FOO, backend=backend) for backend in ("blue", "red"))
    ledger = TrafficLedger()
    ledger.observe("1", {"1": raw(3), "2": raw(5)}, {"1": red, "2": blue})
    assert [(one.backend, one.opened) for one in ledger.traffic([red, blue])] == [("blue", 5), ("red", 3)]


def test_former_backends_are_told_without_a_name() -> None:
    """What a backend counted that left its route stays in the route's sum, and is its own again when it returns."""
    blue, red = (msgspec.structs.replace(FOO, backend=backend) for backend in ("blue", "red"))
    ledger = TrafficLedger()
    ledger.observe("1", {"1": raw(3), "2": raw(5)}, {"1": red, "2": blue})
    assert [(one.backend, one.opened) for one in ledger.traffic([red], {})] == [("", 5), ("red", 3)]
    assert [(one.backend, one.opened) for one in ledger.traffic([blue, red], {})] == [("blue", 5), ("red", 3)]
    assert [one.opened for one in ledger.traffic([BAR], {})] == [0]


def test_look_that_lacks_some_loses_nothing() -> None:
    """What is missing in an incomplete look counts on from where it was; what vanished begins anew."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(3), "bar": raw(2)}, OWNERS, complete=False)
    ledger.observe("1", {"bar": raw(2)}, OWNERS, complete=False)
    ledger.observe("1", {"foo": raw(4), "bar": raw(2)}, OWNERS, complete=False)
    assert only(ledger).opened == 4
    ledger.vanish("1", ["foo", "unknown"])
    ledger.observe("1", {"foo": raw(5)}, OWNERS, complete=False)
    assert only(ledger).opened == 9


def test_what_has_not_changed_is_the_same_object() -> None:
    """Told again, only what changed is made anew, also when others come or go."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(3), "bar": raw(2)}, OWNERS)
    bar, foo = ledger.traffic([FOO, BAR])
    ledger.observe("1", {"foo": raw(4), "bar": raw(2)}, OWNERS)
    later = ledger.traffic([FOO, BAR, series("baz")])
    assert [one.opened for one in later] == [2, 0, 4]
    assert later[0] is bar
    assert later[2] is not foo
    assert ledger.traffic([FOO])[1] is later[2]


def test_very_many_are_in_order() -> None:
    """However many come at once, which are sorted in slices, and whatever comes or goes later."""
    ledger = TrafficLedger()
    many = [series(f"l{number * 7 % 1_201:04}") for number in range(2 * SLICE + 201)]
    first, later = set(many[:-100]), set(many[100:])
    for present in (first, later, first):
        assert [one.listener.listener for one in ledger.traffic(present)] == sorted(
            one.listener.listener for one in present
        )


def test_changes_of_what_is_kept() -> None:
    """``changes`` tells whether there is anything new to write down."""
    ledger = TrafficLedger()
    seen = [ledger.changes]

    def is_new() -> bool:
        seen.append(ledger.changes)
        return seen[-1] != seen[-2]

    ledger.observe("1", {"foo": raw(3)}, OWNERS)
    assert is_new()
    ledger.observe("1", {"foo": raw(3)}, OWNERS)
    assert not is_new()
    ledger.expect("1", OWNERS)
    assert is_new()
    ledger.expect("1", OWNERS)
    ledger.traffic([FOO, BAR])
    assert not is_new()
    ledger.vanish("1", ["bar"])
    assert is_new()
    ledger.vanish("1", ["bar"])
    assert not is_new()
    ledger.observe("1", {}, OWNERS)
    assert is_new()
    ledger.retire("1")
    assert is_new()
    ledger.retire("1")
    assert not is_new()


def test_active_connections_that_are_known_count() -> None:
    """A data plane that knows what is open says so; also of a series that is not planned any more."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(5), "bar": raw(2)}, OWNERS)
    assert [(one.opened, one.active) for one in ledger.traffic([FOO], {BAR: 1})] == [(2, 1), (5, 0)]


def test_counts_grow_with_envoy() -> None:
    """Each look adds what grew since the one before, and active is what was opened and not ended."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(3, 1, refused=1, received=10, sent=20)}, OWNERS)
    ledger.observe("1", {"foo": raw(5, 1, refused=2, received=11, sent=25)}, OWNERS)
    assert only(ledger) == Traffic(
        listener=FOO.listener, route=FOO.route, opened=5, refused=2, active=4, received=11, sent=25
    )


def test_restart_keeps_totals() -> None:
    """A restarted Envoy counts from zero, the totals go on, and nothing is active that was before."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(3, 1)}, OWNERS)
    ledger.retire("1")
    assert only(ledger).active == 0
    ledger.observe("2", {"foo": raw(4, 1)}, OWNERS)
    assert (only(ledger).opened, only(ledger).active) == (7, 3)
    assert list(ledger.generations) == ["2"]


def test_two_generations_side_by_side() -> None:
    """While an old and a new Envoy serve, both count, and the old one's end takes only its active ones."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(3)}, OWNERS)
    ledger.observe("2", {"foo": raw(2)}, OWNERS)
    assert (only(ledger).opened, only(ledger).active) == (5, 5)
    ledger.observe("1", {"foo": raw(3, 2)}, OWNERS)
    ledger.retire("1")
    assert (only(ledger).opened, only(ledger).active) == (5, 2)


def test_counters_that_begin_anew_in_one_process() -> None:
    """A prefix that vanished and came back is counted from zero, seen missing or not."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(3, 3)}, OWNERS)
    ledger.observe("1", {"foo": raw(1)}, OWNERS)
    assert (only(ledger).opened, only(ledger).active) == (4, 1)
    ledger.observe("1", {}, OWNERS)
    assert (only(ledger).opened, only(ledger).active) == (4, 0)
    ledger.observe("1", {"foo": raw(9)}, OWNERS)
    assert only(ledger).opened == 13


def test_one_counter_that_shrank_means_all_began_anew() -> None:
    """When one counter of a prefix is lower than before, none of the others is compared with before."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(3, 3, received=100)}, OWNERS)
    ledger.observe("1", {"foo": raw(1, 0, received=150)}, OWNERS)
    assert only(ledger).received == 250


def test_prefix_whose_route_is_gone() -> None:
    """Connections that outlive their route count for it, and are shown as long as they are open."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(2)}, OWNERS)
    ledger.observe("1", {"foo": raw(2, 1, sent=7)}, {})
    assert [(one.route, one.active, one.sent) for one in ledger.traffic([])] == [(FOO.route, 1, 7)]
    ledger.observe("1", {"foo": raw(2, 2, sent=7)}, {})
    assert ledger.traffic([]) == []
    assert only(ledger).sent == 7


def test_unknown_prefix() -> None:
    """A prefix that never had an owner is ignored, and counts in full once it has one."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(2)}, {})
    assert ledger.traffic([]) == []
    ledger.observe("1", {"foo": raw(3)}, OWNERS)
    assert only(ledger).opened == 3


def test_listener_with_another_name() -> None:
    """When a prefix gets another owner, what is counted from then on is the new one's, open connections too."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(2)}, OWNERS)
    ledger.observe("1", {"foo": raw(5)}, {"foo": BAR})
    assert (only(ledger).opened, only(ledger).active) == (2, 0)
    assert (only(ledger, BAR).opened, only(ledger, BAR).active) == (3, 5)


def test_active_is_never_negative() -> None:
    """Counters read in the middle of a connection's end do not show less than no connection."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(1, 2)}, OWNERS)
    assert only(ledger).active == 0


def test_sorted_by_listener_then_route() -> None:
    """The answer is in order, a listener's connections without a route first."""
    ledger = TrafficLedger()
    wanted = [series("bar", "b"), series("bar", None), series("foo", None), series("bar", "a")]
    shown = [(one.listener.listener, one.route and one.route.name) for one in ledger.traffic(wanted)]
    assert shown == [("bar", None), ("bar", "a"), ("bar", "b"), ("foo", None)]


def test_state_survives_a_new_controller() -> None:
    """A later ledger goes on from the same baselines: an adopted Envoy is counted without gap or double count."""
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": raw(3, 1, refused=1, received=5, sent=6), "bar": raw(1)}, OWNERS)
    saved = msgspec.json.decode(msgspec.json.encode(ledger.to_state()), type=LedgerState)
    later = TrafficLedger(saved)
    assert later.to_state() == ledger.to_state()
    assert list(later.generations) == ["1"]
    later.observe("1", {"foo": raw(5, 1, refused=1, received=5, sent=9), "bar": raw(1)}, {})
    assert (only(later).opened, only(later).active, only(later).sent) == (5, 4, 9)


def test_series_without_owner_are_bounded() -> None:
    """Beyond the limit the series go first that have no owner and did not grow for longest."""
    ledger = TrafficLedger(max_series=2)
    old, older = series("old"), series("older")
    ledger.observe("1", {"older": raw(1)}, {"older": older})
    ledger.observe("1", {"old": raw(1)}, {"old": old})
    ledger.observe("1", {"foo": raw(1)}, OWNERS)
    assert [entry.series for entry in ledger.to_state().totals] == [old, FOO]
    ledger.observe("1", {"foo": raw(2), "bar": raw(1), "baz": raw(1)}, {**OWNERS, "baz": series("baz")})
    assert {entry.series for entry in ledger.to_state().totals} == {FOO, BAR, series("baz")}


class Reality(RuleBasedStateMachine):
    """Envoys that start, count, drop prefixes and die, always looked at right before something is dropped."""

    processes = Bundle("processes")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = TrafficLedger()
        self.living: dict[str, dict[str, dict[str, int]]] = {}
        self.truth: dict[str, dict[str, int]] = {name: dict.fromkeys(self.fields, 0) for name in OWNERS}
        self.started = 0
        self.shown: dict[Series, Traffic] = {}

    fields = ("opened", "refused", "received", "sent")

    @rule(target=processes)
    def start(self) -> str:
        """A new process, beside those that live."""
        self.started += 1
        self.living[str(self.started)] = {}
        return str(self.started)

    @rule(
        process=processes,
        prefix=st.sampled_from(sorted(OWNERS)),
        field=st.sampled_from(fields),
        amount=st.integers(0, 5),
    )
    def count(self, process: str, prefix: str, field: str, amount: int) -> None:
        """Something happens on a living process."""
        if process in self.living:
            counters = self.living[process].setdefault(prefix, dict.fromkeys((*self.fields, "ended"), 0))
            counters[field] += amount
            self.truth[prefix][field] += amount

    @rule(process=processes, prefix=st.sampled_from(sorted(OWNERS)))
    def end_connection(self, process: str, prefix: str) -> None:
        """A connection ends, if one is open."""
        counters = self.living.get(process, {}).get(prefix)
        if counters is not None and counters["ended"] < counters["opened"]:
            counters["ended"] += 1

    @rule(process=processes)
    def look(self, process: str) -> None:
        """One complete look at a living process."""
        if process in self.living:
            counted = {prefix: RawCounters(**counters) for prefix, counters in self.living[process].items()}
            self.ledger.observe(process, counted, OWNERS)

    @rule(process=processes, prefix=st.sampled_from(sorted(OWNERS)))
    def drop_prefix(self, process: str, prefix: str) -> None:
        """A prefix vanishes from a process, after a look and before one."""
        self.look(process)
        if self.living.get(process, {}).pop(prefix, None) is not None:
            self.look(process)

    @rule(process=processes)
    def die(self, process: str) -> None:
        """A process dies after a look."""
        if process in self.living:
            self.look(process)
            del self.living[process]
            self.ledger.retire(process)

    @rule()
    def new_controller(self) -> None:
        """The controller starts again with what it saved."""
        state = msgspec.json.decode(msgspec.json.encode(self.ledger.to_state()), type=LedgerState)
        self.ledger = TrafficLedger(state)

    @invariant()
    def totals_never_decrease(self) -> None:
        """No total is lower than it was shown before."""
        for traffic in self.ledger.traffic(OWNERS.values()):
            key = Series(listener=traffic.listener, route=traffic.route)
            before = self.shown.get(key, traffic)
            assert all(getattr(traffic, field) >= getattr(before, field) for field in self.fields)
            self.shown[key] = traffic

    @rule()
    def totals_equal_the_truth(self) -> None:
        """After a look at every living process all totals and active connections are exact."""
        for process in self.living:
            self.look(process)
        for prefix, owner in OWNERS.items():
            traffic = only(self.ledger, owner)
            assert {field: getattr(traffic, field) for field in self.fields} == self.truth[prefix]
            open_now = [found for process in self.living.values() if (found := process.get(prefix)) is not None]
            assert traffic.active == sum(max(0, one["opened"] - one["ended"]) for one in open_now)


TestReality = Reality.TestCase
TestReality.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_never_decreases_even_when_looks_were_missed(looks: list[tuple[int, int]]) -> None:
    """Whatever numbers Envoy answers with, the totals never shrink and nothing is negative."""
    ledger, before = TrafficLedger(), 0
    for opened, ended in looks:
        ledger.observe("1", {"foo": raw(opened, ended)}, OWNERS)
        traffic = only(ledger)
        assert traffic.opened >= before
        assert traffic.active >= 0
        before = traffic.opened


def test_expected_prefix_counts_for_who_had_it() -> None:
    """What is counted only after its owner left the plan counts for that one all the same, also in a later ledger."""
    ledger = TrafficLedger()
    ledger.expect("1", OWNERS)
    later = TrafficLedger(ledger.to_state())
    assert later.owners("1") == OWNERS
    later.observe("1", {"foo": raw(3)}, {})
    later.expect("1", OWNERS)
    later.observe("1", {"foo": raw(4)}, {})
    assert only(later).opened == 4
