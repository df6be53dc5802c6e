"""What to write where, and when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from support.resources import class_key, gateway_key, route_key
from support.statuses import (
    FOREIGN,
    NOW,
    Raw,
    class_status,
    condition,
    crd_default,
    gateway_status,
    listener_status,
    raw_condition,
    raw_parent,
    route_status,
)
from tidegate.model.observed import Observed
from tidegate.model.status import Status
from tidegate.names import CONTROLLER_NAME, ObjectKey
from tidegate.reporting.base import Subject, Written
from tidegate.reporting.ledger import DEAR_S, DOUBT_S, LONGEST_UNREST_S, PATIENCE_S, REST_S, Attempt, Ledger, Seen
from tidegate.reporting.patching import generation_of, patched

GATEWAY = gateway_key("gw")
ROUTE = route_key("route")
DEFAULTS = crd_default("Accepted", "Programmed")


def observed(status: Raw, version: int | str = 1, *, uid: str = "u", generation: int = 1) -> Observed:
    """An object as it was seen."""
    return Observed(version="v1", uid=uid, resource_version=str(version), generation=generation, status=status)


class Book:
    """A ledger with a clock, next to a server that does what it is told."""

    def __init__(self) -> None:
        self.ledger = Ledger(CONTROLLER_NAME)
        self.now = 100.0
        self.server: dict[ObjectKey, Observed] = {}
        self.version = 100

    def sees(self, key: ObjectKey, status: Raw, **more: Any) -> None:
        """The source shows the object, which has this status from now on."""
        self.version += 1
        self.server[key] = observed(status, self.version, **more)
        self.ledger.observe(key, self.server[key], self.now)

    def publishes(self, key: ObjectKey, status: Status | None) -> None:
        """A status is in force."""
        self.ledger.publish({key: status}, self.now)

    def waits(self) -> float | None:
        """How long until somebody has a turn; None: for ever."""
        due = self.ledger.next_due
        return None if due is None else round(max(0.0, due - self.now), 3)

    def takes(self) -> Attempt | None:
        """What is to be done first now, by somebody who is not ready yet."""
        key = self.ledger.take(self.now)
        return None if key is None else self.ledger.attempt(key, self.now, NOW + dt.timedelta(seconds=self.now))

    def finishes(self, attempt: Attempt) -> Written:
        """The server takes an attempt."""
        assert attempt.body is not None
        self.version += 1
        before = self.server[attempt.key]
        status = {**before.status, **attempt.body["status"]}
        status = {name: value for name, value in status.items() if value is not None}
        self.server[attempt.key] = observed(status, self.version, uid=before.uid, generation=before.generation)
        written = self.ledger.written(attempt, self.server[attempt.key], self.now, NOW)
        self.ledger.release(attempt.key)
        return written

    def writes(self) -> list[str]:
        """Do whatever is to be done now; the names of the objects that were written."""
        names = []
        while (key := self.ledger.take(self.now)) is not None:
            attempt = self.ledger.attempt(key, self.now, NOW + dt.timedelta(seconds=self.now))
            if attempt is not None and attempt.body is not None:
                self.finishes(attempt)
                names.append(key.name)
            self.ledger.release(key)
        return names

    def written_within(self, seconds: float) -> int:
        """How many writes there are while time passes."""
        end, count = self.now + seconds, len(self.writes())
        while (due := self.ledger.next_due) is not None and due <= end:
            self.now = max(self.now, due)
            count += len(self.writes())
        self.now = end
        return count


def lost(*, generation: int = 1) -> Status:
    """The status of a Gateway that nobody serves as far as is known."""
    gone = condition("Programmed", "False", reason="Pending", generation=generation)
    return gateway_status(
        listener_status("tcp", condition(generation=generation), gone),
        conditions=(condition(generation=generation), gone),
        generation=generation,
    )


def written(status: Status) -> Raw:
    """A status as it is stored."""
    raw = patched({}, status, controller=CONTROLLER_NAME, namespace="default", now=NOW).status
    assert raw is not None
    return dict(raw)


@pytest.fixture
def book() -> Book:
    """A ledger about nothing, of a replica that leads."""
    book = Book()
    book.ledger.begin(book.now)
    return book


@pytest.fixture
def settled(book: Book) -> Book:
    """A ledger about a Gateway whose status is written and at rest."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    assert book.writes() == ["gw"]
    book.now += 1000
    return book


