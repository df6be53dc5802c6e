"""Connection marks: which number stands for which lane or choice, and which numbers are free. Pure.

A *lane* is one backend of one route on one listener: what connections are counted for, and what the mark of a
translated connection tells for as long as it lives. A *choice* is a target with several lanes: the mark that a
connection has for the instant until one of them is drawn.

A mark has 32 bits: 4 that say tidegate, 8 that say which instance (*slot*), 20 for the number. A number is not given
to anything else while a connection with it may be open: a lane that leaves the plan is *retired*, and freed by
whoever has seen that it has no connection any more. What marks an earlier controller gave is learnt by ``adopt``, from
the identities that are kept in the kernel beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

import msgspec

from tidegate.dataplanes.traffic import Series
from tidegate.errors import DataPlaneError
from tidegate.names import TargetKey

TAG = 0x7 << 28
"""The bits by which tidegate's marks are told from those of others."""

NUMBERS = 1 << 20
"""How many marks an instance has."""

SLOTS = 1 << 8
"""How many instances there can be in one network namespace."""

MASK = 0xFFFFFFFF - NUMBERS + 1
"""The bits that all marks of an instance have in common."""

_IDENTITY_BYTES = 12


class LaneKey(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """A lane: the share ``ref`` of a target, as long as it means the same backend for the same route and listener."""

    target: TargetKey
    series: Series
    ref: str


class ChoiceKey(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """The choice between the lanes of a target."""

    target: TargetKey


MarkKey = LaneKey | ChoiceKey


def prefix(slot: int) -> int:
    """What all marks of a slot begin with."""
    return TAG | slot << 20


def identity(key: MarkKey) -> bytes:
    """What the kernel keeps beside a mark, by which a later controller knows what it stands for."""
    content = msgspec.json.encode((type(key).__name__, key))
    return hashlib.sha256(content).digest()[:_IDENTITY_BYTES]


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A mark, and what the kernel keeps beside it."""

    number: int
    identity: bytes


class SeriesOfMarks:
    """Which series the connections of each lane count for, at one moment. Made cheaply, to be used in a thread."""

    def __init__(self, marks: Mapping[MarkKey, Mark], retired: Mapping[int, Series | None]) -> None:
        self._marks = marks
        self._retired = retired

    def owners(self) -> dict[int, Series]:
        """By number, also of retired lanes."""
        present = {mark.number: key.series for key, mark in self._marks.items() if isinstance(key, LaneKey)}
        return present | {number: series for number, series in self._retired.items() if series is not None}

    def planned(self) -> set[Series]:
        """Those of the lanes that are in the plan."""
        return {key.series for key in self._marks if isinstance(key, LaneKey)}


class Marks:
    """The marks of one instance. ``changes`` grows when marks are given or retired."""

    def __init__(self, slot: int) -> None:
        self.prefix = prefix(slot)
        self.changes = 0
        self._marks: dict[MarkKey, Mark] = {}
        self._retired: dict[int, Series | None] = {}
        self._known: dict[bytes, int] = {}
        self._used: set[int] = set()
        self._former: Mapping[int, Series] = {}
        self._next = 0

    def adopt(
        self, known: Mapping[bytes, int], others: Iterable[int], former: Mapping[int, Series] | None = None
    ) -> None:
        """What an earlier controller left: marks by identity, and further ones that connections still have; and whose
        lanes were, as far as it wrote that down (``former``).

        Whatever of it is not asked for until ``forget_the_rest`` is retired then.
        """
        self._known = dict(known)
        self._used.update(known.values(), others)
        self._former = former or {}

    def forget_the_rest(self, needed: Collection[int] = ()) -> None:
        """The plan is complete: what was adopted and is not in it, is retired, those excepted that are still
        ``needed``, which wait for the next time.
        """
        taken = {mark.number for mark in self._marks.values()}
        self._known = {name: number for name, number in self._known.items() if number in needed}
        rest = self._used - taken - self._retired.keys() - set(needed)
        self._retired.update((number, self._former.get(number)) for number in rest)
        self.changes += bool(rest)

    def take(self, key: MarkKey) -> Mark:
        """The mark of a lane or choice, a new one when it has none. Raises DataPlaneError when all are used."""
        mark = self._marks.get(key)
        if mark is None:
            name = identity(key)
            number = self._known.pop(name, None)
            mark = self._marks[key] = Mark(self._free() if number is None else number, name)
            self._used.add(mark.number)
            self.changes += 1
        return mark

    def retire(self, key: MarkKey) -> None:
        """It left the plan: connections with its mark may still be open."""
        mark = self._marks.pop(key, None)
        if mark is not None:
            self.changes += 1
            self._retired[mark.number] = key.series if isinstance(key, LaneKey) else None

    def free(self, mark: int) -> None:
        """Nothing in the kernel has this retired mark any more."""
        del self._retired[mark]
        self._used.discard(mark)

    @property
    def retired(self) -> Mapping[int, Series | None]:
        """The retired marks, with the series of those lanes of which it is known."""
        return self._retired

    def series(self) -> SeriesOfMarks:
        """The series of every lane that has a mark now."""
        return SeriesOfMarks(dict(self._marks), dict(self._retired))

    def _free(self) -> int:
        # In turn, so that a number rests for as long as possible before it means something else.
        for _ in range(NUMBERS):
            self._next = self._next % (NUMBERS - 1) + 1
            if self.prefix | self._next not in self._used:
                return self.prefix | self._next
        raise DataPlaneError(f"more than {NUMBERS - 1} backends of listeners are more than connection marks can tell")
