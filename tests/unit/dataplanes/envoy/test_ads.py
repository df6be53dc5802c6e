"""The delta-ADS stream sends what differs, in order and in batches, and Envoy ends up with what it should have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from support.discovery import catalog_of, request
from support.plans import Change, forward, pool, remove, socket_key
from tidegate.dataplanes.envoy.ads import BATCH, BULK, AdsStream, Confirmation
from tidegate.dataplanes.envoy.catalog import Catalog
from tidegate.dataplanes.envoy.naming import socket_name
from tidegate.dataplanes.envoy.resources import WILDCARD_KINDS, Kind

Response: TypeAlias = discovery_pb2.DeltaDiscoveryResponse
KIND_OF = {kind.type_url: kind for kind in Kind}
A, B = (socket_name(socket_key(port)) for port in (80, 81))
NAMED_BY = {Kind.CLUSTER: Kind.ASSIGNMENT, Kind.LISTENER: Kind.FILTER}


def told(responses: Iterable[Response]) -> list[tuple[Kind, list[str], list[str]]]:
    """Kind, sent names and removed names of each response."""
    return [
        (KIND_OF[one.type_url], [sent.name for sent in one.resources], list(one.removed_resources)) for one in responses
    ]


def dependent(kind: Kind, name: str) -> str:
    """The name of the endpoints of a cluster, or of the filter of a listener, that Envoy asks for."""
    return name if kind is Kind.CLUSTER else f"{name}/tcp"


class Peer:
    """An Envoy that takes everything: holds resources, subscribes to what they need, and confirms."""

    def __init__(self) -> None:
        self.holds: dict[Kind, dict[str, str]] = {kind: {} for kind in Kind}
        self.wants: dict[Kind, set[str]] = {kind: set() for kind in Kind}
        self.confirmations: list[Confirmation] = []
        self.received: list[Response] = []
        self._inbox: list[Response] = []

    def connect(self, catalog: Catalog) -> AdsStream:
        """Open a stream as Envoy does, with all that it has from before."""
        self.stream = AdsStream(catalog)
        self._inbox.clear()
        for kind in Kind:
            if kind in WILDCARD_KINDS or self.wants[kind]:
                first = request(kind, subscribe=sorted(self.wants[kind]), has=self.holds[kind])
                self.confirmations += self.stream.receive(first)
        return self.stream

    def collect(self) -> None:
        """Let the stream write what it has to say."""
        self._inbox += self.stream.take()

    def answer(self) -> bool:
        """Take the next response and confirm it; False when there is none."""
        if not self._inbox:
            return False
        response = self._inbox.pop(0)
        self.received.append(response)
        kind = KIND_OF[response.type_url]
        holds = self.holds[kind]
        added = [one.name for one in response.resources]
        before = set(holds)
        holds.update((one.name, one.version) for one in response.resources)
        for name in response.removed_resources:
            holds.pop(name, None)
        self.confirmations += self.stream.receive(request(kind, nonce=response.nonce))
        if kind in NAMED_BY:
            self._follow(kind, [name for name in added if name not in before], before - set(holds))
        return True

    def _follow(self, kind: Kind, new: Iterable[str], gone: Iterable[str]) -> None:
        needed = NAMED_BY[kind]
        subscribe = [dependent(kind, name) for name in new]
        unsubscribe = [dependent(kind, name) for name in gone]
        self.wants[needed] |= set(subscribe)
        self.wants[needed] -= set(unsubscribe)
        for name in unsubscribe:
            self.holds[needed].pop(name, None)
        if subscribe or unsubscribe:
            self.confirmations += self.stream.receive(request(needed, subscribe=subscribe, unsubscribe=unsubscribe))

    def settle(self) -> list[tuple[Kind, list[str], list[str]]]:
        """Exchange everything until nobody has anything to say; returns what was told since."""
        start = len(self.received)
        self.collect()
        while self.answer():
            self.collect()
        return told(self.received[start:])


def expected(catalog: Catalog) -> dict[Kind, dict[str, str]]:
    """The versions that an Envoy should have."""
    found: dict[Kind, dict[str, str]] = {kind: {} for kind in Kind}
    for kind in Kind:
        for name in catalog.names(kind):
            resource = catalog.get(kind, name)
            assert resource is not None
            found[kind][name] = resource.version
    return found


def connected(*changes: Change) -> tuple[Catalog, Peer]:
    """A peer that has everything of a catalog."""
    catalog, peer = catalog_of(*changes), Peer()
    peer.connect(catalog)
    peer.settle()
    assert peer.holds == expected(catalog)
    return catalog, peer


def apply(catalog: Catalog, peer: Peer, *changes: Change) -> None:
    """Apply changes as one, as the plane does."""
    whole: Change = {}
    for change in changes:
        whole.update(change)
    peer.stream.mark(catalog.apply(whole))


def versions(confirmations: Sequence[Confirmation]) -> list[tuple[Kind, dict[str, str | None], str]]:
    """Confirmations as plain values."""
    return [(one.kind, dict(one.versions), one.error) for one in confirmations]


def ports(first: int, count: int) -> list[Change]:
    """Many sockets."""
    return [forward(port, "a") for port in range(first, first + count)]


def test_nothing_is_answered_before_the_first_plan() -> None:
    """An empty answer would remove everything that Envoy serves, so it waits for the catalog."""
    catalog, peer = catalog_of(ready=False), Peer()
    peer.holds[Kind.LISTENER] = {A: "version"}
    stream = peer.connect(catalog)
    assert stream.take() == []
    stream.mark(catalog.apply(forward(80, "a")))
    assert stream.take() == []
    catalog.ready = True
    assert (Kind.LISTENER, [A], []) in told(stream.take())


def test_an_empty_plan_is_answered() -> None:
    """A new Envoy waits for the answer to its wildcards, even if there is nothing to serve, and gets it once."""
    peer = Peer()
    stream = peer.connect(catalog_of())
    assert peer.settle() == [(Kind.CLUSTER, [], []), (Kind.LISTENER, [], [])]
    assert stream.take() == []
    assert stream.settled


def test_a_new_envoy_gets_everything_in_order() -> None:
    """Clusters come first and listeners last; endpoints and filters when Envoy asks for them by name."""
    catalog, peer = catalog_of(forward(80, "a"), pool("a", 1)), Peer()
    stream = peer.connect(catalog)
    assert told(stream.take()) == [(Kind.CLUSTER, [A], []), (Kind.LISTENER, [A], [])]
    stream.receive(request(Kind.ASSIGNMENT, subscribe=[A]))
    stream.receive(request(Kind.FILTER, subscribe=[f"{A}/tcp"]))
    assert told(stream.take()) == [(Kind.ASSIGNMENT, [A], []), (Kind.FILTER, [f"{A}/tcp"], [])]


def test_responses_carry_name_version_and_content() -> None:
    """What Envoy gets is the catalog's resource, wrapped in its type."""
    catalog, peer = catalog_of(forward(80, "a")), Peer()
    response = peer.connect(catalog).take()[1]
    listener = catalog.get(Kind.LISTENER, A)
    assert listener is not None
    (sent,) = response.resources
    assert (sent.name, sent.version) == (A, listener.version)
    assert (sent.resource.type_url, sent.resource.value) == (Kind.LISTENER.type_url, listener.body)