def test_a_status_is_written_at_once(book: Book) -> None:
    """To the version that was seen, only what differs."""
    book.sees(GATEWAY, {**DEFAULTS, "attachedListenerSets": 0})
    book.publishes(GATEWAY, gateway_status())
    assert book.waits() == 0
    attempt = book.takes()
    assert attempt is not None
    assert attempt.body is not None
    assert attempt.body["metadata"] == {"resourceVersion": "101"}
    assert sorted(attempt.body["status"]) == ["addresses", "conditions", "listeners"]


def test_what_was_written_is_told(book: Book) -> None:
    """With what was there before and what is there now."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    attempt = book.takes()
    assert attempt is not None
    written = book.finishes(attempt)
    assert written.subject == Subject(GATEWAY, "v1", "u")
    assert written.before == DEFAULTS
    assert written.after["addresses"] == [{"type": "IPAddress", "value": "192.0.2.1"}]


@pytest.mark.parametrize("missing", ["seen", "published"])
def test_one_side_alone_is_nothing_to_write(book: Book, missing: str) -> None:
    """An object without a status in force, or a status without an object."""
    if missing == "seen":
        book.publishes(GATEWAY, gateway_status())
    else:
        book.sees(GATEWAY, DEFAULTS)
    assert book.written_within(60) == 0


def test_the_echo_is_no_news(settled: Book) -> None:
    """What our write led to comes back by the watch, late or again: nothing is looked at."""
    settled.ledger.observe(GATEWAY, settled.server[GATEWAY], settled.now)
    assert settled.waits() is None


@pytest.mark.parametrize("listed", [False, True])
def test_only_a_list_takes_us_back(settled: Book, listed: bool) -> None:
    """A watch may lag behind our own write; a list says what there is, even of a cluster that was restored."""
    before = msgspec.structs.replace(observed(DEFAULTS, 7), listed=listed)
    settled.ledger.observe(GATEWAY, before, settled.now)
    attempt = settled.takes()
    assert (attempt is not None) is listed
    if attempt is not None:
        assert attempt.body is not None
        assert attempt.body["metadata"] == {"resourceVersion": "7"}


def test_a_list_that_says_what_is_known_is_no_news(settled: Book) -> None:
    """It costs nothing to list everything again."""
    again = msgspec.structs.replace(settled.server[GATEWAY], listed=True)
    settled.ledger.observe(GATEWAY, again, settled.now)
    assert settled.waits() is None


def test_the_kind_is_read_in_another_version(settled: Book) -> None:
    """The newest version is served now: from now on it is written in that one."""
    there = settled.server[GATEWAY]
    settled.ledger.observe(GATEWAY, msgspec.structs.replace(there, version="v2"), settled.now)
    assert settled.waits() is None
    settled.publishes(GATEWAY, gateway_status(addresses=()))
    attempt = settled.takes()
    assert attempt is not None
    assert attempt.seen.version == "v2"


def test_old_news_is_no_news(settled: Book) -> None:
    """A version from before our write says nothing about what is there now."""
    settled.ledger.observe(GATEWAY, observed(DEFAULTS, 101), settled.now)
    assert settled.waits() is None


def test_versions_that_are_no_numbers_are_all_news(settled: Book) -> None:
    """Then the server has to say who was faster."""
    settled.ledger.observe(GATEWAY, observed(DEFAULTS, "abc"), settled.now)
    assert settled.writes() == ["gw"]


def test_metadata_is_no_news(settled: Book) -> None:
    """A label changes the version to write to, and nothing else."""
    settled.sees(GATEWAY, dict(settled.server[GATEWAY].status))
    assert settled.waits() is None
    settled.publishes(GATEWAY, gateway_status(addresses=()))
    attempt = settled.takes()
    assert attempt is not None
    assert attempt.body is not None
    assert attempt.body["metadata"]["resourceVersion"] == settled.server[GATEWAY].resource_version


def test_the_same_status_is_not_written(settled: Book) -> None:
    """A status that is there already needs one look and no request."""
    settled.publishes(GATEWAY, gateway_status())
    attempt = settled.takes()
    assert attempt is not None
    assert attempt.body is None


def test_the_newest_wins(book: Book) -> None:
    """What came in between is never written, and what comes during a write is written after it."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status(addresses=("192.0.2.1",)))
    book.publishes(GATEWAY, gateway_status(addresses=("192.0.2.2",)))
    attempt = book.takes()
    assert attempt is not None
    assert attempt.body is not None
    assert attempt.body["status"]["addresses"][0]["value"] == "192.0.2.2"
    book.publishes(GATEWAY, gateway_status(addresses=("192.0.2.3",)))
    assert book.takes() is None
    book.finishes(attempt)
    book.now += 1
    assert book.writes() == ["gw"]
    assert book.server[GATEWAY].status["addresses"][0]["value"] == "192.0.2.3"


