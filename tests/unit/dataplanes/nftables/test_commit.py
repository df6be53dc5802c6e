"""Whoever is at fault is found, and all others get what they want."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.plans import forward, pool, socket_key
from support.tables import Planner
from tidegate.dataplanes.nftables.commit import commit, empty, entering, leaving, sweep
from tidegate.dataplanes.nftables.image import Image, Steps
from tidegate.dataplanes.nftables.ruleset import Element, Place
from tidegate.dataplanes.nftables.wire import Request, attributes_of, text_of
from tidegate.names import SocketKey

NEW_CHAIN, NEW_RULE, DELETE_RULE, NEW_ELEMENT, DELETE_ELEMENT = 3, 6, 8, 12, 14
BAD = b"this is refused"


class Kernel:
    """Takes transactions as a whole or not at all; refuses those with ``BAD``, and says which request it was or not."""

    def __init__(self, *, says_who: bool = True, number: int = errno.EINVAL) -> None:
        self.says_who = says_who
        self.number = number
        self.taken: list[bytes] = []
        self.transactions = 0

    def send(self, requests: Sequence[Request]) -> Mapping[int, int]:
        self.transactions += 1
        refused = {number: self.number for number, one in enumerate(requests) if BAD in one.body}
        if not refused:
            self.taken += [one.body for one in requests]
            return {}
        return refused if self.says_who else {-1: errno.ENOSPC}

    def has(self, text: bytes) -> bool:
        return any(text in body for body in self.taken)


def step(content: bytes) -> Steps:
    return Steps(put=(Element(Place("endpoints4-1", content)),))


def work(count: int, bad: set[int]) -> dict[SocketKey, Steps]:
    return {socket_key(number): step(BAD if number in bad else b"good %d!" % number) for number in range(count)}


@given(st.integers(1, 20), st.sets(st.integers(0, 19)), st.booleans())
def test_exactly_those_at_fault(count: int, bad: set[int], says_who: bool) -> None:
    """However many are refused, and whether the kernel says which or only that one is: the others are in force."""
    kernel = Kernel(says_who=says_who)
    faults = commit("table", work(count, bad), kernel.send)
    expected = {number for number in bad if number < count}
    assert set(faults) == {socket_key(number) for number in expected}
    assert set(faults.values()) <= {errno.EINVAL if says_who else errno.ENOSPC}
    assert {number for number in range(count) if kernel.has(b"good %d!" % number)} == set(range(count)) - expected


def test_what_goes_well_is_one_transaction() -> None:
    """Many sockets share transactions and requests."""
    kernel = Kernel()
    assert commit("table", work(150, set()), kernel.send) == {}
    assert (kernel.transactions, len(kernel.taken)) == (1, 1)


def test_finding_the_fault_is_cheap() -> None:
    """Among a thousand, one at fault costs three transactions when it is told, and few when it is not."""
    for says_who, most in ((True, 3), (False, 45)):
        kernel = Kernel(says_who=says_who)
        assert set(commit("table", work(1000, {500}), kernel.send)) == {socket_key(500)}
        assert kernel.transactions <= most


def kinds(requests: Sequence[Request]) -> list[int]:
    return [one.kind & 0xFF for one in requests]


def maps(requests: Sequence[Request]) -> list[str]:
    return [text_of(attributes_of(one.body)[2]) for one in requests]


def test_order() -> None:
    """What is led to comes before what leads there: choices, rows, and entries at the end."""
    planner = Planner()
    wanted = planner.wanted(
        pool("a", ("10.0.0.1", 1)), forward(80, "a", "b", address="*"), forward(81, "a", address="::1")
    )
    requests = entering("table", [Image().steps((), one.forwarding, admitted=True) for one in wanted.values()])
    assert kinds(requests) == [NEW_CHAIN, DELETE_RULE, NEW_RULE, NEW_RULE] + [NEW_ELEMENT] * 5
    assert maps(requests[4:]) == ["choices", "endpoints4-1", "lanes", "sockets", "sockets6"]


def test_replaced_is_removed_and_added_at_once() -> None:
    """Both in one transaction, so that it is never missing."""
    element = Element(Place("sockets", b"key!"), b"data")
    requests = entering("table", [Steps(replaced=(element,), ended=(Place("sockets", b"gone"),))])
    assert kinds(requests) == [DELETE_ELEMENT, NEW_ELEMENT, DELETE_ELEMENT]
    assert b"gone" in requests[-1].body


STEPS = Steps(
    dropped=(Place("endpoints4-1", b"one!"), Place("endpoints4-1", b"two!"), Place("choices", b"mark")),
    unused=("choice/x",),
)


def test_later_part() -> None:
    """Elements go before the chains that they led to."""
    requests = leaving("table", [STEPS, Steps(dropped=(Place("choices", b"more"),))])
    assert kinds(requests) == [DELETE_ELEMENT, DELETE_ELEMENT, DELETE_RULE, 5]


@pytest.mark.parametrize("bad", [False, True])
@pytest.mark.parametrize("says_who", [False, True])
def test_sweep(bad: bool, says_who: bool) -> None:
    """What can be removed is, also when something else cannot, which is told; nothing to do needs no transaction."""
    kernel = Kernel(says_who=says_who)
    work = [STEPS, Steps(dropped=(Place("lanes", BAD),), unused=(BAD.decode(),))] if bad else [STEPS]
    number = errno.EINVAL if says_who else errno.ENOSPC
    assert sweep("table", work, kernel.send) == (
        dict.fromkeys([Place("lanes", BAD), BAD.decode()], number) if bad else {}
    )
    assert all(map(kernel.has, (b"one!", b"two!", b"mark", b"choice/x")))
    assert (kernel.transactions > 1) is bad
    sweep("table", [Steps()], kernel.send)
    assert (kernel.transactions > 1) is bad


@pytest.mark.parametrize(("says_who", "bad", "most"), [(True, 500, 3), (False, 1, 45)])
def test_finding_what_is_kept_is_cheap(says_who: bool, bad: int, most: int) -> None:
    """Among a thousand removals, many that are refused cost three transactions, or few when it is not told which."""
    kernel = Kernel(says_who=says_who)
    places = [Place("lanes", (BAD if number < bad else b"good") + b"%d!" % number) for number in range(1000)]
    kept = sweep("table", [Steps(dropped=(place,)) for place in places], kernel.send)
    assert set(kept) == set(places[:bad])
    assert all(kernel.has(place.key) for place in places[bad:])
    assert kernel.transactions <= most


def test_sweep_of_what_is_gone() -> None:
    """What is not there needs no removal, and does not keep the rest from being removed."""
    kernel = Kernel(number=errno.ENOENT)
    assert sweep("table", [STEPS, Steps(dropped=(Place("lanes", BAD),))], kernel.send) == {}
    assert kernel.has(b"one!")


def test_empty() -> None:
    """All sets are emptied; one that cannot be is told, one that is not there is empty."""
    kernel = Kernel()
    assert empty("table", ["one", "two"], kernel.send) == {}
    assert kernel.transactions == 1
    assert empty("table", ["three", BAD.decode()], kernel.send) == {BAD.decode(): errno.EINVAL}
    assert kernel.has(b"three")
    assert empty("table", [BAD.decode()], Kernel(number=errno.ENOENT).send) == {}
