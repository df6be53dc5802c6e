"""How far what is drawn at random may be from what is expected, before a test calls it wrong."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from itertools import accumulate

UNLIKELY = 1e-10
"""The chance that a bound of ``likely`` fails a test although everything is right."""


@functools.cache
def likely(trials: int, chance: float, *, among: int = 1) -> range:
    """How often something that has this chance each time happens in so many independent trials.

    ``among`` is how many such counts are compared: the chance that any of them is outside is below ``UNLIKELY``.
    """
    tail = UNLIKELY / (2 * among)
    lowest = _without_tail(_probabilities(trials, chance), tail)
    highest = trials - _without_tail(_probabilities(trials, 1 - chance), tail)
    return range(lowest, highest + 1)


def _without_tail(probabilities: Iterable[float], tail: float) -> int:
    """The first number of an ascending distribution that does not belong to its tail."""
    return next(number for number, total in enumerate(accumulate(probabilities)) if total > tail)


def _probabilities(trials: int, chance: float) -> Iterator[float]:
    """The binomial distribution."""
    if chance in (0, 1):
        yield from (float(number == trials * chance) for number in range(trials + 1))
        return
    for number in range(trials + 1):
        ways = math.lgamma(trials + 1) - math.lgamma(number + 1) - math.lgamma(trials - number + 1)
        yield math.exp(ways + number * math.log(chance) + (trials - number) * math.log1p(-chance))