def test_classes_and_gateways_come_first(book: Book) -> None:
    """Before the routes that refer to them."""
    for key, status in (
        (ROUTE, route_status()), (GATEWAY, gateway_status()), (class_key("class"), class_status()),
    ):  # fmt: skip
        book.sees(key, {})
        book.publishes(key, status)
    assert book.writes() == ["class", "gw", "route"]


@pytest.mark.parametrize(("seconds", "most"), [(1, 11), (5, 16), (30, 40), (70, 80)])
def test_a_thousand_attachments_are_few_writes(book: Book, seconds: int, most: int) -> None:
    """However long they take; and the last one is written as soon as it seems to be the last."""
    book.sees(GATEWAY, DEFAULTS)
    count = 0
    for number in range(1000):
        book.publishes(GATEWAY, gateway_status(listener_status("tcp", attached=number + 1)))
        count += book.written_within(seconds / 1000)
    assert count <= most
    book.written_within(REST_S)
    assert book.server[GATEWAY].status["listeners"][0]["attachedRoutes"] == 1000
    assert book.waits() is None


def test_attachments_during_writes_are_few_writes_too(book: Book) -> None:
    """What comes while a write is on its way is not written at once when that one has ended."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    count = 0
    for number in range(1000):
        attempt = book.takes()
        book.now += 0.01
        book.publishes(GATEWAY, gateway_status(listener_status("tcp", attached=number)))
        if attempt is not None:
            book.finishes(attempt)
            count += 1
    assert count <= 10 + 10 + 3


def test_changes_that_never_rest_are_bounded_too(book: Book) -> None:
    """Pauses that look like the end, again and again, are not written each time."""
    book.sees(GATEWAY, DEFAULTS)
    count = 0
    for number in range(200):
        book.publishes(GATEWAY, gateway_status(listener_status("tcp", attached=number + 1)))
        count += book.written_within(2 * REST_S)
    assert count <= 13 + 1.2 * 200 * 2 * REST_S
    assert book.written_within(1) <= 1
    assert book.server[GATEWAY].status["listeners"][0]["attachedRoutes"] == 200


def test_a_dear_write_waits_for_the_last_of_many_changes(settled: Book) -> None:
    """Where a write keeps the server busy, what comes in a row is one write, and none that is outdated at once."""
    settled.publishes(GATEWAY, gateway_status(listener_status("tcp", attached=1)))
    attempt = settled.takes()
    assert attempt is not None
    settled.now += 2 * DEAR_S
    settled.finishes(attempt)
    settled.now += 100
    count = 0
    for number in range(40):
        settled.publishes(GATEWAY, gateway_status(listener_status("tcp", attached=number + 2)))
        count += settled.written_within(0.01)
    assert count == 0
    assert settled.written_within(REST_S) == 1
    assert settled.server[GATEWAY].status["listeners"][0]["attachedRoutes"] == 41
    settled.now += 1
    settled.publishes(GATEWAY, gateway_status())
    assert settled.waits() == 0, "that last write was cheap"


def test_a_dear_write_does_not_wait_for_ever(settled: Book) -> None:
    """Changes that never rest are written all the same."""
    settled.publishes(GATEWAY, gateway_status(listener_status("tcp", attached=1)))
    attempt = settled.takes()
    assert attempt is not None
    settled.now += 2 * DEAR_S
    settled.finishes(attempt)
    settled.now += 100
    begun, count = settled.now, 0
    while not count:
        settled.publishes(GATEWAY, gateway_status(listener_status("tcp", attached=int(settled.now * 1000))))
        count = settled.written_within(0.01)
    assert settled.now - begun == pytest.approx(LONGEST_UNREST_S, abs=0.03)


def test_a_foreign_change_is_put_back(settled: Book) -> None:
    """At once."""
    settled.sees(GATEWAY, DEFAULTS)
    assert settled.waits() == 0
    assert settled.writes() == ["gw"]


def test_a_fight_is_not_fought_at_speed(settled: Book) -> None:
    """Somebody who always takes away what we wrote makes us slow, until there is something new to say."""
    count = 0
    for _ in range(600):
        settled.sees(GATEWAY, DEFAULTS)
        count += settled.written_within(1)
    assert 20 <= count <= 30
    settled.now += 0.1
    settled.publishes(GATEWAY, gateway_status(addresses=()))
    assert settled.writes() == ["gw"]


def test_a_foreign_condition_is_no_reason_to_write(settled: Book) -> None:
    """It is looked at, and found to be of no concern."""
    status = dict(settled.server[GATEWAY].status)
    settled.sees(GATEWAY, {**status, "conditions": [*status["conditions"], raw_condition("example.com/T")]})
    assert settled.written_within(60) == 0


def test_a_new_generation_waits_for_its_decision(settled: Book) -> None:
    """What is in force speaks of the old one; the decision about the new one is on its way."""
    status = {**settled.server[GATEWAY].status, "addresses": []}
    settled.sees(GATEWAY, status, generation=2)
    assert settled.waits() == PATIENCE_S
    settled.publishes(GATEWAY, gateway_status(addresses=()))
    assert settled.waits() == PATIENCE_S
    settled.publishes(GATEWAY, gateway_status(generation=2))
    assert settled.waits() == 0


def test_a_generation_that_was_refused_does_not_wait_for_ever(settled: Book) -> None:
    """The last good one is still in force, and says so."""
    settled.sees(GATEWAY, DEFAULTS, generation=2)
    assert settled.written_within(PATIENCE_S) == 1
    assert settled.server[GATEWAY].status["conditions"][0]["observedGeneration"] == 1


def test_a_new_object_of_the_old_name_waits_for_its_decision(settled: Book) -> None:
    """The old one's status is not given to it, unless the decision is just that."""
    settled.ledger.observe(GATEWAY, None, settled.now)
    settled.sees(GATEWAY, DEFAULTS, uid="other")
    assert settled.waits() == PATIENCE_S
    assert settled.written_within(PATIENCE_S) == 1


