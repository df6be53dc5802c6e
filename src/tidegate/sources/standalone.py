"""All input of standalone mode as one source: files, ``--backend`` and ``--dns``.

In: paths and flags. Out: batches by the seam of `base`, in which Services are complete; or everything
at once, for dry runs. It only joins `files`, `overlay` and `resolving`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Final

from tidegate.model.diagnostics import Location
from tidegate.names import ObjectKey
from tidegate.sources.ages import Ages
from tidegate.sources.backends import BackendFlag
from tidegate.sources.base import Batch
from tidegate.sources.documents import Keys
from tidegate.sources.files import FilesSource, Loaded
from tidegate.sources.overlay import BackendOverlay
from tidegate.sources.resolving import LookUp, Resolver, look_up, look_up_all

FIRST_ANSWERS_S: Final = 1.0
"""How long the first batch waits for names; what resolves later comes in a later batch."""


class StandaloneSource:
    """Delivers the objects of files with the backends of flags and DNS; a `tidegate.sources.base.Source`.

    ``paths``, ``ages``, ``watch`` and ``keep`` are those of `FilesSource`, ``look`` is how names are looked up.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        backends: Sequence[BackendFlag] = (),
        dns: bool = False,
        ages: Ages | None = None,
        watch: bool = True,
        keep: Path | None = None,
        look: LookUp = look_up,
    ) -> None:
        ages = ages if ages is not None else Ages()
        self._files = FilesSource(paths, ages=ages, watch=watch, keep=keep)
        self._overlay = BackendOverlay(backends, dns=dns, created=ages.now().replace(microsecond=0))
        self._look = look
        self._resolver: Resolver | None = None

    def load(self) -> Loaded:
        """Everything now, blocking; names that do not resolve in a second count as unresolved.

        Raises SourceError when a path has nothing there.
        """
        loaded = self._files.load()
        batch = self._overlay.apply(loaded.as_batch())
        answers = look_up_all(self._overlay.lookups, self._look, timeout=FIRST_ANSWERS_S)
        batch = _joined(batch, self._overlay.answered(answers))
        resources = tuple(change.resource for change in batch.changes if change.resource is not None)
        return Loaded(resources=resources, diagnostics=batch.diagnostics or (), readable=loaded.readable)

    def origin(self, key: ObjectKey, field_keys: Keys = ()) -> Location | None:
        """File and line of an object, or of a field of it or its nearest parent; None: not from a file."""
        return self._files.origin(key, field_keys)

    def rescan(self) -> None:
        """Reads everything that changed and looks up all names, soon. For the event loop's thread."""
        self._files.rescan()
        if self._resolver is not None:
            self._resolver.refresh()

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """All there is, then changes, for ever. Raises SourceError when a path has nothing there."""
        resolver = self._resolver = Resolver(self._files.nudge, look=self._look)
        first = True
        try:
            async with contextlib.aclosing(self._files.batches()) as batches:
                async for given in batches:
                    batch = self._overlay.apply(given)
                    if (lookups := self._overlay.take_lookups()) is not None:
                        resolver.want(lookups)
                    if first:
                        await resolver.first_answers(FIRST_ANSWERS_S)
                    batch = _joined(batch, self._overlay.answered(resolver.take()))
                    if first or batch.changes or batch.diagnostics is not None:
                        yield batch
                    first = False
        finally:
            resolver.close()


def _joined(first: Batch, second: Batch) -> Batch:
    """Both batches as one; the later version of an object counts."""
    changes = {change.key: change for change in (*first.changes, *second.changes)}
    diagnostics = second.diagnostics if second.diagnostics is not None else first.diagnostics
    return Batch(changes=tuple(changes.values()), diagnostics=diagnostics)
