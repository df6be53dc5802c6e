"""Whose turn it is."""

from __future__ import annotations

from tidegate.names import ObjectKey
from tidegate.reporting.turns import Turns


def key(name: str) -> ObjectKey:
    """Some object."""
    return ObjectKey("", "Thing", "default", name)


A, B, C = map(key, "abc")


def taken(turns: Turns[ObjectKey], now: float) -> str:
    """The names of all that have their turn, in order; they are done."""
    names = ""
    while (one := turns.take(now)) is not None:
        names += one.name
        turns.done(one)
    return names


def test_nobody_comes_before_the_time() -> None:
    """A key waits for its time, and the queue says when that is."""
    turns: Turns[ObjectKey] = Turns()
    assert turns.next_due is None
    turns.put(A, 0, 5.0)
    turns.put(B, 0, 3.0)
    assert turns.take(2.0) is None
    assert turns.next_due == 3.0
    assert taken(turns, 3.0) == "b"
    assert turns.next_due == 5.0
    assert taken(turns, 9.0) == "a"
    assert turns.next_due is None


def test_rank_decides_among_those_due() -> None:
    """Not the time that they waited; equal ranks come in the order of their times."""
    turns: Turns[ObjectKey] = Turns()
    turns.put(A, 1, 1.0)
    turns.put(B, 0, 2.0)
    turns.put(C, 1, 0.0)
    assert taken(turns, 5.0) == "bca"


def test_a_key_stands_once() -> None:
    """The last time that was said counts, earlier or later."""
    turns: Turns[ObjectKey] = Turns()
    turns.put(A, 0, 1.0)
    turns.put(A, 0, 4.0)
    turns.put(A, 0, 4.0)
    assert turns.take(2.0) is None
    assert turns.next_due == 4.0
    turns.put(A, 0, 3.0)
    assert taken(turns, 9.0) == "a"


def test_a_key_that_was_due_can_be_put_off() -> None:
    """As long as nobody took it."""
    turns: Turns[ObjectKey] = Turns()
    turns.put(A, 0, 1.0)
    turns.put(B, 1, 1.0)
    assert turns.take(1.0) == A
    turns.put(B, 1, 5.0)
    assert turns.take(1.0) is None
    assert turns.next_due == 5.0


def test_a_dropped_key_has_no_turn() -> None:
    """Until it is put again."""
    turns: Turns[ObjectKey] = Turns()
    turns.put(A, 0, 1.0)
    turns.drop(A)
    assert turns.next_due is None
    assert turns.take(2.0) is None
    turns.put(A, 0, 1.0)
    turns.drop(B)
    assert taken(turns, 2.0) == "a"


def test_nobody_works_on_a_key_twice_at_a_time() -> None:
    """What is put while it is being worked on has its turn afterwards."""
    turns: Turns[ObjectKey] = Turns()
    turns.put(A, 0, 1.0)
    assert turns.take(1.0) == A
    assert turns.busy == 1
    assert A not in turns
    turns.put(A, 0, 1.0)
    assert A in turns
    assert turns.take(2.0) is None
    assert turns.next_due is None
    turns.done(A)
    assert turns.busy == 0
    assert turns.next_due == 1.0
    assert taken(turns, 2.0) == "a"


def test_what_is_ready_is_due_now() -> None:
    """Of several that were due together the next one needs no waiting."""
    turns: Turns[ObjectKey] = Turns()
    turns.put(A, 0, 1.0)
    turns.put(B, 0, 2.0)
    assert turns.take(3.0) == A
    assert turns.next_due == 2.0
