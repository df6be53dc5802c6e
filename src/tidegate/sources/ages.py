"""Age and generation of objects that no API server counts, kept across restarts.

In: the decoded objects of a source, in the order of the input, and which keys went away. Out: the same
objects with complete metadata. ``metadata.generation`` of the input is ignored: it is 1 at first sight
and grows by one with each change of ``spec`` (of everything but ``metadata``, for kinds without a
spec), as an API server counts. Age is ``creationTimestamp`` where the input gives one, else the second
of first sight; ``order`` grows for ever, so an object that comes later never counts as older.

The state file is a journal of JSON lines, one per change, rewritten when most of it is outdated.
A line that cannot be read costs only itself; a file that cannot be read or written costs only the
memory of ages, and is reported. One process writes the file: whose state directory it is in holds a lock.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from tidegate.model.kinds import Resource
from tidegate.names import ObjectKey
from tidegate.sources.keeping import replace_file

_FORMAT: Final = "tidegate-ages-1"
_MIN_LINES_TO_COMPACT: Final = 1_000
_LINES_PER_OBJECT: Final = 3

_R = TypeVar("_R", bound=Resource)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class _Header(msgspec.Struct, frozen=True):
    """First line of the state file. ``next_order`` keeps orders from being given twice."""

    format: str
    next_order: int


class _Age(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is remembered of an object. ``generation`` 0 in the journal: the object is gone."""

    key: ObjectKey
    first_seen: int
    order: int
    generation: int
    digest: str


class Ages:
    """Stamps objects with age and generation.

    ``path`` None keeps everything in memory, for dry runs. ``clock`` gives the time of first sight.
    """

    def __init__(self, path: Path | None = None, *, clock: Callable[[], dt.datetime] = _now) -> None:
        self._path = path
        self._clock = clock
        self._ages: dict[ObjectKey, _Age] = {}
        self._next_order = 1
        self._lines = 0
        self._journal: list[_Age] = []
        self._load_problem = ""
        self._save_problem = ""
        self._load()

    @property
    def problem(self) -> str:
        """What is wrong with the state file, for people; empty when nothing is."""
        return self._save_problem or self._load_problem

    @property
    def file(self) -> str:
        """The state file, as people see it; empty when there is none."""
        return str(self._path) if self._path is not None else ""

    def by_order(self, key: ObjectKey) -> int:
        """The order that the object got at first sight; 0 for one that was never stamped."""
        age = self._ages.get(key)
        return age.order if age is not None else 0

    def stamp(self, key: ObjectKey, resource: _R, *, seen: dt.datetime) -> _R:
        """The object with its metadata complete. ``seen`` is now, one value for all of a batch."""
        digest = _digest(resource)
        age = self._ages.get(key)
        if age is None:
            age = _Age(key, int(seen.timestamp()), self._next_order, 1, digest)
            self._next_order += 1
            self._remember(age)
        elif age.digest != digest:
            age = msgspec.structs.replace(age, generation=age.generation + 1, digest=digest)
            self._remember(age)
        given = resource.metadata.creation_timestamp
        created = given if given is not None else _moment(age.first_seen)
        metadata = msgspec.structs.replace(
            resource.metadata, creation_timestamp=created, generation=age.generation, order=age.order
        )
        return msgspec.structs.replace(resource, metadata=metadata)

    def now(self) -> dt.datetime:
        """The clock's time."""
        return self._clock()

    def forget(self, key: ObjectKey) -> None:
        """The object was deleted: should it come back, it is a new one."""
        age = self._ages.pop(key, None)
        if age is not None:
            self._journal.append(msgspec.structs.replace(age, generation=0))

    def keep_only(self, keys: Iterable[ObjectKey]) -> None:
        """Forgets everything else: what went away while nobody looked."""
        for key in self._ages.keys() - set(keys):
            self.forget(key)

    def save(self) -> None:
        """Writes what changed since the last time: one appended write, or now and then the whole file."""
        if self._path is None:
            self._journal.clear()
            return
        if not self._journal:
            return
        lines = self._lines + len(self._journal)
        outdated = lines > max(_MIN_LINES_TO_COMPACT, _LINES_PER_OBJECT * len(self._ages))
        try:
            if outdated or not self._lines:
                self._rewrite(self._path)
            else:
                self._append(self._path)
        except OSError as error:
            self._save_problem = f"ages and generations cannot be kept in {self._path}: {error.strerror or error}"
            self._lines = 0  # What was appended may be cut off: the next save writes a whole file.
        else:
            self._save_problem = ""
        self._journal.clear()

    def _remember(self, age: _Age) -> None:
        self._ages[age.key] = age
        self._journal.append(age)

    def _append(self, path: Path) -> None:
        data = b"".join(msgspec.json.encode(age) + b"\n" for age in self._journal)
        with path.open("ab") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
        self._lines += len(self._journal)

    def _rewrite(self, path: Path) -> None:
        header = msgspec.json.encode(_Header(_FORMAT, self._next_order))
        lines = [header, *(msgspec.json.encode(age) for age in self._ages.values()), b""]
        replace_file(path, b"\n".join(lines))
        self._lines = len(self._ages) + 1

    def _load(self) -> None:
        if self._path is None:
            return
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            self._load_problem = f"started without known ages: {self._path}: {error.strerror or error}"
            return
        header, *lines = data.split(b"\n")
        try:
            known = msgspec.json.decode(header, type=_Header)
            if known.format != _FORMAT:
                raise msgspec.ValidationError(f"format {known.format}")
        except msgspec.DecodeError as error:
            self._load_problem = f"started without known ages: {self._path} is damaged ({error})"
            return
        self._next_order = known.next_order
        self._replay(lines)

    def _replay(self, lines: list[bytes]) -> None:
        decoder = msgspec.json.Decoder(_Age)
        damaged = 0
        for line in lines:
            if not line:
                continue
            try:
                age = decoder.decode(line)
            except msgspec.DecodeError:
                damaged += 1
                continue
            self._next_order = max(self._next_order, age.order + 1)
            if age.generation:
                self._ages[age.key] = age
            else:
                self._ages.pop(age.key, None)
        self._lines = len(lines)
        if damaged:
            self._load_problem = f"started without some ages: {damaged} lines of {self._path} are damaged"
            self._lines = 0  # The next save writes a whole, sound file.


@lru_cache(maxsize=64)
def _moment(seconds: int) -> dt.datetime:
    """A second since the epoch; one object for the many that are first seen together."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _digest(resource: Resource) -> str:
    """A short hash of what counts for the generation."""
    content = getattr(resource, "spec", None)
    if content is None:
        content = {name: getattr(resource, name) for name in resource.__struct_fields__ if name != "metadata"}
    data = msgspec.json.encode(content, order="deterministic")
    return hashlib.blake2b(data, digest_size=9).hexdigest()
