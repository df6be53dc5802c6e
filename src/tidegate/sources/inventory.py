"""Which claim to an object counts, over all files. No I/O, no clock.

In: the newest text of a file, or that it is unreadable or gone. Out: the keys that this touched, for
each key who claims it, and everything there is to say about the files. The rules of last good versions:

* a file that cannot be read, or with a document that is no YAML, keeps all objects it had; at first
  sight its sound documents count;
* while a file holds an object without a usable name, nothing of that file is taken for deleted;
* of several claims to one object the last one counts, by path and place in the file.

That a refused object keeps the version in force before is up to who knows that version: `files`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from tidegate.model.diagnostics import Diagnostic, Location, Severity
from tidegate.names import ObjectKey
from tidegate.sources.chunks import Chunk, Entry, Remark, Unknown, read_chunk
from tidegate.sources.documents import first_lines, split

KEPT: Final = "; until it is repaired, the objects of this file stay as they were"


class Claim(msgspec.Struct, frozen=True):
    """Who claims an object: ``last`` counts; ``sound`` is the last one that is not refused."""

    last: Entry
    sound: Entry | None


class _File(msgspec.Struct):
    """A file. ``chunks`` are in force; ``troubles`` say why the newest content is not, or not fully."""

    chunks: list[Chunk] = []
    loud: list[Chunk] = []
    held: dict[ObjectKey, Entry] = {}
    troubles: tuple[Diagnostic, ...] = ()

    def has_objects(self) -> bool:
        """Whether anything of the file is in force."""
        return bool(self.held) or any(chunk.entries for chunk in self.chunks)


class Inventory:
    """The objects of a set of files. ``read`` makes a chunk of new text."""

    def __init__(self, read: Callable[[str, str], Chunk] = read_chunk) -> None:
        self._read = read
        self._files: dict[str, _File] = {}
        self._speaking: dict[str, _File] = {}
        self._claims: dict[ObjectKey, tuple[Entry, ...]] = {}
        self._contested: set[ObjectKey] = set()
        self._touched: set[ObjectKey] = set()

    def load(self, path: str, text: str) -> None:
        """The file reads so now."""
        file = self._files.setdefault(path, _File())
        texts = split(text)
        chunks, start, end = self._align(path, file.chunks, texts)
        kept = file.has_objects()
        file.troubles = _syntax_errors(path, texts, chunks, kept=kept)
        if file.troubles and kept:
            self._speaking[path] = file
            return
        old = file.chunks[start : len(file.chunks) - end]
        new = chunks[start : len(chunks) - end]
        file.chunks = chunks
        file.loud = [chunk for chunk in chunks if chunk.remarks or chunk.unknown]
        _place(chunks, start, new)
        self._replace(file, old, new)
        if file.loud or file.troubles:
            self._speaking[path] = file
        else:
            self._speaking.pop(path, None)

    def fail(self, path: str, message: str, line: int = 0) -> None:
        """The file is there and cannot be read, or is no text; ``line`` counts from 1, 0: as a whole."""
        file = self._files.setdefault(path, _File())
        kept = KEPT if file.has_objects() else ""
        file.troubles = (_error(Location(path, line), message + kept),)
        self._speaking[path] = file

    def shrinks_to(self, path: str, text: str) -> bool:
        """Whether the text is a shorter beginning of what the file says now: a rewrite in progress?"""
        file = self._files.get(path)
        if file is None or not file.has_objects():
            return False
        texts = split(text)
        if len(texts) > len(file.chunks):
            return False
        whole = all(chunk.text == new for chunk, new in zip(file.chunks, texts[:-1], strict=False))
        tail = file.chunks[len(texts) - 1].text
        return whole and tail.startswith(texts[-1]) and (len(texts) < len(file.chunks) or tail != texts[-1])

    def remove(self, path: str) -> None:
        """The file is gone, and its objects with it."""
        file = self._files.pop(path, None)
        self._speaking.pop(path, None)
        if file is not None:
            self._replace(_File(held=file.held), file.chunks, [])

    def take_touched(self) -> list[ObjectKey]:
        """The keys whose claims changed since the last call, in the order of the input; deleted ones first."""
        touched, self._touched = self._touched, set()
        gone = sorted(key for key in touched if key not in self._claims)
        return gone + self.ordered(key for key in touched if key in self._claims)

    def ordered(self, keys: Iterable[ObjectKey]) -> list[ObjectKey]:
        """Keys of objects that some file claims, in the order of the input."""
        return [key for _, key in sorted((self._last(key).place, key) for key in keys)]

    def claim(self, key: ObjectKey) -> Claim | None:
        """Who claims an object; None: nobody, it is deleted."""
        claims = self._claims.get(key)
        if claims is None:
            return None
        if len(claims) == 1:
            only = claims[0]
            return Claim(only, only if only.resource is not None else None)
        ordered = sorted(claims, key=lambda entry: entry.place)
        sound = [entry for entry in ordered if entry.resource is not None]
        return Claim(ordered[-1], sound[-1] if sound else None)

    def keys(self) -> Iterable[ObjectKey]:
        """Every object that some file claims."""
        return self._claims.keys()

    def held(self, path: str) -> Iterable[Entry]:
        """What is no longer in the file and still stands in for an object nobody can name."""
        file = self._files.get(path)
        return file.held.values() if file is not None else ()

    def in_trouble(self, path: str) -> bool:
        """Whether the newest content of the file is not, or not fully, in force."""
        file = self._files.get(path)
        return file is not None and bool(file.troubles)

    @property
    def sound(self) -> bool:
        """Whether every file is in force as it stands."""
        return not any(file.troubles for file in self._speaking.values())

    def troubles(self) -> list[Diagnostic]:
        """What keeps files, wholly or in part, from being in force: unreadable, no text, no YAML."""
        return [trouble for file in self._speaking.values() for trouble in file.troubles]

    def diagnostics(self) -> list[Diagnostic]:
        """Everything there is to say now, apart from what `files` knows."""
        loud = [chunk for _, file in sorted(self._speaking.items()) for chunk in file.loud]
        found = self.troubles()
        found.extend(diagnostic for chunk in loud for diagnostic in chunk.diagnostics())
        found.extend(_gathered_notes(loud))
        found.extend(_unknown_kinds(loud))
        for key in sorted(self._contested):
            found.extend(self._duplicates(key))
        return found

    def _align(self, path: str, old: list[Chunk], texts: list[str]) -> tuple[list[Chunk], int, int]:
        """The chunks of the texts, those of ``old`` again where they are unchanged; and how many are so
        at the start and at the end.
        """
        shorter = min(len(old), len(texts))
        start = next((i for i in range(shorter) if old[i].text != texts[i]), shorter)
        rest = shorter - start
        end = next((i for i in range(rest) if old[-1 - i].text != texts[-1 - i]), rest)
        known: dict[str, list[Chunk]] = {}
        for chunk in reversed(old[start : len(old) - end]):
            known.setdefault(chunk.text, []).append(chunk)
        middle = []
        for text in texts[start : len(texts) - end]:
            same = known.get(text)
            middle.append(same.pop() if same else self._read(path, text))
        return [*old[:start], *middle, *old[len(old) - end :]], start, end

    def _replace(self, file: _File, old: list[Chunk], new: list[Chunk]) -> None:
        """The claims of the old chunks give way to those of the new ones."""
        leaving: dict[ObjectKey, list[Entry]] = defaultdict(list)
        coming: dict[ObjectKey, list[Entry]] = defaultdict(list)
        for chunk in old:
            for entry in chunk.entries:
                leaving[entry.key].append(entry)
        for chunk in new:
            for entry in chunk.entries:
                coming[entry.key].append(entry)
        for key, entry in file.held.items():
            leaving[key].append(entry)
        for key in leaving.keys() | coming.keys():
            without = [entry for entry in self._claims.get(key, ()) if entry not in leaving.get(key, ())]
            self._set_claims(key, [*without, *coming.get(key, ())])
        self._hold(file, leaving)

    def _hold(self, file: _File, leaving: dict[ObjectKey, list[Entry]]) -> None:
        """Keeps what left the file while one of its objects has no name: it may be that one."""
        file.held = {}
        if not any(chunk.nameless for chunk in file.loud):
            return
        for key, entries in leaving.items():
            if not self._claims.get(key):
                entry = entries[-1]
                entry.held = True
                file.held[key] = entry
                self._set_claims(key, [entry])

    def _set_claims(self, key: ObjectKey, entries: list[Entry]) -> None:
        self._touched.add(key)
        if entries:
            self._claims[key] = tuple(entries)
        else:
            self._claims.pop(key, None)
        if len(entries) > 1:
            self._contested.add(key)
        else:
            self._contested.discard(key)

    def _last(self, key: ObjectKey) -> Entry:
        return max(self._claims[key], key=lambda entry: entry.place)

    def _duplicates(self, key: ObjectKey) -> Iterator[Diagnostic]:
        *losers, winner = sorted(self._claims[key], key=lambda entry: entry.place)
        for entry in losers:
            yield Diagnostic(
                severity=Severity.WARNING,
                location=entry.location(),
                object=key,
                message=f"{key} stands here and again at {winner.location()}; the last one counts",
            )


def _place(chunks: list[Chunk], start: int, new: list[Chunk]) -> None:
    """Brings position and line of the chunks up to date, stopping where nothing moved."""
    position = start
    line = chunks[start - 1].line + chunks[start - 1].text.count("\n") + 1 if start else 0
    for chunk in chunks[start:]:
        if position >= start + len(new) and chunk.position == position and chunk.line == line:
            return
        chunk.position = position
        chunk.line = line
        position += 1
        line += chunk.text.count("\n") + 1


def _syntax_errors(path: str, texts: list[str], chunks: list[Chunk], *, kept: bool) -> tuple[Diagnostic, ...]:
    broken = [(i, chunk.broken) for i, chunk in enumerate(chunks) if chunk.broken is not None]
    if not broken:
        return ()
    lines = first_lines(texts)
    return tuple(
        _error(Location(path, lines[i] + problem.line + 1), problem.message + (KEPT if kept else ""))
        for i, problem in broken
    )


def _error(location: Location, message: str) -> Diagnostic:
    return Diagnostic(severity=Severity.ERROR, location=location, message=message)


def _gathered_notes(loud: list[Chunk]) -> Iterator[Diagnostic]:
    """One note for all that say the same."""
    same: dict[tuple[str, str], list[tuple[Chunk, Remark]]] = defaultdict(list)
    for chunk in loud:
        for remark in chunk.remarks:
            if remark.severity is Severity.NOTE:
                same[remark.path, remark.message].append((chunk, remark))
    for notes in same.values():
        chunk, remark = notes[0]
        note = chunk.diagnostic(remark)
        if len(notes) > 1:
            note = msgspec.structs.replace(note, message=f"{note.message} (here and in {_others(len(notes) - 1)})")
        yield note


def _unknown_kinds(loud: list[Chunk]) -> Iterator[Diagnostic]:
    """One note for each kind that tidegate does not read."""
    same: dict[tuple[str, str], list[tuple[Chunk, Unknown]]] = defaultdict(list)
    for chunk in loud:
        for unknown in chunk.unknown:
            same[unknown.api_version, unknown.kind].append((chunk, unknown))
    for (api_version, kind), found in same.items():
        chunk, unknown = found[0]
        more = f" (here and in {_others(len(found) - 1)})" if len(found) > 1 else ""
        meant = f"; did you mean {unknown.hint}?" if unknown.hint else ""
        yield Diagnostic(
            severity=Severity.WARNING if unknown.hint else Severity.NOTE,
            location=chunk.location(unknown.line),
            message=f"kind {kind} of {api_version} is not read by tidegate and skipped{more}{meant}",
        )


def _others(count: int) -> str:
    return "1 other object" if count == 1 else f"{count} other objects"
