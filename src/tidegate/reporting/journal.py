"""Which events to make of what happens: repetitions are counted instead of told again, and nobody tells too much.

In: happenings, and which events were written. Out: one event after the other that is to be written. Pure; times are
passed in.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from tidegate.reporting.base import Subject
from tidegate.reporting.happenings import Happening
from tidegate.reporting.pacing import Allowance
from tidegate.reporting.turns import Turns

SERIES_S = 600.0
"""The same within so many seconds after the last time is a repetition."""

UPDATE_S = 60.0
"""So often at most the count of a repetition is written."""

CAPACITY = 1000
"""So many events are kept, waiting or for the sake of repetitions; what comes on top is not told."""


class Entry(msgspec.Struct, kw_only=True):
    """An event. ``name`` is the one that it was written under, ``told`` how much of ``count`` was written."""

    happening: Happening
    first: dt.datetime
    last: dt.datetime
    noted_at: float
    count: int = 1
    name: str = ""
    told: int = 0
    told_at: float = 0.0

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two happenings the same."""
        one = self.happening
        return (*_key(one.subject), one.tone, one.reason, one.note)

    def idle(self, now: float) -> bool:
        """Whether it has been told, and a repetition would begin anew."""
        return self.told == self.count and now - self.noted_at > SERIES_S


class Journal:
    """The events of a while."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, ...], Entry] = {}
        self._allowances: dict[tuple[str, ...], Allowance] = {}
        self._turns: Turns[tuple[str, ...]] = Turns()

    def note(self, happening: Happening, now: float, clock: dt.datetime) -> bool:
        """Take a happening. False: there are too many, of this object or altogether, and this one is not told."""
        fresh = Entry(happening=happening, first=clock, last=clock, noted_at=now)
        known = self._entries.get(fresh.key)
        if known is not None and not known.idle(now):
            known.count += 1
            known.last, known.noted_at = clock, now
            self._turns.put(known.key, 0, max(now, known.told_at + UPDATE_S) if known.told else now)
            return True
        self._forget(now)
        allowance = self._allowances.setdefault(_key(happening.subject), Allowance(burst=10, refill=60.0, gap=0.0))
        if allowance.ready_at > now or len(self._entries) >= CAPACITY:
            return False
        allowance.use(now)
        self._entries[fresh.key] = fresh
        self._turns.put(fresh.key, 0, now)
        return True

    @property
    def next_due(self) -> float | None:
        """When the next event is to be written; None: there is none."""
        return self._turns.next_due

    def take(self, now: float) -> Entry | None:
        """The event to be written now; it has to be given back by one of the following."""
        key = self._turns.take(now)
        return None if key is None else self._entries[key]

    def told(self, entry: Entry, name: str, count: int, now: float) -> None:
        """An event was written under a name, with a count."""
        entry.name, entry.told, entry.told_at = name, count, now
        self._turns.done(entry.key)
        if entry.count > count:
            self._turns.put(entry.key, 0, now + UPDATE_S)

    def again(self, entry: Entry, now: float) -> None:
        """An event was not written, but can be."""
        self._turns.done(entry.key)
        self._turns.put(entry.key, 0, now)

    def failed(self, entry: Entry) -> None:
        """An event cannot be written."""
        self._turns.drop(entry.key)
        self._turns.done(entry.key)
        del self._entries[entry.key]

    def _forget(self, now: float) -> None:
        if len(self._entries) >= CAPACITY:
            self._entries = {key: entry for key, entry in self._entries.items() if not entry.idle(now)}
        if len(self._allowances) >= CAPACITY:
            self._allowances = {key: one for key, one in self._allowances.items() if not one.rested(now)}


def _key(subject: Subject) -> tuple[str, ...]:
    key = subject.key
    return (key.group, key.kind, key.namespace, key.name, subject.uid)
