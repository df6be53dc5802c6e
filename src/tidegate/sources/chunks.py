"""One chunk of a file with all that it says: objects, refusals and remarks, and where they stand.

In: the text of a chunk. Out: a `Chunk`, made once and kept as long as its text stays in the file; only
its place in the file moves. Parsing is `parsing`, the meaning of values `tidegate.model.decode`; which
of several claims to an object counts is `inventory`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from tidegate.model.decode import Decoded, FieldProblem, Rejected, Unrecognised, decode
from tidegate.model.diagnostics import Diagnostic, Location, Severity
from tidegate.model.gateway import Gateway
from tidegate.model.kinds import Resource, key_of
from tidegate.model.parameters import GatewayParameters
from tidegate.names import ObjectKey
from tidegate.sources.documents import Keys, items
from tidegate.sources.locating import locate
from tidegate.sources.parsing import Broken, parse


class Remark(msgspec.Struct, frozen=True, gc=False):
    """Something to say about a place in a chunk; ``line`` counts from the chunk's first."""

    severity: Severity
    line: int
    key: ObjectKey | None
    path: str
    message: str


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """An object of a kind that tidegate does not read; ``hint`` is the kind perhaps meant, or empty."""

    line: int
    api_version: str
    kind: str
    hint: str


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a document stands in its chunk: ``text``, from ``line`` on; None: it is all that the chunk has."""

    line: int = 0
    text: str | None = None

    def text_in(self, chunk: Chunk) -> str:
        """The document's text."""
        return chunk.parsed if self.text is None else self.text


_WHOLE: Final = Place()
"""Of nearly all documents: one object."""


class Entry:
    """One object of a chunk: a claim to ``key``. ``resource`` None: this version was refused.

    ``document`` is where its document stands in the chunk, ``keys`` lead to it from there. ``held`` marks one that is
    no longer in the file and still stands in for an object nobody can name.
    """

    __slots__ = ("chunk", "document", "held", "key", "keys", "resource")

    def __init__(self, chunk: Chunk, document: Place, keys: Keys, key: ObjectKey, resource: Resource | None) -> None:
        self.chunk = chunk
        self.document = document
        self.keys = keys
        self.key = key
        self.resource = resource
        self.held = False

    def location(self, field_keys: Keys = ()) -> Location:
        """The line of the object, or of a field of it, or of the field's nearest parent."""
        if self.held:
            return Location(self.chunk.file)
        return self.chunk.location(_line(self.chunk, self.document, (*self.keys, *field_keys)))

    @property
    def value(self) -> Any:
        """The object as it was written: dicts, lists and scalars. Costs a parse: only the text is kept."""
        parsed = parse(self.document.text_in(self.chunk) + "\n")
        assert not isinstance(parsed, Broken)
        value = parsed[0].value
        for key in self.keys:
            value = value[key]
        return value

    @property
    def place(self) -> tuple[str, int, Keys]:
        """Sorts entries as the input has them: file, document, place in the document."""
        return (self.chunk.file, self.chunk.position, self.keys)


class Chunk:
    """What one chunk says. ``position`` and ``line`` are its place in the file, both from 0.

    ``broken``: no document at all. ``nameless``: it holds an object without a usable identity.
    """

    __slots__ = ("broken", "entries", "file", "line", "nameless", "position", "remarks", "text", "unknown")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.position = 0
        self.line = 0
        self.broken: Broken | None = None
        self.nameless = False
        self.entries: tuple[Entry, ...] = ()
        self.remarks: tuple[Remark, ...] = ()
        self.unknown: tuple[Unknown, ...] = ()

    @property
    def parsed(self) -> str:
        """The text as it is parsed: with the line break that ends its last line."""
        return self.text + "\n"

    def location(self, line: int) -> Location:
        """Where a line of this chunk stands in the file."""
        return Location(self.file, self.line + line + 1)

    def diagnostics(self) -> Iterator[Diagnostic]:
        """The errors and warnings of its objects; notes are gathered over all files."""
        for remark in self.remarks:
            if remark.severity is not Severity.NOTE:
                yield self.diagnostic(remark)

    def diagnostic(self, remark: Remark) -> Diagnostic:
        """A remark at its place in the file."""
        return Diagnostic(
            severity=remark.severity,
            location=self.location(remark.line),
            object=remark.key,
            path=remark.path,
            message=remark.message,
        )


def read_chunk(file: str, text: str) -> Chunk:
    """Everything a chunk says. This is what an edit costs: it runs only for texts that are new."""
    chunk = Chunk(file, text)
    whole = chunk.parsed
    parsed = parse(whole)
    if isinstance(parsed, Broken):
        chunk.broken = parsed
        return chunk
    reading = _Reading(chunk)
    for document in parsed:
        # What stays is where the text is, to find lines again; the parsed tree would double the memory.
        place = _WHOLE if document.text is whole else Place(document.line, document.text)
        for item in items(document.value):
            reading.item(place, item.keys, item.value)
    chunk.entries = tuple(reading.entries)
    chunk.remarks = tuple(reading.remarks)
    chunk.unknown = tuple(reading.unknown)
    return chunk


class _Reading:
    """Collects what the objects of a chunk say."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self.entries: list[Entry] = []
        self.remarks: list[Remark] = []
        self.unknown: list[Unknown] = []

    def item(self, document: Place, keys: Keys, value: Any) -> None:
        match decode(value):
            case Decoded(resource=resource, warnings=warnings, notes=notes):
                key = key_of(resource)
                self.entries.append(Entry(self._chunk, document, keys, key, resource))
                self._remark(Severity.WARNING, document, keys, key, warnings)
                self._remark(Severity.NOTE, document, keys, key, (*notes, *_for_clusters(resource)))
            case Rejected(key=key, problems=problems):
                self._remark(Severity.ERROR, document, keys, key, problems)
                if key is None:
                    self._chunk.nameless = True
                else:
                    self.entries.append(Entry(self._chunk, document, keys, key, None))
            case Unrecognised(api_version=api_version, kind=kind, hint=hint):
                self.unknown.append(Unknown(_line(self._chunk, document, keys), api_version, kind, hint))

    def _remark(
        self,
        severity: Severity,
        document: Place,
        keys: Keys,
        key: ObjectKey | None,
        problems: Iterable[FieldProblem],
    ) -> None:
        for problem in problems:
            line = _line(self._chunk, document, (*keys, *problem.keys))
            self.remarks.append(Remark(severity, line, key, problem.path, problem.message))


def _for_clusters(resource: Resource) -> Iterator[FieldProblem]:
    """What of an object only has an effect where tidegate runs the data plane's Pods."""
    if isinstance(resource, GatewayParameters):
        yield FieldProblem(("spec",), "is checked, and has an effect in a cluster only")
    elif isinstance(resource, Gateway) and resource.spec.infrastructure is not None:
        yield FieldProblem(("spec", "infrastructure"), "is checked, and has an effect in a cluster only")


def _line(chunk: Chunk, document: Place, keys: Keys) -> int:
    return document.line + locate(document.text_in(chunk), keys)
