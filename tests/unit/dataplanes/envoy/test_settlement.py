"""A socket is Live at exactly the revision that Envoy has confirmed, and stays so while endpoints churn."""

from __future__ import annotations

import pytest

from support.discovery import catalog_of
from support.plans import forward, pool, remove, socket_key
from tidegate.dataplanes.envoy.ads import Confirmation
from tidegate.dataplanes.envoy.catalog import Catalog
from tidegate.dataplanes.envoy.naming import socket_name
from tidegate.dataplanes.envoy.resources import Kind, Resource
from tidegate.dataplanes.envoy.settlement import Settlement
from tidegate.names import SocketKey
from tidegate.plan.outcome import Failed, FailureReason, Live, Outcome, Pending

KEY, OTHER = socket_key(80), socket_key(81)
NAME, OTHER_NAME = socket_name(KEY), socket_name(OTHER)
IN_USE = "cannot bind '127.0.0.1:80': Address already in use"


def started(*, confirmed: bool = True) -> tuple[Catalog, Settlement]:
    """Ports 80 and 81 with an Envoy that is up, and that has confirmed all or nothing."""
    catalog = catalog_of(forward(80, "a"), forward(81, "b"), pool("a", 1), pool("b", 2))
    settlement = Settlement(catalog)
    settlement.up()
    if confirmed:
        accept(settlement, *catalog.resources_of(KEY), *catalog.resources_of(OTHER))
    return catalog, settlement


def accept(settlement: Settlement, *resources: Resource) -> None:
    """Envoy takes these resources."""
    for one in resources:
        settlement.confirm(Confirmation(kind=one.kind, versions={one.name: one.version}))


def one_of(catalog: Catalog, kind: Kind, key: SocketKey = KEY) -> Resource:
    """The current resource of a kind."""
    return next(one for one in catalog.resources_of(key) if one.kind is kind)


def reject(settlement: Settlement, *resources: Resource, text: str) -> set[SocketKey]:
    """Envoy answers one response that held these resources, all of one kind, with an error."""
    versions: dict[str, str | None] = {one.name: one.version for one in resources}
    return settlement.confirm(Confirmation(kind=resources[0].kind, versions=versions, error=text))


def revision(catalog: Catalog, key: SocketKey = KEY) -> str:
    """The planned revision."""
    return catalog.sockets()[key].revision


def reason(outcome: Outcome | None) -> FailureReason:
    """Why a socket failed."""
    assert isinstance(outcome, Failed)
    return outcome.reason


def test_an_unknown_socket_has_no_outcome() -> None:
    """A socket outside the plan has none, whatever Envoy says."""
    _, settlement = started()
    assert settlement.outcome(socket_key(9999)) is None


def test_everything_is_pending_before_envoy_is_there() -> None:
    """At first the message says that Envoy is starting; then nothing more needs saying."""
    catalog = catalog_of(forward(80, "a"))
    settlement = Settlement(catalog)
    assert settlement.outcome(KEY) == Pending(revision=revision(catalog), message="Envoy is starting")
    settlement.up()
    assert settlement.outcome(KEY) == Pending(revision=revision(catalog))


@pytest.mark.parametrize("missing", Kind)
def test_every_resource_must_be_confirmed(missing: Kind) -> None:
    """A socket is not Live before its listener, filter, cluster and endpoints all are."""
    catalog, settlement = started(confirmed=False)
    accept(settlement, *(one for one in catalog.resources_of(KEY) if one.kind is not missing))
    assert settlement.outcome(KEY) == Pending(revision=revision(catalog))
    accept(settlement, one_of(catalog, missing))
    assert settlement.outcome(KEY) == Live(revision=revision(catalog))


def test_a_confirmation_tells_whom_it_concerns() -> None:
    """Only the sockets of the confirmed resources may have another outcome; unknown names concern nobody."""
    catalog, settlement = started(confirmed=False)
    versions: dict[str, str | None] = {NAME: one_of(catalog, Kind.CLUSTER).version, "unknown": "1"}
    assert settlement.confirm(Confirmation(kind=Kind.CLUSTER, versions=versions)) == {KEY}


@pytest.mark.parametrize(
    ("shares", "route", "kind"),
    [((("a", 3), ("b", 1)), "route", Kind.ASSIGNMENT), (("a",), "another", Kind.FILTER)],
    ids=["weights", "route"],
)
def test_a_new_revision_is_pending_until_confirmed(
    shares: tuple[str | tuple[str, int], ...], route: str, kind: Kind
) -> None:
    """Live is said only of the revision whose resources Envoy has, never of the one before."""
    catalog, settlement = started()
    before = settlement.outcome(KEY)
    catalog.apply(forward(80, *shares, route=route))
    after = revision(catalog)
    assert settlement.outcome(KEY) == Pending(revision=after)
    assert before != Live(revision=after)
    accept(settlement, one_of(catalog, kind))
    assert settlement.outcome(KEY) == Live(revision=after)