def test_a_newer_generation_is_not_overwritten(settled: Book) -> None:
    """Another replica knows more than we do."""
    newer = {"conditions": [raw_condition("Accepted", generation=3), raw_condition("Programmed", generation=3)]}
    settled.sees(GATEWAY, newer, generation=3)
    assert settled.written_within(60) == 0
    settled.publishes(GATEWAY, gateway_status(generation=3))
    assert settled.writes() == ["gw"]


def test_what_is_gone_has_no_turn(book: Book) -> None:
    """Deleted before or while somebody works on it; nothing of it is remembered once its status is withdrawn."""
    book.sees(ROUTE, {})
    book.publishes(ROUTE, route_status())
    attempt = book.takes()
    assert attempt is not None
    book.ledger.observe(ROUTE, None, book.now)
    book.finishes(attempt)
    assert book.waits() is None
    book.publishes(ROUTE, None)
    assert book.ledger._accounts == {}
    book.ledger.publish({GATEWAY: None}, book.now)
    assert book.ledger._accounts == {}


def test_what_went_before_its_turn(book: Book) -> None:
    """Somebody has taken it already, and finds nothing to do."""
    book.sees(ROUTE, {})
    book.publishes(ROUTE, route_status())
    assert book.ledger.take(book.now) == ROUTE
    book.ledger.observe(ROUTE, None, book.now)
    assert book.ledger.attempt(ROUTE, book.now, NOW) is None


