"""What is wrong with a Gateway's objects, for whoever is responsible for the Gateway. Pure.

In: what became of each object. Out: one trouble per Gateway, whenever it is another one; None once all is well. It
goes into statuses, so what is tried again and fails again is no news, however the words differ: the API server may
count, or name what it was about to make.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from tidegate.names import ObjectKey
from tidegate.plan.infrastructure import Trouble, TroubleReason

SAME_WORDS_S: Final = 300.0
"""The words for a trouble that lasts are renewed so often, at most."""

# The API says so in words only.
_QUOTA: Final = "exceeded quota"
_LONGEST_MESSAGE: Final = 1000

Troubled = Callable[[ObjectKey, Trouble | None], None]
"""Told of a Gateway's trouble, and of its end (None). Returns at once."""


class _Known(msgspec.Struct, frozen=True):
    trouble: Trouble
    said_at: float


class Troubles:
    """Remembers the troubles of all Gateways, and tells what is new."""

    def __init__(self, troubled: Troubled) -> None:
        self._troubled = troubled
        self._known: dict[ObjectKey, dict[ObjectKey, _Known]] = {}

    def put(self, gateway: ObjectKey, key: ObjectKey, trouble: Trouble | None, now: float) -> None:
        """What is wrong with one of a Gateway's objects at a time, in seconds; None: nothing."""
        before = self._first(gateway)
        known = self._known.setdefault(gateway, {})
        last = known.get(key)
        if trouble is None:
            known.pop(key, None)
        elif last is None or last.trouble.reason is not trouble.reason or now - last.said_at >= SAME_WORDS_S:
            known[key] = _Known(trouble, now)
        if not known:
            del self._known[gateway]
        self._tell(gateway, before)

    def keep(self, gateway: ObjectKey, keys: Collection[ObjectKey]) -> None:
        """Only with these objects can anything be wrong."""
        before = self._first(gateway)
        known = self._known.pop(gateway, {})
        left = {key: one for key, one in known.items() if key in keys}
        if left:
            self._known[gateway] = left
        self._tell(gateway, before)

    def _first(self, gateway: ObjectKey) -> Trouble | None:
        """The trouble with the first of the objects: one mistake often has many consequences."""
        known = self._known.get(gateway)
        return known[min(known)].trouble if known else None

    def _tell(self, gateway: ObjectKey, before: Trouble | None) -> None:
        now = self._first(gateway)
        if now != before:
            self._troubled(gateway, now)


def refusal(message: str) -> Trouble:
    """What it means for a Gateway that the API server refuses one of its objects, or the Pods of one."""
    reason = TroubleReason.NO_RESOURCES if _QUOTA in message else TroubleReason.REFUSED
    return Trouble(reason=reason, message=shortened(message))


def shortened(message: str) -> str:
    """A message of the API server that is short enough for a status."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}…"
