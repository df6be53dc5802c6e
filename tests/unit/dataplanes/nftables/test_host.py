"""What the kernel tells of a host of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.descriptors import no_descriptors
from support.netns import Host
from support.tables import OWN_4, OWN_6, alone, needs_a_host
from tidegate.dataplanes.nftables import host as facts_of
from tidegate.dataplanes.nftables.reach import Family
from tidegate.errors import DataPlaneError


@pytest.fixture
def host() -> Iterator[Host]:
    """Where the test is."""
    with alone() as present:
        yield present


@needs_a_host
def test_addresses(host: Host) -> None:
    """All of them, in canonical form, those that come later too; but not the link-local ones of IPv6 interfaces."""
    found = facts_of.addresses()
    assert found == {"127.0.0.1", "::1", OWN_4, OWN_6}
    host.ip("link", "add", "container", "type", "veth", "peer", "name", "inside")
    host.ip("link", "set", "container", "up")
    host.ip("addr", "add", "fe80::77/64", "dev", "container", "nodad")
    assert facts_of.addresses() == found
    host.ip("addr", "add", "10.77.3.2/24", "dev", "own")
    assert facts_of.addresses() == found | {"10.77.3.2"}


@needs_a_host
@pytest.mark.parametrize(("four", "six"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_forwarding(host: Host, four: int, six: int) -> None:
    """Each family by its own sysctl."""
    host.sysctl(f"net.ipv4.ip_forward={four}", f"net.ipv6.conf.all.forwarding={six}")
    facts = facts_of.facts(routes_localnet=False)
    assert facts.forwards == {family for family, on in ((Family.IPV4, four), (Family.IPV6, six)) if on}


@needs_a_host
def test_forwarding_of_one_interface(host: Host) -> None:
    """One that forwards is enough; what new interfaces will do is of no concern."""
    host.sysctl("net.ipv4.ip_forward=0", "net.ipv4.conf.default.forwarding=1")
    assert not facts_of.forwards(Family.IPV4)
    host.sysctl("net.ipv4.conf.own.forwarding=1")
    assert facts_of.forwards(Family.IPV4)


@needs_a_host
def test_facts(host: Host) -> None:
    """They hold what was asked for; two looks at an unchanged host are equal."""
    assert facts_of.facts(routes_localnet=True).routes_localnet
    assert facts_of.facts(routes_localnet=False) == facts_of.facts(routes_localnet=False)


@needs_a_host
@pytest.mark.parametrize(
    ("address", "local"),
    [(OWN_4, True), (OWN_6, True), ("127.0.0.53", True), ("::1", True), ("192.0.2.1", False), ("2001:db8::1", False)],
)
def test_local_addresses(host: Host, address: str, local: bool) -> None:
    """Also those that no interface names, as all of 127.0.0.0/8."""
    assert facts_of.is_local(address) is local


@needs_a_host
@pytest.mark.parametrize("address", ["224.0.0.1", "255.255.255.255", "10.77.3.255", "ff02::1"])
def test_addresses_of_many_hosts_are_not_local(host: Host, address: str) -> None:
    """A socket can be bound to them, but nobody can connect there."""
    assert not facts_of.is_local(address)


@needs_a_host
def test_capability() -> None:
    """Who can make hosts may change the network."""
    assert facts_of.has_net_admin()


def test_without_a_proc_of_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known, so nothing is permitted."""
    monkeypatch.setattr(facts_of, "PROC", tmp_path)
    assert not facts_of.has_net_admin()
    assert not facts_of.forwards(Family.IPV6)


@pytest.mark.parametrize(("effective", "may"), [("0000000000001000", True), ("ffffffffffffefff", False)])
def test_capability_is_one_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effective: str, may: bool) -> None:
    """CAP_NET_ADMIN, among what is in effect."""
    (tmp_path / "thread-self").mkdir()
    (tmp_path / "thread-self" / "status").write_text(f"Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t{effective}\n")
    monkeypatch.setattr(facts_of, "PROC", tmp_path)
    assert facts_of.has_net_admin() is may


@needs_a_host
@pytest.mark.parametrize(
    "ask",
    [
        lambda: facts_of.facts(routes_localnet=False),
        lambda: facts_of.forwards(Family.IPV4),
        lambda: facts_of.foreign([OWN_4]),
    ],
)
def test_nothing_to_ask_with(host: Host, ask: Callable[[], object]) -> None:
    """Without a descriptor nothing is known, which is no answer: not that this host does not forward, for example."""
    with no_descriptors(), pytest.raises(DataPlaneError, match="Too many open files"):
        ask()


def test_numbers(tmp_path: Path) -> None:
    """A file without a number, or none, is 0."""
    file = tmp_path / "value"
    assert facts_of.read_number(file) == 0
    file.write_text("17\n")
    assert facts_of.read_number(file) == 17
    file.write_text("many")
    assert facts_of.read_number(file) == 0
