"""A certificate is kept while it is good, and replaced before it is not."""

import datetime as dt

import pytest

from tidegate.fleet import pki
from tidegate.fleet.credentials import Credentials, Subject, credentials, from_secret, to_secret
from tidegate.fleet.pki import KeyPair
from tidegate.fleet.trust import Due, Lifetimes, Trust

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
PROXY = Subject(identity="spiffe://tidegate.dev/gateway/shop/public", lifetime=30 * DAY)


def with_successor(trust: Trust, now: dt.datetime) -> Trust:
    return trust.after(Due(succession=True), pki.new_authority(now=now, lifetime=365 * DAY))


TRUST = with_successor(Trust(lifetimes=Lifetimes()), NOW)


def held(trust: Trust, pair: KeyPair | None, now: dt.datetime, subject: Subject = PROXY) -> Credentials:
    found = credentials(trust, subject, pair, now)
    assert found is not None
    return found


FIRST = held(TRUST, None, NOW)


def test_first_certificate_is_issued() -> None:
    """Who has none gets one, for who it is, and as long as is said."""
    facts = pki.facts(FIRST.pair.certificate)
    assert facts is not None
    assert (facts.identity, facts.expires_at) == (PROXY.identity, NOW + 30 * DAY)
    assert FIRST.authorities == TRUST.bundle


def test_good_certificate_is_kept_until_two_thirds_of_its_life() -> None:
    """To look often costs no new certificate; in the last third a new one is issued."""
    kept = held(TRUST, FIRST.pair, NOW + 19 * DAY)
    assert (kept.pair, kept.good_until) == (FIRST.pair, NOW + 20 * DAY)
    renewed = held(TRUST, FIRST.pair, NOW + 20 * DAY)
    assert renewed.pair != FIRST.pair
    assert renewed.good_until == NOW + 40 * DAY


def test_newly_trusted_authority_costs_no_certificate() -> None:
    """The bundle tells of a successor at once; certificates follow when it is adopted."""
    both = with_successor(TRUST, NOW + DAY)
    before = held(both, FIRST.pair, NOW + DAY)
    assert (before.pair, before.authorities) == (FIRST.pair, both.bundle)
    assert before.good_until == NOW + 2 * DAY
    after = held(both, FIRST.pair, NOW + 2 * DAY)
    assert pki.is_issued_by(after.pair.certificate, both.issuers[1].pair.certificate)


@pytest.mark.parametrize(
    "wrong",
    [
        held(TRUST, None, NOW, Subject(identity="spiffe://tidegate.dev/gateway/shop/other", lifetime=DAY)).pair,
        held(TRUST, None, NOW, Subject(identity=PROXY.identity, dns_names=("proxy",), lifetime=DAY)).pair,
        held(with_successor(Trust(), NOW), None, NOW).pair,
        KeyPair(certificate=FIRST.pair.certificate, key=pki.new_authority(now=NOW, lifetime=DAY).key),
        KeyPair(certificate=b"nonsense", key=FIRST.pair.key),
    ],
    ids=["other identity", "other names", "other authority", "other key", "no certificate"],
)
def test_what_is_not_our_certificate_is_replaced(wrong: KeyPair) -> None:
    """Whatever stands in a proxy's Secret: it ends up with a certificate that is good."""
    found = held(TRUST, wrong, NOW)
    assert found.pair != wrong
    assert pki.is_issued_by(found.pair.certificate, TRUST.issuers[0].pair.certificate)


def test_without_authority_there_is_nothing_to_hold() -> None:
    """Before the first authority, and after the end of the last."""
    assert credentials(Trust(), PROXY, None, NOW) is None
    assert credentials(TRUST, PROXY, FIRST.pair, NOW + 365 * DAY) is None


def test_secret_holds_all_of_it() -> None:
    """What is written to a proxy's Secret is what is read from it, and nothing is made of half a Secret."""
    data = to_secret(FIRST)
    assert data["ca.crt"] == TRUST.bundle
    assert from_secret(data) == FIRST.pair
    for name in ("tls.crt", "tls.key"):
        assert from_secret(data | {name: b""}) is None
    assert from_secret({}) is None