def test_an_object_that_was_made_again_during_a_write_is_another(settled: Book) -> None:
    """What was written to the old one says nothing about the new one."""
    settled.publishes(GATEWAY, gateway_status(addresses=()))
    attempt = settled.takes()
    assert attempt is not None
    old = settled.server[GATEWAY]
    settled.ledger.observe(GATEWAY, None, settled.now)
    settled.sees(GATEWAY, DEFAULTS, uid="other")
    settled.ledger.written(attempt, old, settled.now, NOW)
    settled.ledger.release(GATEWAY)
    assert settled.written_within(PATIENCE_S) == 1
    assert settled.server[GATEWAY].uid == "other"
    assert settled.server[GATEWAY].status["addresses"] == []


def test_withdrawal(book: Book) -> None:
    """Our entries of a route go at once; a Gateway is left as it is."""
    foreign = raw_parent("gw", controller=FOREIGN)
    book.sees(ROUTE, {"parents": [foreign]})
    book.publishes(ROUTE, route_status())
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    book.writes()
    book.now += 60
    book.ledger.publish({ROUTE: None, GATEWAY: None}, book.now)
    assert book.writes() == ["route"]
    assert book.server[ROUTE].status == {"parents": [foreign]}


def test_leftovers_go_when_all_is_published(book: Book) -> None:
    """A route that lost its last parent while nobody looked; not before it is clear that nobody wants the entry."""
    book.sees(ROUTE, {"parents": [raw_parent()]})
    book.sees(route_key("other"), {"parents": [raw_parent(controller=FOREIGN)]})
    assert book.written_within(60) == 0
    book.ledger.complete(book.now)
    assert book.writes() == ["route"]
    assert book.server[ROUTE].status == {"parents": []}


def test_leftovers_that_appear_later_wait_for_a_decision(book: Book) -> None:
    """The entry may be right, written by a replica that was faster."""
    book.ledger.complete(book.now)
    book.sees(ROUTE, {"parents": [raw_parent()]})
    assert book.waits() == PATIENCE_S
    book.publishes(ROUTE, route_status())
    assert book.written_within(60) == 0
    book.publishes(ROUTE, None)
    assert book.writes() == ["route"]
    book.sees(ROUTE, {"parents": [raw_parent()]})
    assert book.writes() == []
    assert book.written_within(PATIENCE_S) == 1


def test_a_server_that_prunes_is_not_pestered(book: Book) -> None:
    """An old CRD does not keep a field that we write: that is as good as it gets, until something changes."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    attempt = book.takes()
    assert attempt is not None
    assert attempt.body is not None
    del attempt.body["status"]["attachedListenerSets"]
    book.finishes(attempt)
    assert book.written_within(60) == 0
    book.sees(GATEWAY, dict(book.server[GATEWAY].status))
    assert book.written_within(60) == 0
    book.publishes(GATEWAY, gateway_status(addresses=()))
    assert book.writes() == ["gw"]


def test_a_conflict_is_tried_again_from_what_there_is(book: Book) -> None:
    """At once the first time, then later and later."""
    book.sees(ROUTE, {})
    book.publishes(ROUTE, route_status())
    waits = []
    for version in range(200, 205):
        attempt = book.takes()
        assert attempt is not None
        assert attempt.body is not None
        foreign = [raw_parent(str(version), controller=FOREIGN)]
        book.server[ROUTE] = observed({"parents": foreign}, version)
        book.ledger.conflicted(ROUTE, book.server[ROUTE], book.now, jitter=0.0)
        book.ledger.release(ROUTE)
        waits.append(book.waits())
        book.now += book.waits() or 0
    assert waits == [0, 0.05, 0.1, 0.2, 0.4]
    assert book.writes() == ["route"]
    assert [entry["parentRef"]["name"] for entry in book.server[ROUTE].status["parents"]] == ["204", "gw"]


def test_a_conflict_with_a_new_generation_waits_for_its_decision(book: Book) -> None:
    """The watch is about to show it."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    book.takes()
    book.ledger.conflicted(GATEWAY, observed(DEFAULTS, 200, generation=2), book.now, jitter=0.0)
    book.ledger.release(GATEWAY)
    assert book.waits() == PATIENCE_S


