"""The table's text is what the kernel takes, and holds what the picture promises."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest

from support.netns import Host
from support.tables import TABLE, alone, needs_a_host
from tidegate.dataplanes.nftables import marks, structure
from tidegate.dataplanes.nftables.kernel import Kernel
from tidegate.dataplanes.nftables.nft import Nft
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.ruleset import Ladder, Rung
from tidegate.dataplanes.nftables.structure import TableName

OPTIONS = [
    NftablesOptions(preserve_source=preserve, allow_route_localnet=localnet)
    for preserve in (False, True)
    for localnet in (False, True)
]
RUNGS = [Rung(ladder.value, version, size) for ladder in Ladder for version in (4, 6) for size in (1, 3)]


@pytest.fixture
def host() -> Iterator[Host]:
    """Where the test is."""
    with alone() as present:
        yield present


def text(options: NftablesOptions, **more: object) -> str:
    return structure.table(TABLE, "a comment", marks.prefix(3), options, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", OPTIONS)
def test_every_chain_has_rules(options: NftablesOptions) -> None:
    """Rules are written for exactly the chains that are made, and each jump leads to one of them."""
    written = text(options)
    chains = structure.chains(options)
    filled = set(re.findall(r"^\tchain (\S+) \{$", written, re.MULTILINE)) | set(
        re.findall(r"^add rule inet \S+ (\S+)", written, re.MULTILINE)
    )
    assert filled == set(chains)
    assert set(re.findall(r"goto (\S+)", written)) <= set(chains)
    assert ("guard" in chains) is options.allow_route_localnet


def test_before_and_after_others() -> None:
    """Destinations are translated before Docker, kube-proxy and firewalld do, sources before they masquerade."""
    assert structure.DESTINATION_PRIORITY < -100
    assert -90 < structure.SOURCE_PRIORITY < 100


def test_ladders_are_tried_to_their_end() -> None:
    """Each ladder tries its own rungs by size, and then: here goes on to everybody's, the others refuse."""
    lines = structure.ladders(TABLE, RUNGS).splitlines()
    for ladder in Ladder:
        for version in (4, 6):
            chain = structure.ladder_chain(ladder, version)
            own = [line.split(f" {chain} ")[1] for line in lines if line.startswith(f"add rule inet {TABLE} {chain} ")]
            sizes = re.findall(r"mod (\d+) map @(\S+)-(\d+)", " ".join(own[:-1]))
            assert sizes == [("1", chain, "1"), ("3", chain, "3")]
            assert own[-1] == (f"goto endpoints{version}" if ladder is Ladder.HERE else "goto refuse")


def test_seals_differ() -> None:
    """Other options and other marks make another structure; the same make the same."""
    assert len({structure.seal(prefix, options) for options in OPTIONS for prefix in (1 << 20, 2 << 20)}) == 8
    assert structure.seal(1 << 20, OPTIONS[0]) == structure.seal(1 << 20, NftablesOptions())


@needs_a_host
@pytest.mark.parametrize("options", OPTIONS)
def test_stands(host: Host, options: NftablesOptions) -> None:
    """What was written is found to stand, with these options and rungs, and with no others."""
    Nft().run(text(options, rungs=RUNGS))
    with contextlib.closing(Kernel(TABLE)) as kernel:
        found = kernel.read()

    def stands(options: NftablesOptions = options, rungs: list[Rung] = RUNGS) -> bool:
        beside = found.digests[structure.SEALED]
        return structure.stands(found.sets, found.chains, beside, marks.prefix(3), options, rungs=rungs)

    assert stands()
    assert [one for one in OPTIONS if stands(one)] == [options]
    assert not stands(rungs=RUNGS[1:])
    assert not stands(rungs=[*RUNGS, Rung(RUNGS[0].ladder, 4, 9)])


@needs_a_host
@pytest.mark.parametrize("options", OPTIONS)
def test_kernel_takes_it(host: Host, options: NftablesOptions) -> None:
    """As a new table and once more over itself; both leave the same."""
    nft = Nft()
    nft.run(text(options, rungs=RUNGS))
    first = host.ruleset()
    nft.run(text(options, rungs=RUNGS))
    assert host.ruleset() == first
    assert 'comment "a comment"' in first
    assert ("@hairpins4" in first.partition("chain postrouting")[2]) is options.preserve_source


@needs_a_host
def test_written_anew_keeps_elements(host: Host) -> None:
    """A later controller with other options changes rules and removes obsolete chains, but loses no element."""
    nft = Nft()
    nft.run(text(OPTIONS[-1], rungs=RUNGS[:1]))
    host.nft(
        f"add element inet {TABLE} lanes {{ 0x70300001 }}; add element inet {TABLE} sockets {{ tcp . 80 : 0x70300001 }}"
    )
    nft.run(text(OPTIONS[0], rungs=RUNGS, obsolete=["guard"]))
    now = host.ruleset()
    assert "elements = { 0x70300001 }" in now
    assert re.search(r"tcp \. 80 : 0x70300001", now)
    assert "chain guard" not in now


@needs_a_host
@pytest.mark.parametrize("name", ["default", "a.b_c-1", "0", "x" * 63])
def test_names_of_instances(host: Host, name: str) -> None:
    """Whatever an instance may be called, its table can be made."""
    Nft().run(structure.table(TableName(name), "", marks.prefix(0), OPTIONS[0]))
    assert f"table inet tidegate-{name} " in host.ruleset()
