"""The seam between the statuses in force and where they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from tidegate.model.status import Status
from tidegate.names import ObjectKey


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What is written in an object's status now, as its source last saw it.

    ``version`` is the API version it is read and written in (``v1``). ``status`` is the raw one, of whatever writer;
    empty when there is none.
    """

    version: str
    uid: str
    resource_version: str
    generation: int
    status: Mapping[str, Any]


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
