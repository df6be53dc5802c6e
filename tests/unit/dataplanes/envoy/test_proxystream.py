"""One stream of a proxy: it settles when everything has an outcome, and then tells what changes."""

from __future__ import annotations

from envoy.service.discovery.v3 import discovery_pb2

from support.discovery import catalog_of, request
from support.plans import Change, forward, pool, remove, socket_key
from tidegate.dataplanes.envoy.catalog import Catalog
from tidegate.dataplanes.envoy.naming import socket_name
from tidegate.dataplanes.envoy.proxyevents import Changed, Connecting, Lost, ProxyEvent, Settled
from tidegate.dataplanes.envoy.proxynode import ProxyNode
from tidegate.dataplanes.envoy.proxystream import PATIENCE_SECONDS, ProxyStream
from tidegate.dataplanes.envoy.resources import WILDCARD_KINDS, Kind
from tidegate.dataplanes.envoy.translate import TranslateOptions
from tidegate.dataplanes.retries import FIRST_SECONDS
from tidegate.names import SocketKey
from tidegate.plan.outcome import Failed, FailureReason, Live, Outcome, Pending
from tidegate.plan.types import Socket

KEY, OTHER = socket_key(80), socket_key(81)
NODE = ProxyNode(name="one", instance="1", addresses=("10.0.0.1",), surroundings=TranslateOptions())
NAMED = {Kind.ASSIGNMENT: Kind.CLUSTER, Kind.FILTER: Kind.LISTENER}


