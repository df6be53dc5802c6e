"""The objects of files and directories, kept current on demand. Blocking, without tasks or watches.

In: paths, and calls that say what to look at again. Out: batches of changes with complete metadata and
all diagnostics. `listing` reads, `inventory` decides which claim counts, `ages` gives age and
generation; here a refused object keeps its last good version. `keeping` has the last sound contents of an
earlier run: they count before those of now, so last good versions outlive a restart. `files` makes a
stream of it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath

import msgspec

from tidegate.model.diagnostics import Diagnostic, Location, Severity
from tidegate.model.kinds import Resource
from tidegate.names import ObjectKey
from tidegate.sources import listing
from tidegate.sources.ages import Ages
from tidegate.sources.base import Batch, Change
from tidegate.sources.chunks import Entry
from tidegate.sources.documents import Keys, decode
from tidegate.sources.inventory import Claim, Inventory
from tidegate.sources.keeping import Keeper
from tidegate.sources.listing import STDIN, Content, Gone, Listing, Signature, Unreadable
from tidegate.sources.parsing import Broken

STDIN_NAME = "<stdin>"


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at names and times found: files that are new, changed or gone, and all there are.

    ``batch`` holds what there is to say of directories; objects change by reading.
    """

    batch: Batch
    changed: tuple[str, ...]
    listing: Listing


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What reading gave. ``unfinished`` files look as if somebody were rewriting them: read them later."""

    batch: Batch
    unfinished: tuple[str, ...] = ()


class FileSet:
    """The objects of some paths. One thread at a time may call it.

    ``read_stdin`` gives all of standard input; it is called once, at the first load, when a path is ``-``.
    ``keeper`` None: nothing is kept for the next start, and nothing is known of the last one.
    """

    def __init__(
        self, paths: Sequence[str], *, ages: Ages, read_stdin: Callable[[], bytes], keeper: Keeper | None = None
    ) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._ages = ages
        self._read_stdin = read_stdin
        self._keeper = keeper
        self._recalled: dict[str, bytes] = {}
        self._earlier: set[str] = set()
        self._unkept: dict[str, bytes | None] = {}
        self._inventory = Inventory()
        self._signatures: dict[str, Signature | None] = {}
        self._served: dict[ObjectKey, Resource] = {}
        self._in_force: dict[ObjectKey, Entry] = {}
        self._standing: set[ObjectKey] = set()
        self._listing = Listing((), ())
        self._said: tuple[Diagnostic, ...] | None = None
        self._lock = threading.Lock()

    def load(self) -> Batch:
        """Lists and reads everything that is new or changed since the last time, finished or not."""
        with self._lock:
            if self._said is None:
                return self._first()
            for path in self._look():
                self._absorb(path)
            return self._batch()

    def survey(self) -> Survey:
        """Lists again and says which files are new, changed or gone, without reading."""
        with self._lock:
            changed = tuple(self._look())
            return Survey(batch=self._batch(), changed=changed, listing=self._listing)

    def read(self, paths: Iterable[str], *, patient: bool) -> Reading:
        """Reads some files of the last listing again; others are not looked at.

        ``patient``: a file that became a shorter beginning of itself is not believed yet.
        """
        with self._lock:
            unfinished = [path for path in paths if not self._absorb(path, patient=patient)]
            return Reading(batch=self._batch(), unfinished=tuple(unfinished))

    @property
    def to_keep(self) -> bool:
        """Whether `keep` has something to do."""
        return bool(self._unkept)

    def keep(self) -> Batch:
        """Keeps what was read soundly since the last time; the batch says what there is to say of that."""
        with self._lock:
            if self._keeper is None or not self._unkept:
                return Batch(changes=())
            extras = self._extras()
            contents = [(path, data and b"".join((data, *extras.get(path, ())))) for path, data in self._unkept.items()]
            self._keeper.keep(
                (path, data) for path, data in contents if path not in self._recalled or self._recalled[path] != data
            )
            self._unkept.clear()
            self._recalled.clear()
            return Batch(changes=(), diagnostics=self._new_diagnostics())

    def resources(self) -> tuple[Resource, ...]:
        """Every object in force."""
        return tuple(self._served.values())

    @property
    def sound(self) -> bool:
        """Whether all input could be read; refused objects are no matter here."""
        return self._sound()

    def origin(self, key: ObjectKey, field_keys: Keys = ()) -> Location | None:
        """Where an object, or a field of it, stands; None when no file has it. Costs a parse of the document."""
        with self._lock:
            claim = self._inventory.claim(key)
            return claim.last.location(field_keys) if claim is not None else None

    def _first(self) -> Batch:
        """Everything, in the order of the input; the contents of an earlier run count before those of now."""
        paths = self._look()
        self._recall(path for path in paths if path != STDIN)
        self._settle()
        for path in paths:
            self._absorb(path)
        self._settle()
        if self._sound():
            self._ages.keep_only(self._inventory.keys())
            if self._keeper is not None:
                self._keeper.keep_only(path for path in paths if path != STDIN)
        self._ages.save()
        changes = tuple(Change(key=key, resource=self._served[key]) for key in self._inventory.ordered(self._served))
        return Batch(changes=changes, diagnostics=self._new_diagnostics())

    def _recall(self, paths: Iterable[str]) -> None:
        if self._keeper is None:
            return
        for path in paths:
            data = self._keeper.recall(path)
            text = decode(data) if data is not None else None
            if data is not None and isinstance(text, str):
                self._recalled[path] = data
                self._earlier.add(path)
                self._inventory.load(path, text)

    def _extras(self) -> dict[str, list[bytes]]:
        """The objects in force that the files do not say, or not soundly, as documents to add to them."""
        extras: dict[str, list[bytes]] = {}
        for key in sorted(self._standing):
            claim = self._inventory.claim(key)
            assert claim is not None
            extras.setdefault(claim.last.chunk.file, []).append(_document(self._in_force[key]))
        for path in self._unkept:
            for entry in self._inventory.held(path):
                if entry.resource is not None:
                    extras.setdefault(path, []).append(_document(entry))
        return extras

    def _sound(self) -> bool:
        return self._inventory.sound and not self._listing.unreadable and not self._listing.missing

    def _look(self) -> list[str]:
        """Brings the listing up to date; the files that are new, changed or gone."""
        self._listing = found = listing.list_files(self._paths)
        closed = [PurePath(directory) for directory, _ in found.unreadable]
        gone = [
            path
            for path in self._signatures.keys() - set(found.files)
            if not any(PurePath(path).is_relative_to(directory) for directory in closed)
        ]
        return [*gone, *(path for path in found.files if self._differs(path))]

    def _differs(self, path: str) -> bool:
        if path == STDIN:
            return STDIN not in self._signatures
        return path not in self._signatures or listing.signature(path) != self._signatures[path]

    def _absorb(self, path: str, *, patient: bool = False) -> bool:
        """Reads one file into the inventory; False when it looks unfinished, and nothing was done."""
        if path == STDIN:
            self._signatures[STDIN] = None
            self._take(STDIN_NAME, self._read_stdin())
            return True
        match listing.read(path):
            case Gone():
                self._signatures.pop(path, None)
                self._inventory.remove(path)
                self._earlier.discard(path)
                if self._keeper is not None:
                    self._unkept[path] = None
            case Unreadable(message=message):
                self._signatures[path] = listing.signature(path)
                self._inventory.fail(path, message)
            case Content(data=data, signature=signature):
                before = self._signatures.get(path)
                shrunk = patient and before is not None and signature.size < before.size
                if shrunk and self._shrinks(path, data):
                    return False
                self._signatures[path] = signature
                self._take(path, data)
                if not self._inventory.in_trouble(path):
                    self._earlier.discard(path)
                    if self._keeper is not None:
                        self._unkept[path] = data
        return True

    def _shrinks(self, path: str, data: bytes) -> bool:
        text = decode(data)
        return isinstance(text, str) and self._inventory.shrinks_to(path, text)

    def _take(self, path: str, data: bytes) -> None:
        text = decode(data)
        if isinstance(text, Broken):
            self._inventory.fail(path, text.message, text.line + 1)
        else:
            self._inventory.load(path, text)

    def _batch(self) -> Batch:
        """What all that was absorbed changes."""
        changes = self._settle()
        self._ages.save()
        return Batch(changes=changes, diagnostics=self._new_diagnostics())

    def _settle(self) -> tuple[Change, ...]:
        seen = self._ages.now()
        changes = []
        for key in self._inventory.take_touched():
            entry = self._choose(key, self._inventory.claim(key))
            if key in self._standing:
                continue
            before = self._served.get(key)
            if entry is None or entry.resource is None:
                self._in_force.pop(key, None)
                if self._served.pop(key, None) is not None:
                    changes.append(Change(key=key, resource=None))
                continue
            after = self._ages.stamp(key, entry.resource, seen=seen)
            if after == before:
                after = before
            else:
                changes.append(Change(key=key, resource=after))
            # From here on there is no need for the object without age. Stamped again, it gets the same one: an object
            # whose age was forgotten has left all files, and comes back as another entry.
            entry.resource = self._served[key] = after
            self._in_force[key] = entry
        return tuple(changes)

    def _choose(self, key: ObjectKey, claim: Claim | None) -> Entry | None:
        """The version that counts, unless the one in force stays: then the key is among the standing."""
        self._standing.discard(key)
        if claim is None:
            self._ages.forget(key)
            return None
        if claim.last.resource is not None:
            return claim.last
        if key in self._in_force:
            self._standing.add(key)
            return None
        return claim.sound

    def _new_diagnostics(self) -> tuple[Diagnostic, ...] | None:
        """All there is to say; None when it is the same as last time."""
        found = [*self._inventory.diagnostics(), *self._about_paths(), *self._about_standing(), *self._about_earlier()]
        if self._ages.problem:
            found.append(_say(Severity.WARNING, self._ages.file, self._ages.problem))
        if self._keeper is not None and self._keeper.problem:
            found.append(_say(Severity.WARNING, self._keeper.place, self._keeper.problem))
        said = tuple(sorted(found, key=lambda diagnostic: diagnostic.location))
        if said == self._said:
            return None
        self._said = said
        return said

    def _about_paths(self) -> Iterable[Diagnostic]:
        for path, reason in self._listing.unreadable:
            yield _say(Severity.ERROR, path, f"the directory {reason.message}; its objects stay as they were")
        for path in self._listing.missing:
            yield _say(Severity.ERROR, path, "is gone, and its objects with it; watched for its return")
        for path in self._listing.empty:
            yield _say(Severity.WARNING, path, f"no file in this directory ends in {', '.join(listing.EXTENSIONS)}")

    def _about_standing(self) -> Iterable[Diagnostic]:
        for key in sorted(self._standing):
            claim = self._inventory.claim(key)
            assert claim is not None
            yield Diagnostic(
                severity=Severity.NOTE,
                location=claim.last.location(),
                object=key,
                message=f"the version of {key} in force before this one stays",
            )

    def _about_earlier(self) -> Iterable[Diagnostic]:
        for path in sorted(self._earlier):
            if self._inventory.in_trouble(path):
                yield _say(Severity.NOTE, path, f"the last good version of {path}, of an earlier run, is in force")


def _document(entry: Entry) -> bytes:
    """An object as one more document at the end of a file."""
    return b"\n---\n" + json.dumps(entry.value).encode()


def _say(severity: Severity, file: str, message: str) -> Diagnostic:
    return Diagnostic(severity=severity, location=Location(file), message=message)