def test_an_envoy_that_has_everything_is_sent_nothing() -> None:
    """After a controller's restart with the same plan nothing is sent, and what Envoy has counts as confirmed."""
    _, peer = connected(forward(80, "a"), pool("a", 1))
    again = catalog_of(forward(80, "a"), pool("a", 1))
    peer.confirmations.clear()
    stream = peer.connect(again)
    assert peer.settle() == []
    assert stream.settled
    assert versions(peer.confirmations) == [(kind, dict(expected(again)[kind]), "") for kind in Kind]


def test_an_envoy_that_comes_back_is_sent_only_differences() -> None:
    """Of what changed while the stream was down each resource is sent, unknown names are removed, the rest stays."""
    _, peer = connected(forward(80, "a"), forward(81, "b"), forward(82, "b"), pool("a", 1), pool("b", 2))
    later = catalog_of(forward(80, "a"), forward(81, "b", route="other"), pool("a", 3), pool("b", 2))
    gone = socket_name(socket_key(82))
    peer.connect(later)
    assert peer.settle() == [
        (Kind.ASSIGNMENT, [A], []),
        (Kind.FILTER, [f"{B}/tcp"], []),
        (Kind.LISTENER, [], [gone]),
        (Kind.FILTER, [], [f"{gone}/tcp"]),
        (Kind.CLUSTER, [], [gone]),
    ]
    assert peer.holds == expected(later)


