"""When something may be tried again, for each object. Pure but for the dice; times are passed in.

For requests that failed, and for objects that somebody else keeps changing back: the rival is not fought in a loop.
Whoever wants something else of the object starts afresh.
"""

from __future__ import annotations

import msgspec

from tidegate.kube.backoff import Backoff
from tidegate.names import ObjectKey


class _Record(msgspec.Struct):
    digest: str
    backoff: Backoff
    ready_at: float


class Patience:
    """Delays per object and per what is wanted of it (by digest)."""

    def __init__(self) -> None:
        self._records: dict[ObjectKey, _Record] = {}

    def ready_at(self, key: ObjectKey, digest: str) -> float:
        """When the object may be tried; in the past when nothing is to be waited for."""
        record = self._records.get(key)
        return record.ready_at if record is not None and record.digest == digest else 0.0

    def wait(self, key: ObjectKey, digest: str, now: float, *, at_least: float | None = None) -> None:
        """Not so soon again."""
        record = self._records.get(key)
        if record is None or record.digest != digest:
            record = self._records[key] = _Record(digest, Backoff(), now)
        record.ready_at = now + record.backoff.next(now, at_least=at_least)

    def forget(self, key: ObjectKey) -> None:
        """There is nothing to wait for any more."""
        self._records.pop(key, None)
