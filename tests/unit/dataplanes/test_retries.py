"""Listeners that could not be opened are tried again, ever more slowly up to a limit."""

from __future__ import annotations

from support.plans import socket_key
from tidegate.dataplanes.retries import FIRST_SECONDS, LONGEST_SECONDS, BindRetries

ONE, OTHER = socket_key(80), socket_key(81)


def tries(retries: BindRetries, until: int) -> list[int]:
    """The whole seconds up to ``until`` at which a socket that always fails is tried again."""
    return [now for now in range(until + 1) if retries.due([ONE], float(now))]


def test_nothing_is_due_at_once() -> None:
    """Envoy has just tried: the first retry comes after the first wait."""
    retries = BindRetries()
    assert retries.due([ONE], 100.0) == []
    assert retries.due([ONE], 100.0 + FIRST_SECONDS - 0.01) == []
    assert retries.due([ONE], 100.0 + FIRST_SECONDS) == [ONE]


def test_waits_double_up_to_the_longest() -> None:
    """A port that stays taken is tried after 1, 2 and 4 seconds more, then every 5 seconds."""
    assert LONGEST_SECONDS == 5
    assert tries(BindRetries(), 25) == [1, 3, 7, 12, 17, 22]


def test_a_retry_is_given_once() -> None:
    """A socket whose turn it was has to wait again."""
    retries = BindRetries()
    retries.due([ONE], 0.0)
    assert retries.due([ONE], 1.0) == [ONE]
    assert retries.due([ONE], 1.0) == []


def test_sockets_wait_apart() -> None:
    """A socket that begins to fail later has its own, shorter wait."""
    retries = BindRetries()
    retries.due([ONE], 0.0)
    retries.due([ONE, OTHER], 1.0)
    assert retries.due([ONE, OTHER], 2.0) == [OTHER]
    assert retries.due([ONE, OTHER], 3.0) == [ONE]


def test_a_success_is_forgotten_failure() -> None:
    """A socket that served in between begins with the shortest wait again."""
    retries = BindRetries()
    for now in (0.0, 1.0, 3.0, 7.0):
        retries.due([ONE], now)
    assert retries.due([], 8.0) == []
    retries.due([ONE], 9.0)
    assert retries.due([ONE], 9.0 + FIRST_SECONDS) == [ONE]
