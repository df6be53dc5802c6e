"""The table in a real kernel: what is written is read, what is refused is left out, what is gone is missed."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping, Sequence

import pytest

from support.clients import Refused, ask
from support.netns import Host, needs_hosts
from support.plans import forward, pool, remove, socket_key
from support.tables import OWN_4, TABLE, Planner, alone
from tidegate.dataplanes.nftables import bytecode, marks, ruleset, structure
from tidegate.dataplanes.nftables.adoption import origin_of
from tidegate.dataplanes.nftables.image import Image, Steps
from tidegate.dataplanes.nftables.kernel import Committed, Counts, Kernel, TableLostError
from tidegate.dataplanes.nftables.nft import Nft
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.ruleset import Element, Forwarding, Place, Rung
from tidegate.dataplanes.nftables.wire import Request
from tidegate.errors import DataPlaneError
from tidegate.names import SocketKey

pytestmark = needs_hosts()

AWAY = ("10.9.9.9", 80)
SPLIT = pool("a", AWAY, ("10.9.9.8", 80), ("2001:db8::1", 80)) | forward(80, ("a", 70), (None, 30), address="*")


@pytest.fixture(autouse=True)
def host() -> Iterator[Host]:
    """Where the test is."""
    with alone() as present:
        yield present


@pytest.fixture
def kernel(host: Host) -> Iterator[Kernel]:
    """A table without listeners."""
    rungs = [Rung("endpoints", version, size) for version in (4, 6) for size in (1, 2)]
    Nft().run(
        structure.table(TABLE, "marks 0x70000000/12, counting as ab", marks.prefix(0), NftablesOptions(), rungs=rungs)
    )
    present = Kernel(TABLE)
    yield present
    present.close()


def steps(*forwardings: Forwarding) -> dict[SocketKey, Steps]:
    return {socket_key(number): Image().steps((), one, admitted=True) for number, one in enumerate(forwardings)}


def test_what_is_written_is_read(kernel: Kernel) -> None:
    """Every element with its content and identity, and the choice's rules by their digests."""
    wanted = Planner().forwarding(SPLIT)
    assert kernel.commit(steps(wanted)) == Committed(faults={}, kept={})
    found = kernel.read()
    assert wanted.choice is not None
    bare = {Element(one.place, one.data, one.chain, identity=one.identity) for one in (*wanted.elements, wanted.entry)}
    assert set(found.elements) == bare
    assert found.digests[wanted.choice.chain] == tuple(bytecode.digests(wanted.choice))
    assert {"sockets", "refused", "endpoints6-1"} <= found.sets
    assert found.chains.keys() == {*structure.chains(NftablesOptions()), wanted.choice.chain}
    image = Image(found.elements, {name: found.digests[name] for name in [wanted.choice.chain]})
    assert image.steps((), wanted, admitted=True) == Steps()


def test_how_nft_shows_it(kernel: Kernel, host: Host) -> None:
    """People read marks, weights and comments."""
    kernel.commit(steps(Planner().forwarding(SPLIT)))
    shown = " ".join(host.ruleset("table", "inet", str(TABLE)).split())
    assert 'comment "default/gateway/listener default/route a"' in shown
    assert re.search(r"numgen random mod 10 < 3 ct mark set .*0x70000002", shown)
    assert "tcp . 80 : 0x70000003" in shown
    assert "10.9.9.9 . 80" in shown


def test_written_twice(kernel: Kernel) -> None:
    """Written again, the same is taken again, and nothing is there twice."""
    work = steps(Planner().forwarding(SPLIT))
    for _ in range(2):
        assert kernel.commit(work) == Committed(faults={}, kept={})
    assert len(kernel.read().elements) == len(set(kernel.read().elements))


def test_fault_of_one(kernel: Kernel) -> None:
    """A socket that the kernel refuses is told with the reason, leaves nothing behind, and the other is in force."""
    planner = Planner()
    good, bad = planner.forwarding(SPLIT), planner.forwarding(pool("b", *[AWAY] * 9) | forward(81, "b"))
    done = kernel.commit({socket_key(80): steps(good)[socket_key(0)], socket_key(81): steps(bad)[socket_key(0)]})
    assert done == Committed(faults={socket_key(81): "No such file or directory"}, kept={})
    found = {one.place for one in kernel.read().elements}
    assert good.entry.place in found
    assert not found & {one.place for one in (*bad.elements, bad.entry)}


def test_removal(kernel: Kernel) -> None:
    """After both parts nothing is left but the lanes; a leftover's entry goes before what it led to."""
    planner, image = Planner(), Image()
    wanted = planner.forwarding(SPLIT)
    first = image.steps((), wanted, admitted=True)
    kernel.commit({socket_key(80): first})
    image.entered(first)
    gone = planner.wanted(remove(80, "*"))[socket_key(80, "*")].forwarding
    kernel.commit({socket_key(80): image.steps(wanted.removable, gone, admitted=False)})
    found = kernel.read()
    assert {one.place.map for one in found.elements} == {"lanes"}
    assert found.chains.keys() == structure.chains(NftablesOptions()).keys()
    kernel.commit({socket_key(80): first})
    kernel.sweep(Image(kernel.read().elements, {"choice/tcp/any/80": ()}).leftovers())
    assert {one.place.map for one in kernel.read().elements} == {"lanes"}
    assert kernel.read().chains.keys() == structure.chains(NftablesOptions()).keys()