def test_an_older_version_confirms_nothing() -> None:
    """The answer to a version that is outdated by now does not make the newer revision Live."""
    catalog, settlement = started()
    catalog.apply(forward(80, ("a", 2), ("b", 1)))
    outdated = one_of(catalog, Kind.ASSIGNMENT)
    catalog.apply(forward(80, ("a", 3), ("b", 1)))
    accept(settlement, outdated)
    assert settlement.outcome(KEY) == Pending(revision=revision(catalog))


def test_endpoint_churn_keeps_a_socket_live() -> None:
    """While newer endpoints of the same revision are on their way, the socket stays Live, confirmed or not."""
    catalog, settlement = started()
    live = Live(revision=revision(catalog))
    assert settlement.outcome(KEY) == live
    for port in (3, 4, 5):
        catalog.apply(pool("a", port))
        assert settlement.outcome(KEY) == live
    accept(settlement, one_of(catalog, Kind.ASSIGNMENT))
    assert settlement.outcome(KEY) == live


def test_endpoint_churn_does_not_hide_a_new_revision() -> None:
    """A revision that was never Live needs the confirmation of the newest endpoints."""
    catalog, settlement = started()
    catalog.apply(forward(80, "a", route="another"))
    catalog.apply(pool("a", 3))
    accept(settlement, one_of(catalog, Kind.FILTER))
    assert settlement.outcome(KEY) == Pending(revision=revision(catalog))
    accept(settlement, one_of(catalog, Kind.ASSIGNMENT))
    assert settlement.outcome(KEY) == Live(revision=revision(catalog))


def test_a_dead_envoy_serves_nothing() -> None:
    """When Envoy is down every socket is Pending with the reason, and a new Envoy has confirmed nothing."""
    catalog, settlement = started()
    assert isinstance(settlement.outcome(KEY), Live)
    settlement.down("Envoy ended; it is started again")
    assert settlement.outcome(KEY) == Pending(revision=revision(catalog), message="Envoy ended; it is started again")
    settlement.up()
    assert settlement.outcome(KEY) == Pending(revision=revision(catalog))
    accept(settlement, *catalog.resources_of(KEY))
    assert settlement.outcome(KEY) == Live(revision=revision(catalog))
    assert settlement.outcome(OTHER) == Pending(revision=revision(catalog, OTHER))


def test_a_new_stream_keeps_what_is_known() -> None:
    """The same Envoy on a new stream still has what it confirmed."""
    catalog, settlement = started()
    settlement.up()
    assert settlement.outcome(KEY) == Live(revision=revision(catalog))


def test_a_rejected_listener_fails_alone() -> None:
    """Of two listeners in one response the one in the error text fails, with its reason; the other is Live."""
    catalog, settlement = started(confirmed=False)
    for key in (KEY, OTHER):
        accept(settlement, *(one for one in catalog.resources_of(key) if one.kind is not Kind.LISTENER))
    listeners = [one_of(catalog, Kind.LISTENER, key) for key in (KEY, OTHER)]
    text = f"Error adding/updating listener(s) {NAME}: {IN_USE}\n"
    assert reject(settlement, *listeners, text=text) == {KEY, OTHER}
    assert reason(settlement.outcome(KEY)) is FailureReason.PORT_UNAVAILABLE
    assert settlement.outcome(OTHER) == Live(revision=revision(catalog, OTHER))


def test_a_rejection_ends_with_an_acceptance() -> None:
    """The same listener may be accepted when it is tried again."""
    catalog, settlement = started()
    listener = one_of(catalog, Kind.LISTENER)
    reject(settlement, listener, text=f"{NAME}: {IN_USE}")
    assert isinstance(settlement.outcome(KEY), Failed)
    accept(settlement, listener)
    assert settlement.outcome(KEY) == Live(revision=revision(catalog))


@pytest.mark.parametrize("kind", [Kind.CLUSTER, Kind.ASSIGNMENT, Kind.FILTER])
def test_other_rejections_are_invalid(kind: Kind) -> None:
    """A rejected filter, cluster or assignment is our mistake, and is shown in Envoy's words."""
    catalog, settlement = started()
    reject(settlement, one_of(catalog, kind), text="Address already in use is not the matter here")
    outcome = settlement.outcome(KEY)
    assert reason(outcome) is FailureReason.INVALID
    assert isinstance(outcome, Failed)
    assert outcome.revision == revision(catalog)
    assert "is not the matter here" in outcome.message


