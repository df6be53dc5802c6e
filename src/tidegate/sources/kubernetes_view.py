"""The objects of a cluster that are in force, and what changed about them. No I/O, no clock.

In: readings of objects, all of a kind or one at a time. Out: changes against what was handed out before, and what there
is to say about objects that are refused. As with files, a refused object keeps the version that was in force before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tidegate.model.diagnostics import Diagnostic, Location, Severity
from tidegate.model.kinds import Kind, Resource
from tidegate.names import ObjectKey
from tidegate.sources.base import Change
from tidegate.sources.kubernetes_decoding import Reading

CLUSTER: Final = Location("cluster")
"""Where objects stand that no file has."""


class View:
    """What is in force."""

    def __init__(self) -> None:
        self._in_force: defaultdict[str, dict[ObjectKey, Resource]] = defaultdict(dict)
        self._refused: defaultdict[str, dict[ObjectKey, Reading]] = defaultdict(dict)
        self._changed: dict[ObjectKey, Resource | None] = {}
        self._unsaid = True

    def replace(self, kind: Kind, readings: Sequence[Reading]) -> list[ObjectKey]:
        """These are all objects of a kind now. Returns those that are gone."""
        for reading in readings:
            self.change(reading)
        present = {reading.key for reading in readings}
        gone = [key for key in self._known(kind) if key not in present]
        for key in gone:
            self.remove(key)
        return gone

    def change(self, reading: Reading) -> None:
        """An object is new, or has changed."""
        key = reading.key
        in_force, refused = self._in_force[key.kind], self._refused[key.kind]
        if reading.resource is None:
            if (before := in_force.get(key)) is not None and before.metadata.uid != reading.uid:
                self.remove(key)  # Another object that only has its name.
            refused[key] = reading
            self._unsaid = True
            return
        if refused.pop(key, None) is not None:
            self._unsaid = True
        if in_force.get(key) != reading.resource:
            in_force[key] = self._changed[key] = reading.resource

    def remove(self, key: ObjectKey) -> None:
        """An object is gone."""
        if self._refused[key.kind].pop(key, None) is not None:
            self._unsaid = True
        if self._in_force[key.kind].pop(key, None) is not None:
            self._changed[key] = None

    def take_changes(self) -> tuple[Change, ...]:
        """What changed since the last call; of each object only what it is now."""
        changed, self._changed = self._changed, {}
        return tuple(Change(key=key, resource=resource) for key, resource in changed.items())

    def take_diagnostics(self) -> tuple[Diagnostic, ...] | None:
        """All there is to say now; None: the same as at the last call."""
        if not self._unsaid:
            return None
        self._unsaid = False
        refused = [reading for readings in self._refused.values() for reading in readings.values()]
        return tuple(said for reading in sorted(refused, key=lambda one: one.key) for said in self._said(reading))

    def _known(self, kind: Kind) -> Iterable[ObjectKey]:
        return self._in_force[kind.kind].keys() | self._refused[kind.kind].keys()

    def _said(self, reading: Reading) -> Iterator[Diagnostic]:
        kept = reading.key in self._in_force[reading.key.kind]
        consequence = "its version before stays in force" if kept else "it is not in force"
        for problem in reading.problems:
            yield Diagnostic(
                severity=Severity.ERROR,
                location=CLUSTER,
                object=reading.key,
                path=problem.path,
                message=f"{problem.message} ({reading.key}: {consequence})",
            )
