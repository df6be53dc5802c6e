"""The seam between the statuses in force and where they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from tidegate.model.observed import Observed
from tidegate.model.status import Status
from tidegate.names import ObjectKey

__all__ = ["Observed", "StatusClient", "StatusWriter", "Subject", "Written"]


class Subject(msgspec.Struct, frozen=True):
    """The very object that something is said about; ``version`` is one that its kind is served in."""

    key: ObjectKey
    version: str
    uid: str


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A status that has just been written: the raw status of an object before and after."""

    subject: Subject
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class StatusWriter(Protocol):
    """Writes statuses somewhere, in its own time.

    Both calls return at once. ``observe`` comes before the change that carries the same version of the object;
    None: the object is gone.
    """

    def observe(self, key: ObjectKey, observed: Observed | None) -> None:
        """Take what is written in an object's status now."""
        ...

    def publish(self, statuses: Mapping[ObjectKey, Status | None]) -> None:
        """Take statuses that are new; None: what was written of ours is to be withdrawn."""
        ...


class StatusClient(Protocol):
    """What is asked of an API server by who writes statuses; ``kube.client.KubeClient`` does it. Raises KubeError."""

    async def get(self, path: str) -> dict[str, Any]:
        """The object at a path."""
        ...

    async def merge_patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """JSON merge patch (RFC 7396); the object that it led to."""
        ...
