"""Which clients get which endpoints, and what is said to those that get none."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.tables import FACTS, OWN_4, OWN_6
from tidegate.dataplanes.nftables.reach import Client, Family, HostFacts, Place, Reach, locate, reachable
from tidegate.plan.types import Endpoint

LOCAL_4, LOCAL_6 = Endpoint("127.0.0.1", 1), Endpoint("::1", 1)
HERE_4, HERE_6 = Endpoint(OWN_4, 1), Endpoint(OWN_6, 1)
AWAY_4, AWAY_6 = Endpoint("10.9.9.9", 1), Endpoint("2001:db8::9", 1)
ENDPOINTS = (LOCAL_4, LOCAL_6, HERE_4, HERE_6, AWAY_4, AWAY_6)
CROSSING = msgspec.structs.replace(FACTS, routes_localnet=True)
CROSS, SYSCTL = " (--allow-route-localnet)", " (sysctl net.ipv4.ip_forward=1)"
STILL = msgspec.structs.replace(FACTS, forwards=frozenset())


def given_to(client: Client, family: Family, facts: HostFacts = FACTS) -> set[Endpoint]:
    """Which of all endpoints a client gets."""
    found = Reach(facts).ways(ENDPOINTS).to(client, family)
    return {endpoint for endpoint in ENDPOINTS if locate(endpoint, facts) in found}


@pytest.mark.parametrize(
    ("client", "family", "facts", "endpoints"),
    [
        (Client.ELSEWHERE, Family.IPV4, FACTS, {HERE_4, AWAY_4}),
        (Client.ELSEWHERE, Family.IPV4, CROSSING, {LOCAL_4, HERE_4, AWAY_4}),
        (Client.ELSEWHERE, Family.IPV4, STILL, {HERE_4}),
        (Client.ELSEWHERE, Family.IPV6, CROSSING, {HERE_6, AWAY_6}),
        (Client.ELSEWHERE, Family.IPV6, STILL, {HERE_6}),
        (Client.HERE, Family.IPV4, STILL, {LOCAL_4, HERE_4, AWAY_4}),
        (Client.HERE, Family.IPV6, STILL, {LOCAL_6, HERE_6, AWAY_6}),
        (Client.LOOPBACK, Family.IPV4, FACTS, {LOCAL_4, HERE_4}),
        (Client.LOOPBACK, Family.IPV4, CROSSING, {LOCAL_4, HERE_4, AWAY_4}),
        (Client.LOOPBACK, Family.IPV6, CROSSING, {LOCAL_6, HERE_6}),
    ],
)
def test_table(client: Client, family: Family, facts: HostFacts, endpoints: set[Endpoint]) -> None:
    """Families are never crossed, loopbacks only by IPv4 and only where permitted."""
    assert given_to(client, family, facts) == endpoints


@given(
    st.sampled_from(Family),
    st.sampled_from(Place),
    st.builds(HostFacts, forwards=st.frozensets(st.sampled_from(Family)), routes_localnet=st.booleans()),
)
def test_clients_here_reach_most(family: Family, place: Place, facts: HostFacts) -> None:
    """A client on this host that has one of its own addresses reaches whatever anybody else does."""
    assert reachable(Client.HERE, family, place, facts) >= any(reachable(one, family, place, facts) for one in Client)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.8.0.1", (Family.IPV4, Place.LOOPBACK)),
        ("::ffff:127.0.0.1", (Family.IPV4, Place.LOOPBACK)),
        (f"::ffff:{OWN_4}", (Family.IPV4, Place.HERE)),
        ("fe80::1", None),
        (OWN_6, (Family.IPV6, Place.HERE)),
    ],
)
def test_where_an_endpoint_is(address: str, kind: tuple[Family, Place] | None) -> None:
    """An IPv4-mapped address is one of IPv4; a link-local one is nowhere."""
    assert locate(Endpoint(address, 80), FACTS).kind == kind


def test_endpoint_nowhere_is_offered_to_nobody() -> None:
    """It is known, but no way leads there."""
    ways = Reach(FACTS).ways([Endpoint("fe80::1", 80)])
    assert len(ways.located) == 1
    assert not ways.offered


@pytest.mark.parametrize(
    ("address", "audiences"),
    [
        ("127.0.0.1", {(Client.LOOPBACK, Family.IPV4)}),
        ("::1", {(Client.LOOPBACK, Family.IPV6)}),
        (OWN_4, {(Client.ELSEWHERE, Family.IPV4), (Client.HERE, Family.IPV4)}),
        ("*", {(client, family) for client in Client for family in Family}),
    ],
)
def test_who_can_connect(address: str, audiences: set[tuple[Client, Family]]) -> None:
    """A socket on one address has clients of its family only."""
    assert set(Reach(FACTS).audiences(address)) == audiences


def test_host_without_ipv6_has_no_ipv6_clients() -> None:
    """An address of the loopback or a link brings none from elsewhere."""
    facts = HostFacts(addresses=frozenset({"127.0.0.1", OWN_4, "fe80::1"}))
    families = {family for client, family in Reach(facts).audiences("*") if client is not Client.LOOPBACK}
    assert families == {Family.IPV4}


def limits(address: str, *endpoints: Endpoint, facts: HostFacts = FACTS) -> str:
    reach = Reach(facts)
    return reach.limits(address, [("app", reach.ways(endpoints).kinds)])


@pytest.mark.parametrize(
    ("address", "endpoints", "facts", "said"),
    [
        ("*", (HERE_4, HERE_6), STILL, ""),
        (OWN_4, (Endpoint("fe80::1", 1),), FACTS, "IPv4 clients are refused by app, which has no IPv4 endpoint"),
        (OWN_4, (AWAY_4,), FACTS, ""),
        ("*", (HERE_4,), FACTS, "IPv6 clients are refused by app, which has no IPv6 endpoint"),
        (
            OWN_4,
            (LOCAL_4,),
            FACTS,
            "IPv4 clients on other hosts are refused by app, which listens on this host's loopback only" + CROSS,
        ),
        (
            OWN_6,
            (LOCAL_6,),
            CROSSING,
            "IPv6 clients on other hosts are refused by app, which listens on this host's loopback only",
        ),
        (
            "127.0.0.1",
            (AWAY_4,),
            FACTS,
            "clients at 127.0.0.1 are refused by app, which is on another host, where 127.0.0.1 means nothing" + CROSS,
        ),
        (
            "::1",
            (AWAY_6,),
            CROSSING,
            "clients at ::1 are refused by app, which is on another host, where ::1 means nothing",
        ),
        (
            OWN_4,
            (AWAY_4, LOCAL_4),
            STILL,
            "IPv4 clients on other hosts are refused by app, because this host does not forward IPv4" + SYSCTL,
        ),
    ],
)
def test_what_is_said(address: str, endpoints: tuple[Endpoint, ...], facts: HostFacts, said: str) -> None:
    """Whoever is refused is named, with the reason and what would help."""
    assert limits(address, *endpoints, facts=facts) == said


def test_several_backends() -> None:
    """Each one that refuses somebody is named; clients that are refused for the same reason are named together."""
    reach = Reach(FACTS)
    text = reach.limits("*", [("a", reach.ways([AWAY_4, HERE_6]).kinds), ("b", reach.ways([HERE_4]).kinds)])
    assert text.count("; ") == 1
    assert text.startswith("clients at 127.0.0.1 are refused by a, ")
    assert "IPv6 clients are refused by b" in text
    assert reach.limits("*", []) == ""


@given(
    st.lists(st.sampled_from(ENDPOINTS), min_size=1, unique=True),
    st.sampled_from([FACTS, CROSSING, STILL]),
    st.sampled_from(["*", "127.0.0.1", "::1", OWN_4, OWN_6]),
)
def test_nobody_is_refused_in_silence(endpoints: list[Endpoint], facts: HostFacts, address: str) -> None:
    """There is something to say exactly when an audience gets no endpoint."""
    reach = Reach(facts)
    ways = reach.ways(endpoints)
    refused = [audience for audience in reach.audiences(address) if not ways.to(*audience)]
    assert bool(reach.limits(address, [("app", ways.kinds)])) is bool(refused)
