"""The dice: so that replicas and objects that failed together do not all try again at the same moment."""

from __future__ import annotations

import random


def jitter() -> float:
    """A number from 0 to 1, for ``pacing``, which has none of its own."""
    return random.random()  # noqa: S311 - spreads load