def test_names_that_nobody_knows_are_removed() -> None:
    """What an Envoy has from a forgotten plan goes, when the first plan is there."""
    peer = Peer()
    peer.holds[Kind.LISTENER] = {"old": "1"}
    peer.holds[Kind.CLUSTER] = {"old": "1"}
    peer.connect(catalog_of())
    assert peer.settle() == [(Kind.LISTENER, [], ["old"]), (Kind.CLUSTER, [], ["old"])]
    assert peer.stream.settled


def test_filters_are_sent_name_by_name() -> None:
    """Only filters that Envoy asked for are sent, each when it is asked for or changes."""
    catalog = catalog_of(forward(80, "a"), forward(81, "a"))
    stream = AdsStream(catalog)
    stream.receive(request(Kind.FILTER, subscribe=[f"{A}/tcp"]))
    assert told(stream.take()) == [(Kind.FILTER, [f"{A}/tcp"], [])]
    stream.mark(catalog.apply({**forward(80, "a", route="s"), **forward(81, "a", route="s")}))
    assert told(stream.take()) == [(Kind.FILTER, [f"{A}/tcp"], [])]
    stream.receive(request(Kind.FILTER, subscribe=[f"{B}/tcp"]))
    assert told(stream.take()) == [(Kind.FILTER, [f"{B}/tcp"], [])]


def test_a_filter_asked_for_early_is_sent_when_it_exists() -> None:
    """A name that is unknown yet is answered when the plan brings it."""
    catalog = catalog_of()
    stream = AdsStream(catalog)
    stream.receive(request(Kind.FILTER, subscribe=[f"{A}/tcp"]))
    assert stream.take() == []
    stream.mark(catalog.apply(forward(80, "a")))
    assert told(stream.take()) == [(Kind.FILTER, [f"{A}/tcp"], [])]


def test_a_name_asked_for_again_is_sent_again() -> None:
    """Envoy asks again for what it lost, such as the endpoints of a cluster that it made anew."""
    _, peer = connected(forward(80, "a"))
    peer.stream.receive(request(Kind.ASSIGNMENT, subscribe=[A]))
    assert peer.settle() == [(Kind.ASSIGNMENT, [A], [])]


def test_unsubscribed_names_are_not_sent() -> None:
    """What Envoy does not want any more is not sent when it changes, and is sent in full when wanted again."""
    catalog, peer = connected(forward(80, "a"), pool("a", 1))
    peer.stream.receive(request(Kind.ASSIGNMENT, unsubscribe=[A]))
    apply(catalog, peer, pool("a", 2))
    assert peer.settle() == []
    peer.stream.receive(request(Kind.ASSIGNMENT, subscribe=[A]))
    assert peer.settle() == [(Kind.ASSIGNMENT, [A], [])]


def test_unknown_kinds_are_ignored() -> None:
    """A request for a type that we do not serve gets no answer."""
    stream = AdsStream(catalog_of(forward(80, "a")))
    assert stream.receive(discovery_pb2.DeltaDiscoveryRequest(type_url="type.googleapis.com/other")) == []
    assert stream.take() == []


def test_additions_and_removals_have_an_order() -> None:
    """In one turn: clusters, endpoints, filters, listeners with their removals, then filters and clusters go."""
    catalog, peer = connected(forward(80, "a"), forward(81, "a"), pool("a", 1))
    new = socket_name(socket_key(82))
    apply(catalog, peer, remove(80), forward(82, "a"), forward(81, "a", route="s"), pool("a", 2))
    assert told(peer.stream.take()) == [
        (Kind.CLUSTER, [new], []),
        (Kind.ASSIGNMENT, [B], []),
        (Kind.FILTER, [f"{B}/tcp"], []),
        (Kind.LISTENER, [new], [A]),
        (Kind.FILTER, [], [f"{A}/tcp"]),
        (Kind.CLUSTER, [], [A]),
    ]


