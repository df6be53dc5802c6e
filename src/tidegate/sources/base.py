"""The seam between where resources come from and the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from tidegate.model.apis import InstalledApis
from tidegate.model.diagnostics import Diagnostic
from tidegate.model.kinds import Resource
from tidegate.names import ObjectKey


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The newest version of an object; None: it is gone.

    The object's metadata is complete: ``generation``, ``creation_timestamp`` and ``order`` are set.
    """

    key: ObjectKey
    resource: Resource | None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Changes that belong together. The first batch of a source holds everything it knows.

    ``diagnostics`` is all there is to say about the input now; None: the same as before. ``apis`` likewise says
    what the cluster has installed; it stays None where there is no cluster.
    """

    changes: tuple[Change, ...]
    diagnostics: tuple[Diagnostic, ...] | None = None
    apis: InstalledApis | None = None


class Source(Protocol):
    """Delivers resources: first one batch with all there are, then batches of changes, for ever.

    Nothing that an object contains ends the stream. Raises SourceError when input cannot be read at
    all before the first batch.
    """

    def batches(self) -> AsyncIterator[Batch]:
        """The stream. One consumer."""
        ...
