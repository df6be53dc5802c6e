"""How soon something may be done again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.reporting.pacing import Allowance, Outage, backoff


def allowance() -> Allowance:
    """Three at once, a tenth of a second apart, then one in two seconds."""
    return Allowance(burst=3, refill=2.0, gap=0.1)


def uses(one: Allowance, start: float, count: int) -> list[float]:
    """When each of so many actions happens that are all wanted at ``start``."""
    times = []
    for _ in range(count):
        now = max(start, one.ready_at)
        one.use(now)
        times.append(round(now - start, 6))
    return times


def test_a_first_action_is_at_once() -> None:
    """Nothing was used yet."""
    assert uses(allowance(), 100.0, 1) == [0.0]


def test_a_burst_and_then_a_rate() -> None:
    """Many actions at once spread out; in the long run one per refill."""
    assert uses(allowance(), 100.0, 6) == [0.0, 0.1, 0.2, 2.0, 4.0, 6.0]


def test_what_is_not_used_comes_back() -> None:
    """After a pause a part of the burst is there again, after a long one all of it, and not more."""
    one = allowance()
    uses(one, 100.0, 3)
    assert uses(one, 104.0, 3) == [0.0, 0.1, 2.0]
    assert not one.rested(106.0)
    assert one.rested(1000.0)
    assert uses(one, 1000.0, 4) == [0.0, 0.1, 0.2, 2.0]


@given(st.floats(0, 100), st.integers(1, 200))
def test_never_more_than_burst_and_rate(start: float, count: int) -> None:
    """In any time there are no more actions than the burst and those that came back."""
    times = uses(allowance(), start, count)
    assert all(done <= 3 + at / 2.0 + 1e-6 for done, at in enumerate(times, 1))


def test_waits_double_up_to_the_longest() -> None:
    """Without luck a wait is twice the one before; luck takes off up to half."""
    waits = [backoff(failures, first=1.0, longest=10.0, jitter=0.0) for failures in (1, 2, 3, 4, 5, 10_000)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert backoff(2, first=1.0, longest=10.0, jitter=1.0) == 1.0


def test_an_outage_begins_and_ends() -> None:
    """It lasts until there is an answer, however long the waits are over."""
    outage = Outage()
    assert not outage.on
    outage.failed(100.0, jitter=0.0)
    assert outage.on
    assert outage.until == 100.0 + Outage.FIRST_S
    outage.over()
    assert not outage.on


def test_failures_at_one_time_are_one() -> None:
    """Requests that fail together do not make the next wait longer; one after the wait does."""
    outage = Outage()
    outage.failed(100.0, jitter=0.0)
    outage.failed(100.1, jitter=0.0)
    assert outage.until == 100.0 + Outage.FIRST_S
    outage.failed(101.0, jitter=0.0)
    assert outage.until == 101.0 + 2 * Outage.FIRST_S


@pytest.mark.parametrize(("asked", "wait"), [(0.1, Outage.FIRST_S), (7.0, 7.0)])
def test_the_server_says_how_long(asked: float, wait: float) -> None:
    """A wait that the server asks for is the least."""
    outage = Outage()
    outage.failed(100.0, jitter=0.0, at_least=asked)
    assert outage.until == 100.0 + wait