def test_a_failure_is_tried_again_later_and_later(book: Book) -> None:
    """Another status does not make it faster; success ends it."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    waits = []
    for failures in (1, 2, 3):
        book.takes()
        assert book.ledger.failed(GATEWAY, book.now, jitter=0.0) == failures
        book.ledger.release(GATEWAY)
        waits.append(book.waits())
        book.now += book.waits() or 0
    assert waits == [1, 2, 4]
    assert book.writes() == ["gw"]
    book.takes()
    assert book.ledger.failed(GATEWAY, book.now, jitter=0.0) == 1


def test_conflicts_are_no_failures(book: Book) -> None:
    """The first failure after them is the first."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    book.takes()
    book.ledger.conflicted(GATEWAY, book.server[GATEWAY], book.now, jitter=0.0)
    assert book.ledger.failed(GATEWAY, book.now, jitter=0.0) == 1


def test_a_refused_status_is_not_tried_again(book: Book) -> None:
    """Until there is another status, another generation, or another leader."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())

    def refuse(generation: int) -> None:
        assert book.takes() is not None
        book.ledger.refused(GATEWAY)
        book.ledger.release(GATEWAY)
        book.sees(GATEWAY, {**DEFAULTS, "x": book.version}, generation=generation)
        assert book.waits() is None
        book.now += 1000

    refuse(1)
    book.publishes(GATEWAY, gateway_status(addresses=()))
    refuse(1)
    book.sees(GATEWAY, DEFAULTS, generation=2)
    book.now += PATIENCE_S
    refuse(2)
    book.ledger.begin(book.now)
    assert book.writes() == ["gw"]


def test_nobody_answered(book: Book) -> None:
    """The object keeps its turn."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    book.takes()
    book.ledger.again(GATEWAY, book.now)
    book.ledger.release(GATEWAY)
    assert book.writes() == ["gw"]


def test_a_lost_object_comes_back_by_the_source(book: Book) -> None:
    """Nothing is tried until then."""
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    book.takes()
    book.ledger.lost(GATEWAY)
    book.ledger.release(GATEWAY)
    assert book.waits() is None
    book.sees(GATEWAY, DEFAULTS)
    assert book.writes() == ["gw"]


@pytest.mark.parametrize("report", ["failed", "conflicted", "refused", "again", "lost"])
def test_news_of_what_nobody_knows(book: Book, report: str) -> None:
    """An object that was deleted while its request was on its way is of no interest."""
    arguments: dict[str, tuple[Any, ...]] = {
        "failed": (book.now,), "conflicted": (observed({}), book.now), "again": (book.now,),
    }  # fmt: skip
    jitter = {"jitter": 0.0} if report in ("failed", "conflicted") else {}
    getattr(book.ledger, report)(ROUTE, *arguments.get(report, ()), **jitter)
    assert book.waits() is None