def test_a_rejection_of_an_older_version_is_over() -> None:
    """Once the plan has another content, the rejection of the former one says nothing any more."""
    catalog, settlement = started()
    catalog.apply(forward(80, "a", route="bad"))
    reject(settlement, one_of(catalog, Kind.FILTER), text="bad")
    assert isinstance(settlement.outcome(KEY), Failed)
    catalog.apply(forward(80, "a", route="good"))
    assert settlement.outcome(KEY) == Pending(revision=revision(catalog))


def test_a_held_port_fails() -> None:
    """A port that another process holds fails in the words of who looked, even if Envoy could open it too."""
    catalog, settlement = started()
    assert settlement.hold([KEY, OTHER], {KEY: "port 80 is held by nginx"}) == {KEY}
    assert settlement.outcome(KEY) == Failed(
        revision=revision(catalog), reason=FailureReason.PORT_UNAVAILABLE, message="port 80 is held by nginx"
    )
    assert isinstance(settlement.outcome(OTHER), Live)


def test_only_news_about_ports_counts() -> None:
    """Looking again and finding the same concerns nobody; another holder, or none, does."""
    catalog, settlement = started()
    settlement.hold([KEY, OTHER], {KEY: "one"})
    assert settlement.hold([KEY, OTHER], {KEY: "one"}) == set()
    assert settlement.hold([KEY], {KEY: "two"}) == {KEY}
    assert settlement.hold([OTHER], {}) == set()
    assert settlement.hold([KEY], {}) == {KEY}
    assert settlement.outcome(KEY) == Live(revision=revision(catalog))


def test_a_withheld_socket_is_pending() -> None:
    """A listener that Envoy does not get yet cannot be Live."""
    catalog, settlement = started(confirmed=False)
    catalog.withhold([KEY])
    accept(settlement, *(one for one in catalog.resources_of(KEY) if one.kind is not Kind.LISTENER))
    assert settlement.outcome(KEY) == Pending(revision=revision(catalog))


def test_only_what_may_pass_is_tried_again() -> None:
    """Taken ports are retried; invalid content, ports that are known to be held, and former versions are not."""
    catalog, settlement = started()
    listener, other = one_of(catalog, Kind.LISTENER), one_of(catalog, Kind.LISTENER, OTHER)
    reject(settlement, listener, text=f"{NAME}: {IN_USE}")
    reject(settlement, other, text=f"{OTHER_NAME}: has duplicate address")
    assert settlement.retriable() == [KEY]
    settlement.hold([KEY], {KEY: "held"})
    assert settlement.retriable() == []
    settlement.hold([KEY], {})
    accept(settlement, listener)
    assert settlement.retriable() == []


def test_a_socket_that_comes_back_is_confirmed_anew() -> None:
    """After Envoy confirmed a removal, the same socket is Pending until Envoy has it again."""
    catalog, settlement = started()
    names = [(one.kind, one.name) for one in catalog.resources_of(KEY)]
    catalog.apply(remove(80))
    settlement.forget(KEY)
    assert settlement.outcome(KEY) is None
    for kind, name in names:
        settlement.confirm(Confirmation(kind=kind, versions={name: None}))
    catalog.apply(forward(80, "a"))
    assert settlement.outcome(KEY) == Pending(revision=revision(catalog))
    accept(settlement, *catalog.resources_of(KEY))
    assert settlement.outcome(KEY) == Live(revision=revision(catalog))


def test_a_forgotten_socket_is_held_by_nobody() -> None:
    """A socket that comes back does not inherit the trouble of its former life."""
    catalog, settlement = started()
    settlement.hold([KEY], {KEY: "held"})
    catalog.apply(remove(80))
    settlement.forget(KEY)
    catalog.apply(forward(80, "a"))
    assert not isinstance(settlement.outcome(KEY), Failed)


def test_a_change_that_is_taken_back_is_not_live_before_its_answer() -> None:
    """What was confirmed counts no more once another version was sent, so going back waits for its own answer."""
    catalog, settlement = started()
    before = one_of(catalog, Kind.ASSIGNMENT)
    catalog.apply(forward(80, "b"))
    assert isinstance(settlement.outcome(KEY), Pending)
    other = one_of(catalog, Kind.ASSIGNMENT)
    settlement.sent(Kind.ASSIGNMENT, [other.name])
    catalog.apply(forward(80, "a"))
    assert isinstance(settlement.outcome(KEY), Pending)
    accept(settlement, other)
    assert isinstance(settlement.outcome(KEY), Pending)
    accept(settlement, before)
    assert settlement.outcome(KEY) == Live(revision=revision(catalog))


def test_a_change_that_is_taken_back_unsent_is_live_at_once() -> None:
    """Envoy never saw the other version: what it confirmed still holds."""
    catalog, settlement = started()
    catalog.apply(forward(80, "b"))
    assert isinstance(settlement.outcome(KEY), Pending)
    catalog.apply(forward(80, "a"))
    assert settlement.outcome(KEY) == Live(revision=revision(catalog))
