"""The keeper has the table as it should be: made, adopted, written, found lost, and made again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

import pytest

from support.netns import Host, needs_hosts
from support.plans import Change, forward, pool, remove, socket_key
from support.tables import TABLE, Planner, alone
from tidegate.dataplanes.nftables import keeper as keeping
from tidegate.dataplanes.nftables import marks as marking
from tidegate.dataplanes.nftables import ruleset, structure
from tidegate.dataplanes.nftables.image import Difference, Expected
from tidegate.dataplanes.nftables.keeper import Keeper, Wanted
from tidegate.dataplanes.nftables.kernel import Kernel, TableLostError
from tidegate.dataplanes.nftables.marks import Marks
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.ruleset import NOTHING, Element, Forwarding, Ladder, Place
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.errors import DataPlaneError
from tidegate.names import SocketKey

pytestmark = needs_hosts()

AWAY, OTHER = ("10.9.9.9", 80), ("10.9.9.8", 80)
FLUSHED = (forward(80, ("a", 70), ("b", 30), address="*"), forward(81, "a", address="*"))
PLAN = (
    pool("a", AWAY)
    | pool("b", OTHER)
    | forward(80, ("a", 70), ("b", 30), address="*")
    | forward(81, "a", address="::1")
)


@pytest.fixture(autouse=True)
def host() -> Iterator[Host]:
    """Where the test is."""
    with alone() as present:
        yield present


@pytest.fixture
def keeper(host: Host) -> Iterator[Keeper]:
    """One that did not begin."""
    present = Keeper(TABLE, NftablesOptions())
    yield present
    present.close()


@pytest.fixture
def another(host: Host) -> Iterator[Callable[..., Keeper]]:
    """Further ones, of the same table unless another is named."""
    with contextlib.ExitStack() as stack:

        def make(options: NftablesOptions | None = None, *, table: TableName = TABLE) -> Keeper:
            present = Keeper(table, options or NftablesOptions())
            stack.callback(present.close)
            return present

        yield make


@pytest.fixture
def kernel(host: Host) -> Iterator[Kernel]:
    """What there really is."""
    present = Kernel(TABLE)
    yield present
    present.close()


def held(kernel: Kernel) -> dict[str, int]:
    """How many elements there are of each set that is not empty."""
    found: dict[str, int] = {}
    for one in kernel.read().elements:
        found[one.place.map] = found.get(one.place.map, 0) + 1
    return found


def needed(wanted: Mapping[SocketKey, Wanted]) -> set[Element]:
    """All elements of sockets, as they are read."""
    return {
        Element(one.place, one.data, one.chain, identity=one.identity)
        for each in wanted.values()
        for one in (*each.forwarding.elements, *([each.forwarding.entry] if each.admitted else []))
        if each.forwarding is not NOTHING
    }


async def test_makes_and_adopts(keeper: Keeper, another: Callable[..., Keeper], kernel: Kernel) -> None:
    """A new table is empty; a successor finds in it what was written, and has nothing to write."""
    assert (await keeper.begin()).elements == ()
    wanted = Planner(Marks(keeper.origin.slot)).wanted(PLAN)
    assert await keeper.write(wanted) == {}
    assert set(kernel.read().elements) == needed(wanted)
    generation = kernel.generation()
    successor = another()
    found = await successor.begin()
    assert successor.origin == keeper.origin
    assert set(found.elements) == needed(wanted)
    marks = Marks(successor.origin.slot)
    marks.adopt(found.known, found.numbers)
    assert await successor.write(Planner(marks).wanted(PLAN)) == {}
    await successor.sweep()
    assert kernel.generation() == generation


@pytest.mark.parametrize(
    "damage",
    [
        f"flush chain inet {TABLE} serve6",
        f"add rule inet {TABLE} find drop",
        f"add chain inet {TABLE} somebodys",
        f"delete set inet {TABLE} hairpins6",
        f"flush chain inet {TABLE} endpoints4",
    ],
)
async def test_structure_that_differs_is_written_again(
    keeper: Keeper, another: Callable[..., Keeper], host: Host, damage: str
) -> None:
    """A successor mends what somebody did to rules while no controller ran."""
    await keeper.begin()
    await keeper.write(Planner(Marks(keeper.origin.slot)).wanted(PLAN))
    before = sorted(host.ruleset().splitlines())
    host.nft(damage)
    assert sorted(host.ruleset().splitlines()) != before
    await another().begin()
    assert sorted(host.ruleset().splitlines()) == before


async def test_idle_rungs_alone_leave_the_rest(keeper: Keeper, another: Callable[..., Keeper], host: Host) -> None:
    """A successor removes a map of endpoints that nobody uses any more, and writes no other rules than of ladders."""
    await keeper.begin()
    planner = Planner(Marks(keeper.origin.slot))
    await keeper.write(planner.wanted(pool("a", AWAY, OTHER), forward(80, "a")))
    await keeper.write(planner.wanted(pool("a", AWAY)))
    with host.monitor() as monitor:
        await another().begin()
        changes = monitor.changes()
    assert [line.split()[-1] for line in changes if line.startswith(("delete map", "delete set"))] == ["endpoints4-2"]
    touched = {line.split()[4] for line in changes if " rule " in line}
    assert touched == {structure.ladder_chain(ladder, version) for ladder in Ladder for version in (4, 6)}


async def test_sweeps_what_nobody_wants(keeper: Keeper, another: Callable[..., Keeper], kernel: Kernel) -> None:
    """What an earlier plan held and this one does not goes with the sweep; lanes wait for their connections."""
    await keeper.begin()
    await keeper.write(Planner(Marks(keeper.origin.slot)).wanted(PLAN))
    successor = another(NftablesOptions(allow_route_localnet=True))
    found = await successor.begin()
    marks = Marks(successor.origin.slot)
    marks.adopt(found.known, found.numbers)
    await successor.write(Planner(marks).wanted(pool("a", AWAY), forward(81, "a", address="::1")))
    assert held(kernel)["sockets"] == 1
    await successor.sweep()
    assert held(kernel) == {"sockets6": 1, "endpoints4-1": 1, "lanes": 3}
    assert not [name for name in kernel.chains() if name.startswith(ruleset.CHOICE)]


async def test_random_changes(keeper: Keeper, kernel: Kernel) -> None:
    """After each of many changes the kernel has what the plan needs, plus lanes that are not freed yet."""
    await keeper.begin()
    planner, draw = Planner(Marks(keeper.origin.slot)), random.Random(4)
    present: dict[SocketKey, Wanted] = {}
    for _ in range(60):
        change: Change = {}
        for _ in range(draw.randint(1, 3)):
            port, name = draw.randint(80, 84), draw.choice("abc")
            shares = [(one, draw.randint(0, 3)) for one in draw.sample(("a", "b", "c", None), draw.randint(0, 4))]
            endpoints = draw.sample([AWAY, OTHER, ("127.0.0.1", 1), ("::1", 1)], draw.randint(0, 4))
            change |= draw.choice([forward(port, *shares), pool(name, *endpoints), remove(port)])
        wanted = planner.wanted(change)
        assert await keeper.write(wanted) == {}
        present |= wanted
        found = set(kernel.read().elements)
        assert needed(present) <= found
        assert {one.place.map for one in found - needed(present)} <= {ruleset.LANES}
    assert not await keeper.is_lost()


async def test_fault_of_one(keeper: Keeper, kernel: Kernel) -> None:
    """The socket that is refused is told and keeps what it had; the others are written; later it can be repaired."""
    await keeper.begin()
    planner = Planner(Marks(keeper.origin.slot))
    await keeper.write(planner.wanted(PLAN))
    wanted = planner.wanted(forward(80, "a", address="*"), forward(82, "b"))
    good = wanted[socket_key(80, "*")]
    entry = Element(Place("sockets", b"too short"))
    broken = Wanted(Forwarding(entry, good.forwarding.elements, None, good.forwarding.rungs), True)
    faults = await keeper.write({**wanted, socket_key(80, "*"): broken})
    assert faults == {socket_key(80, "*"): "Invalid argument"}
    assert held(kernel)["choices"] == 1
    assert held(kernel)["sockets4"] == 1
    assert await keeper.write({socket_key(80, "*"): good}) == {}
    assert "choices" not in held(kernel)


async def test_rungs_that_nobody_uses(keeper: Keeper, another: Callable[..., Keeper], kernel: Kernel) -> None:
    """They go when the ladders are written anyway, with the sweep, and when a table is adopted; those in use stay."""

    def rungs() -> set[str]:
        return {name for name in kernel.read().sets if name.startswith("endpoints4-")}

    def many(count: int) -> Change:
        return pool("a", *((f"10.9.9.{last}", 80) for last in range(count)))

    await keeper.begin()
    planner = Planner(Marks(keeper.origin.slot))
    for count in (1, 2, 3, 2, 3, 4):
        await keeper.write(planner.wanted(many(count), forward(80, "a")))
    assert rungs() == {"endpoints4-3", "endpoints4-4"}
    await keeper.sweep()
    assert rungs() == {"endpoints4-4"}
    assert not await keeper.is_lost()
    for count in (4, 5):
        wanted = planner.wanted(many(count))
        assert await keeper.write(wanted) == {}
    successor = another()
    await successor.begin()
    assert rungs() == {"endpoints4-5"}
    assert needed(wanted) <= set(kernel.read().elements)


async def test_what_the_kernel_keeps(keeper: Keeper, kernel: Kernel, host: Host) -> None:
    """What cannot be removed is told by the sweep, tried again with each, and may be wanted again meanwhile."""
    await keeper.begin()
    planner = Planner(Marks(keeper.origin.slot))
    await keeper.write(planner.wanted(PLAN))
    chain = "choice/tcp/any/80"
    host.nft(f"table inet {TABLE} {{ chain somebodys {{ jump {chain}; }}; }}")
    assert await keeper.write(planner.wanted(remove(80, "*"))) == {}
    assert keeper.untidy
    with pytest.raises(DataPlaneError, match=f"keeps {chain} .1 in all.: Device or resource busy"):
        await keeper.sweep()
    wanted = planner.wanted(forward(80, ("a", 70), ("b", 30), address="*"))
    assert await keeper.write(wanted) == {}
    assert needed(wanted) <= set(kernel.read().elements)
    assert len(kernel.read().digests[chain]) == 2
    await keeper.write(planner.wanted(remove(80, "*")))
    host.nft(f"flush chain inet {TABLE} somebodys")
    await keeper.sweep()
    assert chain not in kernel.chains()
    assert not keeper.untidy


async def test_held_back(keeper: Keeper, kernel: Kernel) -> None:
    """A socket that is not admitted gets no entry, and ``has`` says so."""
    await keeper.begin()
    planner = Planner(Marks(keeper.origin.slot))
    key = socket_key(81, "::1")
    forwarding = planner.wanted(PLAN)[key].forwarding
    await keeper.write({key: Wanted(forwarding, False)})
    assert not keeper.has(forwarding.entry.place)
    assert "sockets6" not in held(kernel)
    await keeper.write({key: Wanted(forwarding, True)})
    assert keeper.has(forwarding.entry.place)


async def test_lanes_are_removed_on_demand(keeper: Keeper, kernel: Kernel) -> None:
    """A lane goes when it is told to, once, and can be written again."""
    await keeper.begin()
    planner = Planner(Marks(keeper.origin.slot))
    await keeper.write(planner.wanted(forward(80, "a")))
    (lane,) = planner.marks.series().owners()
    await keeper.write(planner.wanted(remove(80)))
    await keeper.remove_lanes([lane], {})
    await keeper.remove_lanes([lane], {ruleset.OPENED: []})
    assert held(kernel) == {}
    await keeper.write(planner.wanted(forward(80, "a")))
    assert held(kernel) == {"lanes": 1, "sockets4": 1}


async def test_notices_a_loss(keeper: Keeper, host: Host) -> None:
    """Neither our own changes nor those of other tables are a loss; a removed or emptied table is."""
    await keeper.begin()
    planner = Planner(Marks(keeper.origin.slot))
    await keeper.write(planner.wanted(PLAN))
    host.nft("table inet other { chain find { accept; }; }")
    assert not await keeper.is_lost()
    await keeper.write(planner.wanted(pool("a", AWAY, OTHER)))
    assert not await keeper.is_lost()
    host.nft(f"flush table inet {TABLE}")
    assert await keeper.is_lost()
    host.nft("flush ruleset")
    assert await keeper.is_lost()
    with pytest.raises(TableLostError):
        await keeper.write(planner.wanted(forward(82, "a")))


async def test_makes_a_lost_table_again(keeper: Keeper, kernel: Kernel, host: Host) -> None:
    """With the same marks, which connections still have, and counters of another name; then all can be written."""
    await keeper.begin()
    first = keeper.origin
    planner = Planner(Marks(first.slot))
    await keeper.write(planner.wanted(PLAN))
    host.nft("flush ruleset")
    await keeper.begin_again()
    assert keeper.origin.slot == first.slot
    assert keeper.origin.generation != first.generation
    assert held(kernel) == {}
    wanted = {key: Wanted(planner.catalog.forwarding(key), True) for key in planner.catalog.sockets()}
    assert await keeper.write(wanted) == {}
    assert set(kernel.read().elements) == needed(wanted)
    assert not await keeper.is_lost()


@pytest.mark.parametrize("removed", [False, True])
async def test_table_that_was_only_emptied(
    keeper: Keeper, another: Callable[..., Keeper], kernel: Kernel, host: Host, removed: bool
) -> None:
    """Its rules are written again; what it counted goes on under the same name, and no socket that left stays."""
    await keeper.begin()
    first = keeper.origin
    planner = Planner(Marks(first.slot))
    await keeper.write(planner.wanted(PLAN))
    host.nft(f"flush table inet {TABLE}")
    changed = planner.wanted(remove(80, "*")) if removed else {}
    await keeper.begin_again()
    assert keeper.origin == first
    present = {key: Wanted(planner.catalog.forwarding(key), True) for key in planner.catalog.sockets()}
    assert await keeper.write({**changed, **present}) == {}
    await keeper.sweep()
    assert needed(present) <= set(kernel.read().elements)
    assert ("sockets" in held(kernel)) is not removed
    assert not await keeper.is_lost()
    successor = another()
    await successor.begin()
    assert successor.origin == first


async def test_loss_is_told_until_it_is_mended(keeper: Keeper, host: Host) -> None:
    """Making the table again may fail: whoever asks once more is told once more."""
    await keeper.begin()
    host.nft(f"flush table inet {TABLE}")
    assert [await keeper.is_lost(), await keeper.is_lost()] == [True, True]
    await keeper.begin_again()
    assert not await keeper.is_lost()


async def test_table_that_was_put_back(keeper: Keeper, kernel: Kernel, host: Host) -> None:
    """Rules that somebody saved and loads again are an older state, however alike they look: all is written anew."""
    await keeper.begin()
    planner = Planner(Marks(keeper.origin.slot))
    await keeper.write(planner.wanted(PLAN))
    saved = host.ruleset()
    await keeper.write(planner.wanted(forward(82, "a"), remove(81, "::1")))
    host.nft(f"flush ruleset\n{saved}")
    assert await keeper.is_lost()
    await keeper.begin_again()
    wanted = {key: Wanted(planner.catalog.forwarding(key), True) for key in planner.catalog.sockets()}
    assert await keeper.write(wanted) == {}
    await keeper.sweep()
    assert needed(wanted) <= set(kernel.read().elements)
    assert "sockets6" not in held(kernel)
    assert not await keeper.is_lost()


async def test_table_with_the_marks_of_another(keeper: Keeper, kernel: Kernel, host: Host) -> None:
    """What stands there after a loss is adopted only with our marks: those that are given out stay the same."""
    await keeper.begin()
    first = keeper.origin
    planner = Planner(Marks(first.slot))
    await keeper.write(planner.wanted(PLAN))
    saved = host.ruleset()
    ours, theirs = marking.prefix(first.slot), marking.prefix(first.slot ^ 1)
    host.nft("flush ruleset\n" + saved.replace(f"{ours:#010x}", f"{theirs:#010x}"))
    await keeper.begin_again()
    assert keeper.origin.slot == first.slot
    assert f"{theirs:#010x}" not in host.ruleset()
    present = {key: Wanted(planner.catalog.forwarding(key), True) for key in planner.catalog.sockets()}
    assert await keeper.write(present) == {}
    assert set(kernel.read().elements) == needed(present)


async def test_made_again_twice(keeper: Keeper, another: Callable[..., Keeper], host: Host) -> None:
    """Two who notice a loss at the same time do no harm: the table says what the keeper knows."""
    await keeper.begin()
    host.nft("flush ruleset")
    await keeper.begin_again()
    await keeper.begin_again()
    successor = another()
    await successor.begin()
    assert successor.origin == keeper.origin


async def test_table_of_unknown_origin_is_replaced(keeper: Keeper, kernel: Kernel, host: Host) -> None:
    """A table of our name without our comment is not ours to go on with."""
    host.nft(f"table inet {TABLE} {{ chain somebodys {{ }}; }}")
    await keeper.begin()
    assert "somebodys" not in kernel.chains()
    assert "find" in kernel.chains()


async def test_instances_have_different_marks(keeper: Keeper, another: Callable[..., Keeper]) -> None:
    """Two tables side by side never use the same slot."""
    await keeper.begin()
    slots = {keeper.origin.slot}
    for name in "abc":
        other = another(table=TableName(name))
        await other.begin()
        slots.add(other.origin.slot)
    assert len(slots) == 4


async def test_end(keeper: Keeper, kernel: Kernel) -> None:
    """First no new connection is translated, then the table goes."""
    await keeper.begin()
    await keeper.write(Planner(Marks(keeper.origin.slot)).wanted(PLAN))
    await keeper.end_entries()
    assert not {"sockets", "sockets6"} & held(kernel).keys()
    assert held(kernel)["lanes"] == 3
    keeper.delete()
    assert kernel.fact() is None


async def test_rules_that_this_kernel_does_not_take(keeper: Keeper, kernel: Kernel, host: Host) -> None:
    """A table that cannot be made leaves nothing half done."""
    host.nft(
        f'table inet {TABLE} {{ comment "marks 0x70000000/12, counting as ab"; map sockets {{ type mark : mark; }}; }}'
    )
    with pytest.raises(DataPlaneError):
        await keeper.begin()
    assert kernel.chains() == {}


@pytest.mark.parametrize(
    ("change", "disturbed"),
    [
        ("flush map inet {table} sockets", {80, 81}),
        ("delete element inet {table} sockets {{ tcp . 80 }}", {80}),
        ("flush map inet {table} endpoints4-1", {80, 81}),
        ("flush map inet {table} choices", {80}),
        ("flush chain inet {table} choice/tcp/any/80", {80}),
        ("flush set inet {table} lanes", {80, 81}),
        ("add element inet {table} sockets {{ tcp . 99 : 1 }}", set()),
        ("add chain inet {table} choice/tcp/any/99", set()),
        (
            "delete element inet {table} sockets {{ tcp . 80 }}\nadd element inet {table} sockets {{ tcp . 80 : 1 }}",
            {80},
        ),
        ("add table inet somebodys", set()),
    ],
)
async def test_puts_right_what_others_changed(
    keeper: Keeper, kernel: Kernel, host: Host, change: str, disturbed: set[int]
) -> None:
    """What somebody removes, changes or adds inside of the table is noticed, and only that is written again."""
    await keeper.begin()
    planner = Planner(Marks(keeper.origin.slot))
    wanted = planner.wanted(pool("a", AWAY), pool("b", OTHER), *FLUSHED)
    assert await keeper.write(wanted) == {}
    await keeper.sweep()
    assert not await keeper.is_lost()
    assert await keeper.changed_by_others() == frozenset()
    before = kernel.read()
    host.nft(change.format(table=TABLE))
    assert not await keeper.is_lost()
    found = await keeper.changed_by_others()
    assert {key.port for key in found} == disturbed
    assert await keeper.write({key: one for key, one in wanted.items() if key in found}) == {}
    await keeper.sweep()
    after = kernel.read()
    assert set(after.elements) == set(before.elements)
    assert (after.chains, after.digests) == (before.chains, before.digests)
    assert not await keeper.is_lost()
    generation = kernel.generation()
    assert await keeper.changed_by_others() == frozenset()
    assert await keeper.write(wanted) == {}
    assert kernel.generation() == generation


async def test_own_changes_are_not_those_of_others(keeper: Keeper, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written while the table is read and compared is not taken for a change by others."""
    await keeper.begin()
    planner = Planner(Marks(keeper.origin.slot))
    assert await keeper.write(planner.wanted(pool("a", AWAY), pool("b", OTHER), *FLUSHED)) == {}
    reading, go_on = threading.Event(), threading.Event()
    compare = Expected.compared

    def slowly(self: Expected, elements: Iterable[Element], choices: Mapping[str, tuple[bytes, ...]]) -> Difference:
        read = list(elements)
        reading.set()
        assert go_on.wait(5)
        return compare(self, read, choices)

    monkeypatch.setattr(Expected, "compared", slowly)
    host.nft(f"add table inet somebodys\ndelete element inet {TABLE} sockets {{ tcp . 80 }}")
    assert not await keeper.is_lost()
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(keeper.changed_by_others())
        await asyncio.to_thread(reading.wait, 5)
        changes = planner.wanted(forward(82, "b", address="*"), forward(81, "b", address="*"))
        assert await keeper.write(changes) == {}
        go_on.set()
    assert {key.port for key in await looking} == {80}
    assert not await keeper.is_lost()