def test_endpoints_are_never_removed() -> None:
    """Envoy would keep removed endpoints; they go with their cluster."""
    catalog, peer = connected(forward(80, "a"))
    apply(catalog, peer, remove(80))
    assert Kind.ASSIGNMENT not in [kind for kind, _, _ in peer.settle()]
    assert peer.holds == expected(catalog)


def test_endpoints_follow_a_cluster_that_is_sent_again() -> None:
    """A cluster that is sent waits for its endpoints, so they come along in the same turn."""
    _, peer = connected(forward(80, "a"))
    peer.stream.mark({Kind.CLUSTER: [A]}, force=True)
    assert told(peer.stream.take()) == [(Kind.CLUSTER, [A], []), (Kind.ASSIGNMENT, [A], [])]


def test_unchanged_resources_are_sent_only_by_force() -> None:
    """A mark without a difference sends nothing; a retry sends the same bytes again."""
    _, peer = connected(forward(80, "a"))
    peer.stream.mark({Kind.LISTENER: [A]})
    assert peer.settle() == []
    peer.stream.mark({Kind.LISTENER: [A]}, force=True)
    assert peer.settle() == [(Kind.LISTENER, [A], [])]


def test_only_the_newest_change_is_sent() -> None:
    """Changes that come before the next turn are sent as one, and one that was undone is not sent."""
    catalog, peer = connected(forward(80, "a"), pool("a", 1))
    apply(catalog, peer, pool("a", 2))
    apply(catalog, peer, pool("a", 3))
    assert peer.settle() == [(Kind.ASSIGNMENT, [A], [])]
    apply(catalog, peer, pool("a", 4))
    apply(catalog, peer, pool("a", 3))
    assert peer.settle() == []
    assert peer.stream.settled


def test_a_confirmation_names_the_versions_of_its_nonce() -> None:
    """An answer confirms the response of its nonce alone, removals as None, and only once."""
    catalog, peer = connected(forward(80, "a"))
    apply(catalog, peer, remove(80), forward(81, "a"))
    cluster, listener = peer.stream.take()[:2]
    expected_version = expected(catalog)[Kind.LISTENER][B]
    answer = request(Kind.LISTENER, nonce=listener.nonce)
    assert versions(peer.stream.receive(answer)) == [(Kind.LISTENER, {B: expected_version, A: None}, "")]
    assert peer.stream.receive(answer) == []
    assert cluster.nonce != listener.nonce
    assert not peer.stream.settled


def test_settled_when_everything_was_asked_told_and_answered() -> None:
    """A stream is settled only after both kinds of which Envoy takes all were told and confirmed, even if empty."""
    catalog = catalog_of(ready=False)
    stream = AdsStream(catalog)
    assert not stream.settled
    stream.receive(request(Kind.CLUSTER))
    assert stream.take() == []
    assert not stream.settled
    catalog.ready = True
    (clusters,) = stream.take()
    stream.receive(request(Kind.CLUSTER, nonce=clusters.nonce))
    assert not stream.settled
    stream.receive(request(Kind.LISTENER))
    (listeners,) = stream.take()
    assert not stream.settled
    stream.receive(request(Kind.LISTENER, nonce=listeners.nonce))
    assert stream.settled


def test_a_whole_start_is_one_response_per_kind() -> None:
    """An Envoy whose readiness others rely on gets all there is at once if it has nothing; later batches as ever."""
    ports = range(10_000, 10_000 + 2 * BULK)
    catalog = catalog_of(*(forward(port, "a") for port in ports))
    starting = AdsStream(catalog, whole_start=True)
    starting.receive(request(Kind.CLUSTER))
    (clusters,) = starting.take()
    assert len(clusters.resources) == len(ports)
    starting.receive(request(Kind.LISTENER))
    (listeners,) = starting.take()
    assert len(listeners.resources) == len(ports)
    returning = AdsStream(catalog, whole_start=True)
    returning.receive(request(Kind.CLUSTER, has={"another": "1"}))
    assert len(returning.take()[0].resources) == BATCH[Kind.CLUSTER]


