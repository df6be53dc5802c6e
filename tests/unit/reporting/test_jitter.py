"""The dice."""

from __future__ import annotations

from tidegate.reporting.jitter import jitter


def test_it_is_from_0_to_1_and_not_always_the_same() -> None:
    """Otherwise all would try again together."""
    numbers = {jitter() for _ in range(100)}
    assert all(0 <= number < 1 for number in numbers)
    assert len(numbers) > 1
