"""Each entry is looked at when it is due, once, and never twice at a time."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.fleet.agenda import Agenda


def test_entries_come_in_the_order_of_their_times() -> None:
    """What has been due longest comes first, and nothing comes too early."""
    agenda: Agenda[str] = Agenda()
    agenda.put("late", 30)
    agenda.put("early", 10)
    agenda.put("first", 10)
    assert agenda.next_due == 10
    assert agenda.take(5) is None
    assert [agenda.take(20), agenda.take(20), agenda.take(20)] == ["early", "first", None]
    assert agenda.next_due == 30


def test_entry_is_there_once() -> None:
    """However often it is put down, it is looked at once, at the earliest of the times."""
    agenda: Agenda[str] = Agenda()
    for at in (30, 10, 20):
        agenda.put("one", at)
    assert agenda.next_due == 10
    assert [agenda.take(99), agenda.take(99)] == ["one", None]
    assert agenda.next_due is None


def test_busy_entry_comes_again_when_it_is_done() -> None:
    """What changes while it is looked at is looked at again, but not meanwhile."""
    agenda: Agenda[str] = Agenda()
    agenda.put("one", 1)
    assert agenda.take(1) == "one"
    agenda.put("one", 2)
    agenda.put("one", 1)
    assert agenda.take(9) is None
    agenda.done("one")
    assert [agenda.take(1), agenda.take(9)] == ["one", None]
    agenda.done("one")
    assert agenda.take(9) is None


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "done"]), st.integers(0, 3), st.integers(0, 9))))
def test_it_is_a_set_with_times(history: list[tuple[str, int, int]]) -> None:
    """After any history, what is taken is what a plain search through all entries would find."""
    agenda: Agenda[int] = Agenda()
    due: dict[int, int] = {}
    busy: set[int] = set()
    for verb, entry, time in history:
        if verb == "put":
            agenda.put(entry, time)
            due[entry] = min(time, due.get(entry, time))
        elif verb == "done" and entry in busy:
            agenda.done(entry)
            busy.remove(entry)
        elif verb == "take":
            ready = {one: at for one, at in due.items() if one not in busy}
            assert agenda.next_due == min(ready.values(), default=None)
            taken = agenda.take(time)
            if min(ready.values(), default=time + 1) > time:
                assert taken is None
            else:
                assert taken is not None
                assert ready[taken] == min(ready.values())
                busy.add(taken)
                del due[taken]