class Proxy:
    """An Envoy that takes everything, unless told otherwise, and what its stream says of it."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.events: list[ProxyEvent] = []
        self.ended: list[ProxyStream] = []
        self.refuses: dict[Kind, str] = {}
        self.responses: list[discovery_pb2.DeltaDiscoveryResponse] = []
        self.stream = ProxyStream("a/gw", NODE, catalog, happened=self.events.append, ended=self.ended.append)

    def connect(self, *, has: Catalog | None = None) -> None:
        """The first request of each kind; ``has`` is what it has from before, in the order in which Envoy tells it."""
        for kind in (Kind.CLUSTER, Kind.ASSIGNMENT, Kind.LISTENER, Kind.FILTER):
            versions = {
                name: resource.version
                for name in (has.names(kind) if has is not None else ())
                if has is not None and (resource := has.get(kind, name)) is not None
            }
            if kind in WILDCARD_KINDS or versions:
                names = () if kind in WILDCARD_KINDS else tuple(versions)
                self.stream.receive(request(kind, subscribe=names, has=versions))
                self.take()

    def take(self) -> None:
        """Let the stream say what it has to say."""
        self.responses += self.stream.take()

    def answer(self, *kinds: Kind) -> None:
        """Answer all that was said of these kinds, by default of all, and what follows from it."""
        while found := [one for one in self.responses if not kinds or Kind(one.type_url) in kinds]:
            response = found[0]
            self.responses.remove(response)
            kind = Kind(response.type_url)
            self.stream.receive(request(kind, nonce=response.nonce, error=self.refuses.get(kind)))
            for needed, by in NAMED.items():
                names = [one.name for one in response.resources] if by is kind else []
                if needed is Kind.FILTER:
                    names = [f"{name}/tcp" for name in names]
                if names:
                    self.stream.receive(request(needed, subscribe=names))
            self.take()

    def apply(self, change: Change) -> None:
        """Change the plan."""
        sockets = [key for key in change if isinstance(key, SocketKey)]
        self.stream.changed(self.catalog.apply(change), sockets)
        self.take()

    def outcome(self, key: SocketKey = KEY) -> Outcome | None:
        """The newest that it told of a socket."""
        told: dict[SocketKey, Outcome | None] = {}
        for event in self.events:
            if isinstance(event, Settled | Changed):
                told |= {report.socket: report.outcome for report in event.reports}
        return told.get(key)


def revision(change: Change, key: SocketKey = KEY) -> str:
    """The revision of a socket in a plan."""
    value = change[key]
    assert isinstance(value, Socket)
    return value.revision


def settled_proxy(plan: Change) -> Proxy:
    """A proxy that has all of a plan."""
    proxy = Proxy(catalog_of(plan))
    proxy.connect()
    proxy.answer()
    assert proxy.stream.has_settled
    return proxy


def test_a_new_proxy_settles_when_everything_is_confirmed() -> None:
    """Nothing is told of a socket before; then all at once."""
    plan = forward(80, "a")
    proxy = Proxy(catalog_of(plan))
    assert proxy.stream.introduction() == Connecting(scope="a/gw", node="one", instance="1")
    proxy.connect()
    proxy.answer(Kind.CLUSTER, Kind.ASSIGNMENT, Kind.LISTENER)
    assert proxy.events == []
    proxy.answer()
    (event,) = proxy.events
    assert event == proxy.stream.introduction()
    assert isinstance(event, Settled)
    assert event.addresses == ("10.0.0.1",)
    assert proxy.outcome() == Live(revision=revision(plan))


def test_nothing_planned_is_settled_soon() -> None:
    """A Gateway without listeners has proxies that are done when they were told so."""
    proxy = settled_proxy({})
    assert proxy.events == [proxy.stream.introduction()]


def test_a_proxy_waits_for_its_gateway() -> None:
    """It is told nothing, and has not settled, while its scope is not known."""
    proxy = Proxy(catalog_of(forward(80, "a"), ready=False))
    proxy.connect()
    assert proxy.responses == []
    assert proxy.events == []
    proxy.catalog.ready = True
    proxy.stream.changed({}, ())
    assert proxy.stream.wake.is_set()
    proxy.take()
    proxy.answer()
    assert proxy.stream.has_settled


def test_a_proxy_that_has_everything_settles_without_a_word() -> None:
    """One that comes back unchanged is sent nothing, and its first report says Live."""
    plan = forward(80, "a")
    proxy = Proxy(catalog_of(plan))
    proxy.connect(has=catalog_of(plan))
    assert proxy.responses == []
    (event,) = proxy.events
    assert isinstance(event, Settled)
    assert proxy.outcome() == Live(revision=revision(plan))


def test_a_rejected_listener_settles_as_well() -> None:
    """What Envoy cannot do is an outcome like another."""
    proxy = Proxy(catalog_of(forward(80, "a")))
    proxy.refuses[Kind.LISTENER] = f"Error adding/updating listener(s) {socket_name(KEY)}: Address already in use"
    proxy.connect()
    proxy.answer()
    assert proxy.stream.has_settled
    failed = proxy.outcome()
    assert isinstance(failed, Failed)
    assert failed.reason is FailureReason.PORT_UNAVAILABLE


def test_what_comes_later_does_not_delay_settling() -> None:
    """Only what there was when a proxy was first done is waited for."""
    proxy = Proxy(catalog_of(forward(80, "a")))
    proxy.connect()
    proxy.answer(Kind.CLUSTER, Kind.ASSIGNMENT, Kind.LISTENER)
    proxy.apply(forward(81, "a"))
    proxy.answer()
    assert proxy.stream.has_settled


def test_one_socket_without_an_answer_does_not_hold_up_the_others() -> None:
    """A proxy that owes an outcome although it has nothing left to answer counts without it after a while."""
    plan = forward(80, "a") | forward(81, "a")
    proxy = Proxy(catalog_of(plan))
    proxy.connect()
    # The filter of one listener is never asked for.
    while proxy.responses:
        response = proxy.responses.pop(0)
        kind = Kind(response.type_url)
        proxy.stream.receive(request(kind, nonce=response.nonce))
        if kind is Kind.CLUSTER:
            names = [one.name for one in response.resources]
            proxy.stream.receive(request(Kind.ASSIGNMENT, subscribe=names))
        if kind is Kind.LISTENER:
            proxy.stream.receive(request(Kind.FILTER, subscribe=[f"{socket_name(KEY)}/tcp"]))
        proxy.take()
    proxy.stream.tick(10.0)
    proxy.stream.tick(10.0 + PATIENCE_SECONDS - 0.1)
    assert not proxy.stream.has_settled
    proxy.stream.tick(10.0 + PATIENCE_SECONDS)
    assert proxy.stream.has_settled
    assert proxy.outcome() == Live(revision=revision(plan))
    assert proxy.outcome(OTHER) == Pending(revision=revision(plan, OTHER))


def test_a_change_is_pending_until_confirmed() -> None:
    """A new revision is told as on its way, then as Live; endpoints alone change no outcome."""
    proxy = settled_proxy(forward(80, "a"))
    newer = forward(80, "a", route="newer")
    proxy.apply(newer)
    assert proxy.outcome() == Pending(revision=revision(newer))
    proxy.answer()
    assert proxy.outcome() == Live(revision=revision(newer))
    count = len(proxy.events)
    proxy.apply(pool("a", 1))
    proxy.answer()
    assert len(proxy.events) == count


def test_a_removed_socket_has_no_outcome() -> None:
    """What is gone from the plan is gone from what is told."""
    proxy = settled_proxy(forward(80, "a"))
    proxy.apply(remove(80))
    assert proxy.outcome() is None
    introduction = proxy.stream.introduction()
    assert isinstance(introduction, Settled)
    assert introduction.reports == ()


def test_a_failed_bind_is_tried_again() -> None:
    """Envoy tries once; the listener is offered again after a while, and served as soon as that works."""
    plan = forward(80, "a")
    proxy = Proxy(catalog_of(plan))
    proxy.refuses[Kind.LISTENER] = f"Error adding/updating listener(s) {socket_name(KEY)}: Address already in use"
    proxy.connect()
    proxy.answer()
    proxy.refuses.clear()
    proxy.stream.tick(0.0)
    proxy.take()
    assert proxy.responses == []
    proxy.stream.tick(FIRST_SECONDS)
    proxy.take()
    proxy.answer()
    assert proxy.outcome() == Live(revision=revision(plan))


def test_the_end_is_told() -> None:
    """When the stream is over, the proxy is lost, and whoever keeps streams can forget it."""
    proxy = settled_proxy({})
    proxy.stream.end()
    assert proxy.events[-1] == Lost(scope="a/gw", node="one")
    assert proxy.ended == [proxy.stream]


def test_a_superseded_stream_says_nothing_more() -> None:
    """When its proxy has opened another one, a stream is ended, and neither its outcomes nor its end count."""
    proxy = settled_proxy(forward(80, "a"))
    proxy.events.clear()
    proxy.stream.supersede()
    assert proxy.stream.over
    assert proxy.stream.wake.is_set()
    proxy.apply(forward(80, "b"))
    proxy.answer()
    proxy.stream.end()
    assert proxy.events == []
    assert proxy.ended == []
