"""What an earlier controller left in the kernel, and what this one makes of it. Pure.

In: the tables that there are, and the contents of ours. Out: which marks are whose, what the plan is compared with, and
what is ours no more. Nothing is kept outside the kernel that would be needed for it: a table knows its marks by its
comment, and a lane what it stands for by the identity beside its element.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping

import msgspec

from tidegate.dataplanes.nftables import marks, ruleset
from tidegate.dataplanes.nftables.bytecode import TableFact
from tidegate.dataplanes.nftables.ruleset import Element, Ladder, Rung

_COMMENT = re.compile(r"marks 0x7([0-9a-f]{2})00000/12, counting as ([0-9a-f]+)")
_RUNG = re.compile(rf"({'|'.join(ladder.value for ladder in Ladder)})([46])-([1-9][0-9]*)")


class Origin(msgspec.Struct, frozen=True):
    """Which marks a table uses, and the name under which its counters grow."""

    slot: int
    generation: str

    @property
    def comment(self) -> str:
        """The table's comment."""
        return f"marks {marks.prefix(self.slot):#010x}/12, counting as {self.generation}"


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a table holds: the names of its sets, its chains with how many rules each holds and leads to it, the
    elements of the sets that the plan decides about, and what is written beside each chain's rules.
    """

    sets: frozenset[str]
    chains: Mapping[str, int]
    elements: tuple[Element, ...]
    digests: Mapping[str, tuple[bytes, ...]]


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """What there is: elements and choices that the plan decides about, marks by identity, rungs that are in use or
    ``idle``, and chains that this version of tidegate does not know.
    """

    elements: tuple[Element, ...] = ()
    choices: Mapping[str, tuple[bytes, ...]] = {}
    known: Mapping[bytes, int] = {}
    numbers: frozenset[int] = frozenset()
    rungs: frozenset[Rung] = frozenset()
    idle: frozenset[Rung] = frozenset()
    obsolete: tuple[str, ...] = ()


def origin_of(table: TableFact) -> Origin | None:
    """Where a table comes from; None when its comment does not say, so that it cannot be adopted."""
    found = _COMMENT.search(table.comment)
    return Origin(int(found.group(1), 16), found.group(2)) if found is not None else None


def free_slot(instance: str, tables: Iterable[TableFact]) -> int:
    """A slot that no other instance in this network namespace uses, the same for an instance where possible."""
    taken = {origin.slot for origin in map(origin_of, tables) if origin is not None}
    first = zlib.crc32(instance.encode()) % marks.SLOTS
    candidates = ((first + step) % marks.SLOTS for step in range(marks.SLOTS))
    return next((slot for slot in candidates if slot not in taken), first)


def adoption(contents: Contents, chains: Iterable[str]) -> Adoption:
    """What to make of a table's contents; ``chains`` are those that this version writes."""
    ours = set(chains)
    with_marks = [one for one in contents.elements if one.place.map in (ruleset.LANES, ruleset.CHOICES)]
    rungs = {rung for rung in map(rung_of, contents.sets) if rung is not None}
    filled = {one.place.map for one in contents.elements}
    choices = {name: contents.digests.get(name, ()) for name in contents.chains if name.startswith(ruleset.CHOICE)}
    return Adoption(
        elements=contents.elements,
        choices=choices,
        known={one.identity: ruleset.mark_of(one.place.key) for one in with_marks if one.identity},
        numbers=frozenset(ruleset.mark_of(one.place.key) for one in with_marks),
        rungs=frozenset(rung for rung in rungs if rung.map in filled),
        idle=frozenset(rung for rung in rungs if rung.map not in filled),
        obsolete=tuple(sorted(contents.chains.keys() - ours - choices.keys())),
    )


def rung_of(name: str) -> Rung | None:
    """The rung that a map is; None when it is something else."""
    found = _RUNG.fullmatch(name)
    return Rung(found.group(1), int(found.group(2)), int(found.group(3))) if found is not None else None
