"""Which events are made of what happens."""

from __future__ import annotations

import datetime as dt

import pytest

from support.resources import gateway_key
from support.statuses import NOW
from tidegate.reporting.base import Subject
from tidegate.reporting.happenings import Happening, Tone
from tidegate.reporting.journal import CAPACITY, SERIES_S, UPDATE_S, Journal


def happening(note: str = "text", *, name: str = "gw", uid: str = "u", reason: str = "Reason") -> Happening:
    """Something that happened to a Gateway."""
    subject = Subject(gateway_key(name), "v1", uid)
    return Happening(subject=subject, tone=Tone.WARNING, reason=reason, note=note, action="Act")


class Diary:
    """A journal with a clock, and a server that takes every event."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.now = 1000.0

    @property
    def clock(self) -> dt.datetime:
        """The time of day."""
        return NOW + dt.timedelta(seconds=self.now)

    def notes(self, one: Happening) -> bool:
        """Something happens now."""
        return self.journal.note(one, self.now, self.clock)

    def writes(self) -> list[tuple[str, int]]:
        """The notes and counts of all events that are to be written now."""
        found = []
        while (entry := self.journal.take(self.now)) is not None:
            found.append((entry.happening.note, entry.count))
            self.journal.told(entry, entry.name or f"event-{entry.happening.note}", entry.count, self.now)
        return found

    def waits(self) -> float | None:
        """How long until an event is to be written; None: for ever."""
        due = self.journal.next_due
        return None if due is None else max(0.0, due - self.now)


@pytest.fixture
def diary() -> Diary:
    """An empty journal."""
    return Diary()


def test_a_happening_is_told_at_once(diary: Diary) -> None:
    """And once."""
    assert diary.notes(happening())
    assert diary.waits() == 0
    assert diary.writes() == [("text", 1)]
    assert diary.waits() is None


@pytest.mark.parametrize(
    "other", [happening("else"), happening(name="other"), happening(uid="v"), happening(reason="Other")]
)
def test_what_differs_is_another_event(diary: Diary, other: Happening) -> None:
    """In its text, its reason, or its object: one that was made again is another."""
    diary.notes(happening())
    diary.notes(other)
    assert [count for _, count in diary.writes()] == [1, 1]


def test_repetitions_are_counted(diary: Diary) -> None:
    """And told from time to time, with the time of the last."""
    diary.notes(happening())
    diary.writes()
    for _ in range(90):
        diary.now += 1
        diary.notes(happening())
        if diary.now < 1000 + UPDATE_S:
            assert diary.writes() == []
    assert diary.writes() == [("text", 91)]
    assert diary.waits() is None
    diary.now += 1
    diary.notes(happening())
    assert diary.waits() == UPDATE_S - 1
    diary.now += UPDATE_S - 1
    entry = diary.journal.take(diary.now)
    assert entry is not None
    assert (entry.count, entry.name) == (92, "event-text")
    assert entry.last - entry.first == dt.timedelta(seconds=91)


def test_repetitions_before_the_first_is_told_are_told_with_it(diary: Diary) -> None:
    """Nothing was written yet."""
    diary.notes(happening())
    diary.notes(happening())
    assert diary.writes() == [("text", 2)]


def test_repetitions_while_it_is_being_told_are_told_later(diary: Diary) -> None:
    """The count that was written is one of before."""
    diary.notes(happening())
    entry = diary.journal.take(diary.now)
    assert entry is not None
    diary.notes(happening())
    diary.journal.told(entry, "name", 1, diary.now)
    assert diary.waits() == UPDATE_S


def test_after_a_long_time_it_is_told_anew(diary: Diary) -> None:
    """The event of then may be forgotten."""
    diary.notes(happening())
    diary.writes()
    diary.now += SERIES_S + 1
    diary.notes(happening())
    assert diary.writes() == [("text", 1)]


def test_a_count_that_waits_is_not_lost_after_a_long_time(diary: Diary) -> None:
    """The server was away: what was not told is still told."""
    diary.notes(happening())
    diary.now += SERIES_S + 1
    diary.notes(happening())
    assert diary.writes() == [("text", 2)]


def test_one_object_does_not_tell_too_much(diary: Diary) -> None:
    """After some, others are left out for a while; another object is not concerned."""
    taken = [diary.notes(happening(f"text {number}")) for number in range(20)]
    assert taken == [True] * 10 + [False] * 10
    assert diary.notes(happening(name="other"))
    diary.now += 60
    assert diary.notes(happening("text 20"))
    assert not diary.notes(happening("text 21"))


def test_all_together_do_not_tell_too_much(diary: Diary) -> None:
    """The newest are left out while as many as there is room for wait; those that were told make room in time."""
    taken = [diary.notes(happening(name=f"gw-{number}")) for number in range(CAPACITY + 1)]
    assert taken == [True] * CAPACITY + [False]
    assert len(diary.writes()) == CAPACITY
    assert not diary.notes(happening(name="late"))
    diary.now += SERIES_S + 1
    assert diary.notes(happening(name="late"))
    assert len(diary.journal._entries) == 1
    assert len(diary.journal._allowances) == 1


def test_what_was_not_written_is_tried_again(diary: Diary) -> None:
    """Together with its repetitions."""
    diary.notes(happening())
    entry = diary.journal.take(diary.now)
    assert entry is not None
    diary.notes(happening())
    diary.journal.again(entry, diary.now)
    assert diary.writes() == [("text", 2)]


def test_what_cannot_be_written_is_forgotten(diary: Diary) -> None:
    """Repetitions of it included; later it is something new."""
    diary.notes(happening())
    entry = diary.journal.take(diary.now)
    assert entry is not None
    diary.notes(happening())
    diary.journal.failed(entry)
    assert diary.waits() is None
    diary.notes(happening())
    assert diary.writes() == [("text", 1)]
