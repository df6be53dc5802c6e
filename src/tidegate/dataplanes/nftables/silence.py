"""Whose connections nobody answers, so that it can be said: the client only hangs. Pure.

In: at each look at connection tracking, the series with connections whose first packet was not answered, and those with
open ones. Out: the series to name now. One that also has open connections is not named: then the way there and back is
right, and a single endpoint or client is not.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tidegate.dataplanes.traffic import Series

PATIENCE_S: Final = 3.0
"""How long nothing must have been answered; a client repeats its first packet after one second, and after two more."""


class Silence:
    """What was silent since when. Times, in seconds, are passed in."""

    def __init__(self) -> None:
        self._since: dict[Series, float] = {}
        self._named: set[Series] = set()

    def __bool__(self) -> bool:
        """Whether anything is kept that the next look may change."""
        return bool(self._since or self._named)

    def look(self, now: float, unanswered: Collection[Series], answered: Collection[Series]) -> list[Series]:
        """Those to name: each once, and again only after it was answered meanwhile."""
        silent = set(unanswered) - set(answered)
        self._since = {one: self._since.get(one, now) for one in silent}
        self._named -= set(answered)
        due = {one for one, since in self._since.items() if now - since >= PATIENCE_S} - self._named
        self._named |= due
        return sorted(due)