def test_an_unknown_nonce_confirms_nothing() -> None:
    """An answer to another stream's response says nothing about this one's."""
    _, peer = connected(forward(80, "a"))
    assert peer.stream.receive(request(Kind.LISTENER, nonce="of another stream")) == []


def test_a_rejection_carries_its_text() -> None:
    """A NACK is passed on with Envoy's words and is answered: nothing is sent again by itself."""
    catalog, peer = connected(forward(80, "a"))
    apply(catalog, peer, forward(80, "a", route="s"))
    (response,) = peer.stream.take()
    version = expected(catalog)[Kind.FILTER][f"{A}/tcp"]
    nack = request(Kind.FILTER, nonce=response.nonce, error="no such thing")
    assert versions(peer.stream.receive(nack)) == [(Kind.FILTER, {f"{A}/tcp": version}, "no such thing")]
    assert peer.stream.take() == []
    assert peer.stream.settled


def test_a_rejection_without_words_is_still_one() -> None:
    """A NACK whose text is empty does not look like an ACK."""
    catalog, peer = connected(forward(80, "a"))
    apply(catalog, peer, forward(80, "a", route="s"))
    (response,) = peer.stream.take()
    (confirmation,) = peer.stream.receive(request(Kind.FILTER, nonce=response.nonce, error=""))
    assert confirmation.error == "rejected with code 13"


def test_after_a_rejection_the_former_version_is_sent() -> None:
    """Undoing a rejected change sends the former content, since nobody knows what Envoy made of the other."""
    catalog, peer = connected(forward(80, "a"))
    apply(catalog, peer, forward(80, "a", route="bad"))
    (response,) = peer.stream.take()
    peer.stream.receive(request(Kind.FILTER, nonce=response.nonce, error="bad"))
    apply(catalog, peer, forward(80, "a"))
    assert told(peer.stream.take()) == [(Kind.FILTER, [f"{A}/tcp"], [])]


def test_a_large_change_waits_for_each_confirmation() -> None:
    """Many new sockets go in batches, the next one only when Envoy has answered all of the one before."""
    catalog, peer = connected(pool("a", 1))
    apply(catalog, peer, *ports(1000, 120))
    first = peer.stream.take()
    assert [(kind, len(names)) for kind, names, _ in told(first)] == [
        (Kind.CLUSTER, BATCH[Kind.CLUSTER]),
        (Kind.LISTENER, BATCH[Kind.LISTENER]),
    ]
    assert peer.stream.take() == []
    peer.stream.receive(request(Kind.CLUSTER, nonce=first[0].nonce))
    assert peer.stream.take() == []
    peer.stream.receive(request(Kind.LISTENER, nonce=first[1].nonce))
    assert [(kind, len(names)) for kind, names, _ in told(peer.stream.take())] == [
        (Kind.CLUSTER, 50),
        (Kind.LISTENER, 50),
    ]


def test_a_rejected_batch_does_not_stop_the_next() -> None:
    """A NACK is an answer too."""
    catalog, peer = connected(pool("a", 1))
    apply(catalog, peer, *ports(1000, 60))
    for response in peer.stream.take():
        peer.stream.receive(request(KIND_OF[response.type_url], nonce=response.nonce, error="bad"))
    assert [(kind, len(names)) for kind, names, _ in told(peer.stream.take())] == [
        (Kind.CLUSTER, 10),
        (Kind.LISTENER, 10),
    ]


def test_an_urgent_change_passes_the_batches() -> None:
    """While a batch is on its way, a small change is sent at once."""
    catalog, peer = connected(forward(80, "a"), pool("a", 1), pool("b", 2))
    apply(catalog, peer, *ports(1000, 120))
    peer.collect()
    apply(catalog, peer, forward(80, "b"))
    assert told(peer.stream.take()) == [(Kind.ASSIGNMENT, [A], [])]