def test_what_the_kernel_keeps(kernel: Kernel, host: Host) -> None:
    """A chain to which a rule of somebody else leads stays, and is told; what goes is gone."""
    planner, image = Planner(), Image()
    wanted = planner.forwarding(SPLIT)
    first = image.steps((), wanted, admitted=True)
    kernel.commit({socket_key(80): first})
    image.entered(first)
    host.nft(f"add rule inet {TABLE} find jump choice/tcp/any/80")
    gone = planner.wanted(remove(80, "*"))[socket_key(80, "*")].forwarding
    done = kernel.commit({socket_key(80): image.steps(wanted.removable, gone, admitted=False)})
    busy = {"choice/tcp/any/80": "Device or resource busy"}
    assert done == Committed(faults={}, kept=busy)
    assert {one.place.map for one in kernel.read().elements} == {"lanes"}
    assert kernel.sweep(Steps(unused=("choice/tcp/any/80",))) == busy
    host.nft(f"flush chain inet {TABLE} find")
    assert kernel.sweep(Steps(unused=("choice/tcp/any/80",))) == {}


def test_refusals_are_told(kernel: Kernel) -> None:
    """Elements that the kernel keeps are no success; those that are not there are."""
    with pytest.raises(DataPlaneError, match="keeps 1 elements: Invalid argument"):
        kernel.remove_elements({"lanes": [b"too long for a mark"]})
    kernel.remove_elements({"lanes": [bytes(4)]})


def test_entries_that_cannot_be_ended(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel goes on translating: that is told with its reason, after the others were ended."""
    wanted = Planner().forwarding(SPLIT)
    kernel.commit(steps(wanted))

    batch = kernel._netlink.batch

    def refusing(requests: Sequence[Request]) -> Mapping[int, int]:
        return {-1: errno.ENOMEM} if any(b"sockets6" in one.body for one in requests) else batch(requests)

    monkeypatch.setattr(kernel._netlink, "batch", refusing)
    with pytest.raises(DataPlaneError, match="does not empty the map sockets6: Cannot allocate memory"):
        kernel.close_entries()
    assert wanted.entry.place not in {one.place for one in kernel.read().elements}


def test_entries_end_alone(kernel: Kernel) -> None:
    """Without entries, all else is as it was."""
    wanted = Planner().forwarding(SPLIT)
    kernel.commit(steps(wanted))
    kernel.close_entries()
    assert {one.place for one in kernel.read().elements} == {one.place for one in wanted.elements}
    kernel.close_entries()


async def test_counters(kernel: Kernel) -> None:
    """What a lane opened and refused is counted by its mark, until it is removed."""
    wanted = Planner().forwarding(forward(80, "a", address="*"))
    kernel.commit(steps(wanted))
    assert kernel.count() == Counts(opened=(), refused=(), traffic=())
    assert isinstance(await ask(80, host=OWN_4), Refused)
    counts = kernel.count()
    assert [(one.key, one.packets) for one in counts.opened] == [(wanted.entry.data, 1)]
    assert [(one.key, one.packets) for one in counts.refused] == [(wanted.entry.data, 1)]
    kernel.remove_elements(
        {ruleset.OPENED: [wanted.entry.data], ruleset.REFUSED: [wanted.entry.data], ruleset.TRAFFIC: []}
    )
    assert kernel.count() == Counts(opened=(), refused=(), traffic=())


def test_table_and_generation(kernel: Kernel, host: Host) -> None:
    """It tells its comment; any table's change moves the generation, ours are counted."""
    fact = kernel.fact()
    assert fact is not None
    assert origin_of(fact) is not None
    assert [one.name for one in kernel.tables()] == [str(TABLE)]
    before = kernel.generation()
    host.nft("table inet other { }")
    assert kernel.generation() > before
    assert len(kernel.tables()) == 2
    kernel.commit(steps(Planner().forwarding(forward(80, "a"))))
    kernel.commit({})
    assert kernel.commits == 1


def test_chains_of_others_are_not_ours(kernel: Kernel, host: Host) -> None:
    """A chain of the same name in another table does not count."""
    before = kernel.chains()
    host.nft("table inet other { chain find { accept; accept; }; chain more { }; }")
    assert kernel.chains() == before


def test_lost_table(kernel: Kernel, host: Host) -> None:
    """Every use of a table that somebody removed says that it is lost; removing it once more is no error."""
    wanted = Planner().forwarding(forward(80, "a"))
    host.nft("flush ruleset")
    assert kernel.fact() is None
    for use in (
        kernel.read,
        kernel.count,
        kernel.close_entries,
        lambda: kernel.commit(steps(wanted)),
        lambda: kernel.remove_elements({"lanes": [bytes(4)]}),
        lambda: kernel.sweep(Steps(ended=(Place("sockets", bytes(8)),))),
    ):
        with pytest.raises(TableLostError, match="somebody removed the table tidegate-tests"):
            use()
    kernel.delete()


def test_delete(kernel: Kernel, host: Host) -> None:
    """It goes with all that it holds, and nothing else does."""
    host.nft("table inet other { }")
    kernel.commit(steps(Planner().forwarding(SPLIT)))
    kernel.delete()
    assert [one.name for one in kernel.tables()] == ["other"]