def test_who_begins_to_lead_writes_all_that_differs() -> None:
    """Of what was taken in before; somebody else may have written some of it already."""
    book = Book()
    book.sees(GATEWAY, DEFAULTS)
    book.publishes(GATEWAY, gateway_status())
    book.sees(ROUTE, {"parents": [raw_parent()]})
    book.publishes(ROUTE, route_status())
    book.ledger.begin(book.now)
    book.takes()
    book.ledger.begin(book.now)
    assert book.ledger.busy == 0
    assert book.writes() == ["gw"]


def test_who_does_not_lead_has_no_turns(settled: Book) -> None:
    """And remembers what it sees, for when it does."""
    settled.ledger.end()
    settled.publishes(GATEWAY, gateway_status(addresses=()))
    assert (settled.waits(), settled.takes(), settled.ledger.busy) == (None, None, 0)
    settled.ledger.observe(ROUTE, None, settled.now)
    settled.ledger.release(GATEWAY)
    settled.ledger.begin(settled.now)
    assert settled.writes() == ["gw"]


def test_entries_without_room_are_told_once(book: Book) -> None:
    """And again when their number changes."""
    full = {"parents": [raw_parent(str(number), controller=FOREIGN) for number in range(32)]}
    book.sees(ROUTE, full)
    told = []
    for status in (route_status("a"), route_status("a", generation=2), route_status("a", "b", generation=3)):
        book.publishes(ROUTE, status)
        attempt = book.takes()
        assert attempt is not None
        assert attempt.body is None
        told.append([entry["parentRef"]["name"] for entry in attempt.homeless])
        book.ledger.release(ROUTE)
    assert told == [["a"], [], ["a", "b"]]


def test_a_seen_status_is_kept_whatever_its_order() -> None:
    """Two mappings that say the same are the same."""
    assert Seen.of(observed({"a": 1, "b": {"c": 1, "d": 2}})) == Seen.of(observed({"b": {"d": 2, "c": 1}, "a": 1}))


def test_a_seen_status_is_kept_small() -> None:
    """A Gateway's entries all say the same, so little of them is kept; and all of it comes back."""
    entries = [{"name": f"l{number}", "conditions": [raw_condition("Accepted")]} for number in range(64)]
    seen = Seen.of(observed({"listeners": entries}))
    assert len(seen.status) < len(msgspec.json.encode(entries)) / 10
    assert seen.raw() == {"listeners": entries}


def test_what_is_in_doubt_is_not_taken_back_at_its_generation() -> None:
    """It is looked at again and again, and written as soon as the doubt is over; all others are written at once."""
    book, doubted = Book(), {GATEWAY}
    book.ledger = Ledger(CONTROLLER_NAME, doubted=lambda key: key in doubted)
    book.ledger.begin(book.now)
    for name in ("gw", "other"):
        book.sees(gateway_key(name), written(gateway_status()))
        book.publishes(gateway_key(name), lost())
    assert book.writes() == ["other"]
    assert book.written_within(10 * DOUBT_S) == 0
    doubted.clear()
    assert book.written_within(DOUBT_S) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (gateway_status, lambda: lost(generation=2)),
        (lost, gateway_status),
        (gateway_status, lambda: gateway_status(addresses=("192.0.2.2",))),
    ],
    ids=["of another generation", "better", "as good"],
)
def test_doubt_holds_back_nothing_else(before: Callable[[], Status], after: Callable[[], Status]) -> None:
    """A new generation has not been served by anybody that we know of."""
    book = Book()
    book.ledger = Ledger(CONTROLLER_NAME, doubted=lambda _: True)
    book.ledger.begin(book.now)
    book.sees(GATEWAY, written(before()), generation=generation_of(after()))
    book.publishes(GATEWAY, after())
    assert book.writes() == ["gw"]


def test_one_listener_that_is_taken_back_is_enough_for_doubt() -> None:
    """The Gateway as a whole may be served by another listener."""
    book = Book()
    book.ledger = Ledger(CONTROLLER_NAME, doubted=lambda _: True)
    book.ledger.begin(book.now)
    book.sees(GATEWAY, written(gateway_status()))
    book.publishes(GATEWAY, gateway_status(listener_status("tcp", condition("Programmed", "False"))))
    assert book.writes() == []