def test_an_urgent_change_takes_its_resource_out_of_the_batches() -> None:
    """A resource that waits in the bulk and changes again is sent at once, and only once."""
    catalog, peer = connected(*ports(1000, 100), pool("a", 1))
    apply(catalog, peer, *(forward(port, "a", route="s") for port in range(1000, 1100)))
    (first,) = peer.stream.take()
    begun = {one.name for one in first.resources}
    waiting = next(port for port in range(1000, 1100) if f"{socket_name(socket_key(port))}/tcp" not in begun)
    apply(catalog, peer, forward(waiting, "a", route="t"))
    name = f"{socket_name(socket_key(waiting))}/tcp"
    assert told(peer.stream.take()) == [(Kind.FILTER, [name], [])]
    peer.stream.receive(request(Kind.FILTER, nonce=first.nonce))
    ((_, names, _),) = told(peer.stream.take())
    assert len(names) == 100 - BATCH[Kind.FILTER] - 1
    assert name not in names


def test_an_urgent_resource_stays_urgent() -> None:
    """A resource that is to be sent at once is sent once, also when a large change comes on top."""
    catalog, peer = connected(*ports(1000, 100), pool("a", 1))
    name = socket_name(socket_key(1099))
    peer.stream.mark({Kind.LISTENER: [name]}, force=True)
    peer.stream.mark({Kind.LISTENER: catalog.names(Kind.LISTENER)})
    assert peer.settle() == [(Kind.LISTENER, [name], [])]


def test_a_change_of_few_resources_is_not_batched() -> None:
    """Up to the limit a change goes in one turn."""
    catalog, peer = connected(pool("a", 1))
    count = BULK // len(Kind)
    apply(catalog, peer, *ports(1000, count))
    assert [len(names) for _, names, _ in told(peer.stream.take())] == [count, count]


def test_batches_arrive_completely() -> None:
    """After all batches Envoy has everything, each listener sent once, and removals came too."""
    catalog, peer = connected(*ports(1000, 100), pool("a", 1))
    apply(catalog, peer, *(remove(port) for port in range(1000, 1100)), *ports(2000, 130))
    responses = peer.settle()
    assert peer.holds == expected(catalog)
    sent = [name for kind, names, _ in responses if kind is Kind.LISTENER for name in names]
    assert len(sent) == len(set(sent)) == 130
    assert max(len(names) for kind, names, _ in responses if kind is Kind.LISTENER) <= BATCH[Kind.LISTENER]
    assert peer.stream.settled


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("serve"), st.integers(min_value=0, max_value=3)),
        st.tuples(st.just("remove"), st.integers(min_value=0, max_value=3)),
        st.tuples(st.just("endpoints"), st.integers(min_value=1, max_value=3)),
        st.tuples(st.just("many"), st.integers(min_value=0, max_value=2)),
        st.tuples(st.just("answer"), st.integers(min_value=1, max_value=4)),
        st.tuples(st.just("reconnect"), st.just(0)),
    ),
    max_size=15,
)


def step_change(step: str, number: int) -> Change:
    """The change of the plan that a step stands for; a ``many`` of 0 removes."""
    match step:
        case "serve":
            return forward(80 + number, "a", route=f"r{number}")
        case "remove":
            return remove(80 + number)
        case "endpoints":
            return pool("a", number)
        case _:
            whole: Change = {}
            for port in range(1000, 1070):
                whole.update(forward(port, "a", route=f"r{number}") if number else remove(port))
            return whole


@settings(max_examples=80, deadline=None, derandomize=True)
@given(STEPS)
def test_whatever_happens_envoy_ends_up_with_the_plan(steps: list[tuple[str, int]]) -> None:
    """Changes, answers at any time and lost streams: in the end Envoy holds and has confirmed exactly the catalog."""
    catalog, peer = connected(forward(80, "a"), pool("a", 1))
    for step, number in steps:
        if step == "answer":
            peer.collect()
            for _ in range(number):
                peer.answer()
        elif step == "reconnect":
            peer.connect(catalog)
        else:
            apply(catalog, peer, step_change(step, number))
    peer.settle()
    assert peer.stream.settled
    assert peer.holds == expected(catalog)
    confirmed: dict[tuple[Kind, str], str | None] = {}
    for one in peer.confirmations:
        confirmed.update(((one.kind, name), version) for name, version in one.versions.items())
    for kind, resources in expected(catalog).items():
        for name, version in resources.items():
            assert confirmed[kind, name] == version