async def test_everything_is_read_seldom(keeper: Keeper, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often others change their own tables, the time between two looks is many times that of a look."""
    monkeypatch.setattr(keeping, "_LEISURE", 1e9)
    await keeper.begin()
    assert await keeper.write(Planner(Marks(keeper.origin.slot)).wanted(PLAN)) == {}
    for number in range(2):
        host.nft(f"add table inet somebodys{number}")
        assert not await keeper.is_lost()
        assert await keeper.changed_by_others() == frozenset()
    host.nft(f"flush map inet {TABLE} sockets")
    assert not await keeper.is_lost()
    assert await keeper.changed_by_others() == frozenset()


async def test_what_cannot_be_read_is_not_read_more_often(
    keeper: Keeper, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading that fails takes as long, and is repeated after the same time."""
    monkeypatch.setattr(keeping, "_LEISURE", 1e9)
    await keeper.begin()
    read: list[None] = []

    def changing() -> None:
        read.append(None)
        raise DataPlaneError("changes too fast")

    monkeypatch.setattr(keeper._reader, "choices", changing)
    host.nft("add table inet somebodys")
    assert not await keeper.is_lost()
    with pytest.raises(DataPlaneError):
        await keeper.changed_by_others()
    assert await keeper.changed_by_others() == frozenset()
    assert len(read) == 1
