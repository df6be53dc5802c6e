"""What is wrong with a Gateway's objects, for whoever is responsible for the Gateway. Pure.

In: what became of each object. Out: one message per Gateway, whenever it is another one; None once all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from tidegate.names import ObjectKey

Troubled = Callable[[ObjectKey, str | None], None]
"""Told of a Gateway's trouble in words, and of its end (None). Returns at once."""


class Troubles:
    """Remembers the troubles of all Gateways, and tells what is new."""

    def __init__(self, troubled: Troubled) -> None:
        self._troubled = troubled
        self._known: dict[ObjectKey, dict[ObjectKey, str]] = {}

    def put(self, gateway: ObjectKey, key: ObjectKey, message: str | None) -> None:
        """What is wrong with one of a Gateway's objects; None: nothing."""
        before = self._message(gateway)
        if message is not None:
            self._known.setdefault(gateway, {})[key] = message
        elif gateway in self._known:
            self._known[gateway].pop(key, None)
        self._tell(gateway, before)

    def keep(self, gateway: ObjectKey, keys: Collection[ObjectKey]) -> None:
        """Only with these objects can anything be wrong."""
        before = self._message(gateway)
        known = self._known.pop(gateway, {})
        left = {key: message for key, message in known.items() if key in keys}
        if left:
            self._known[gateway] = left
        self._tell(gateway, before)

    def _message(self, gateway: ObjectKey) -> str | None:
        """The trouble with the first of the objects: one mistake often has many consequences."""
        known = self._known.get(gateway)
        return known[min(known)] if known else None

    def _tell(self, gateway: ObjectKey, before: str | None) -> None:
        now = self._message(gateway)
        if now != before:
            self._troubled(gateway, now)
