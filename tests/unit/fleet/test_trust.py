"""Authorities follow each other by the clock alone, and nobody is ever left with one that the others do not trust."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.fleet import pki
from tidegate.fleet.pki import KeyPair
from tidegate.fleet.trust import Issuer, Lifetimes, Trust, from_secret, renewal, to_secret

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LIFETIMES = Lifetimes(authority=90 * DAY, adoption=DAY, proxy=12 * DAY, controller=DAY)


def visited(trust: Trust, now: dt.datetime) -> Trust:
    """What a leader makes of the Secret at ``now``."""
    due = trust.due(now)
    return trust.after(due, pki.new_authority(now=now, lifetime=LIFETIMES.authority) if due.succession else None)


def issuer(trust: Trust, now: dt.datetime) -> Issuer:
    found = trust.issuer(now)
    assert found is not None
    return found


FIRST = visited(Trust(lifetimes=LIFETIMES), NOW)
BOTH = visited(FIRST, NOW + 60 * DAY)
OLD, NEW = BOTH.issuers


def test_first_authority_issues_at_once() -> None:
    """With nobody to come from, nobody has to be waited for."""
    assert not Trust(lifetimes=LIFETIMES).issuers
    assert Trust(lifetimes=LIFETIMES).due(NOW)
    assert issuer(FIRST, NOW) == FIRST.issuers[0]
    assert not FIRST.due(NOW)


def test_successor_is_born_after_two_thirds() -> None:
    """Two thirds of an authority's life, and another one is due."""
    assert not FIRST.due(NOW + 60 * DAY - DAY)
    assert FIRST.due(NOW + 60 * DAY).succession
    assert FIRST.next_due(NOW + 2 * DAY) == NOW + 60 * DAY == renewal(NOW, NOW + 90 * DAY)


def test_successor_is_trusted_before_it_issues() -> None:
    """First everybody is told of the new authority, a day later it issues."""
    born = NOW + 60 * DAY
    assert BOTH.bundle == OLD.pair.certificate + NEW.pair.certificate
    assert issuer(BOTH, born) == OLD
    assert BOTH.next_due(born) == born + DAY
    assert issuer(BOTH, born + DAY) == NEW


def test_old_authority_is_retired_with_the_last_certificate_it_issued() -> None:
    """The old one stays until nothing of it can be in use, and then goes."""
    last = NOW + 61 * DAY + LIFETIMES.proxy
    assert not BOTH.due(last - DAY)
    assert BOTH.next_due(last - DAY) == last
    due = BOTH.due(last)
    assert (due.succession, due.retired) == (False, (OLD,))
    assert BOTH.after(due, None).issuers == (NEW,)


def test_authority_that_ended_issues_nothing() -> None:
    """After its end nobody would believe it, so one that is not yet adopted comes earlier."""
    assert FIRST.issuer(NOW + 90 * DAY) is None
    late = visited(FIRST, NOW + 90 * DAY - DAY / 2)
    assert issuer(late, NOW + 90 * DAY) == late.issuers[1]


def test_leader_that_was_away_for_a_year_begins_anew() -> None:
    """An authority that ended long ago is replaced, and the new one issues at once."""
    later = NOW + 400 * DAY
    trust = visited(FIRST, later)
    assert [one.born for one in trust.issuers] == [later]
    assert issuer(trust, later) == trust.issuers[0]
    assert FIRST.next_due(later) == later


def test_secret_holds_all_of_it() -> None:
    """What is written to the Secret is what is read from it."""
    assert from_secret(to_secret(BOTH), LIFETIMES) == BOTH
    assert from_secret({}, LIFETIMES) == Trust(lifetimes=LIFETIMES)


@pytest.mark.parametrize("broken", [b"", b"nonsense", NEW.pair.key.pem])
def test_broken_entry_of_the_secret_is_passed_over(broken: bytes) -> None:
    """One broken entry costs one authority; with none left, the leader begins anew."""
    data = to_secret(BOTH)
    assert from_secret(data | {f"{OLD.name}.key": broken}, LIFETIMES).issuers == (NEW,)
    assert from_secret({"note": b"", f"{OLD.name}.crt": OLD.pair.certificate}, LIFETIMES).issuers == ()


class Proxy:
    """Holds one certificate, as long as it lives."""

    def __init__(self, by: Issuer, until: dt.datetime) -> None:
        self.by = by
        self.until = until


@given(st.lists(st.integers(min_value=1, max_value=24 * 40), min_size=1, max_size=12))
@settings(max_examples=60)
def test_no_living_certificate_loses_its_authority(pauses: list[int]) -> None:
    """However long no leader is there: as long as a proxy's certificate lives, its authority is trusted."""
    now, trust, proxies = NOW, FIRST, [Proxy(FIRST.issuers[0], NOW + LIFETIMES.proxy)]
    for pause in pauses:
        now += dt.timedelta(hours=pause)
        trust = visited(trust, now)
        assert not trust.due(now)
        proxies = [one for one in proxies if now < one.until]
        for proxy in proxies:
            assert proxy.by in trust.issuers
        by = issuer(trust, now)
        proxies.append(Proxy(by, min(now + LIFETIMES.proxy, by.expires)))


@given(st.integers(min_value=0, max_value=24 * 120))
@settings(max_examples=60)
def test_next_due_misses_nothing(hours: int) -> None:
    """Until the time that ``next_due`` gives, neither what is due nor who issues changes."""
    now = NOW + dt.timedelta(hours=hours)
    due = BOTH.next_due(now)
    for part in range(1, 10):
        between = now + (due - now) * part / 10
        assert (BOTH.due(between), BOTH.issuer(between)) == (BOTH.due(now), BOTH.issuer(now))


def test_nothing_that_is_secret_is_printed() -> None:
    """A log line with the authorities in it shows no key."""
    assert "PRIVATE" not in f"{BOTH} {BOTH.due(NOW)}"
    assert isinstance(OLD.pair, KeyPair)
