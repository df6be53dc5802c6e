"""An incremental graph of pure functions: a change costs what depends on it, and no more.

A graph has *tables* (inputs, set from outside), *units* (derived: ``compute(view, key)``) and *indexes*
(derived: which entries belong to a key). Whatever a unit reads through its view is recorded, so it is
computed again only when something that it read has another value. Units are evaluated in the
order in which they are given; a unit may read only what stands before it.

The law of a unit: it is a pure function of what it reads through the view. Computing everything anew
from the same tables gives the same values (a property test checks this after random histories).

A unit that raises keeps its last value, and a value that an index cannot take has no entries; the error is
handed out as a ``Fault``, so that no object can stop the others.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
E = TypeVar("E")


@dataclass(frozen=True, eq=False)
class Table(Generic[K, V]):
    """Input values by key."""

    name: str


@dataclass(frozen=True, eq=False)
class Index(Generic[K, E]):
    """Entries by key, sorted. ``entries(source_key, source_value)`` yields ``(key, entry)`` pairs.

    An entry that several source keys yield for one key stands there once.
    """

    name: str
    source: Table[Any, Any] | Unit[Any, Any]
    entries: Callable[[Any, Any], Iterable[tuple[K, E]]]


@dataclass(frozen=True, eq=False)
class Unit(Generic[K, V]):
    """Values derived by ``compute(view, key)`` for every key that ``domain`` has."""

    name: str
    domain: Table[K, Any] | Unit[K, Any] | Index[K, Any]
    compute: Callable[[View, K], V | None]


Node = Table[Any, Any] | Unit[Any, Any] | Index[Any, Any]


@dataclass(frozen=True)
class Fault:
    """A unit or index that raised for a key: a defect of ours, contained."""

    unit: str
    key: Hashable
    error: Exception


@dataclass
class Update:
    """What one ``Graph.update`` changed: per node the keys with another value, and the faults."""

    changed: dict[Node, set[Hashable]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def keys(self, node: Table[K, Any] | Unit[K, Any] | Index[K, Any]) -> set[K]:
        """The keys of ``node`` whose value changed, appeared or went."""
        return self.changed.get(node, set())  # type: ignore[return-value]


class _Cell(msgspec.Struct, eq=False, gc=False):
    """A key of a node: its value, and who read it.

    There are as many as there are keys of all nodes, so they are lean: one reader, and one entry of an index, stands
    for itself, and only several are in a collection. They are outside of garbage collection, for which they would be
    larger, and which would look at them again and again: a graph that ends takes their cycles apart.
    """

    state: _State
    key: Hashable
    value: Any = None
    readers: _Cell | tuple[_Cell, ...] | set[_Cell] = ()

    def join(self, reader: _Cell) -> None:
        """Note one more reader."""
        readers = self.readers
        if isinstance(readers, set):
            readers.add(reader)
        elif isinstance(readers, tuple):
            more = (*readers, reader)
            self.readers = reader if not readers else more if len(readers) < _FEW else set(more)
        else:
            self.readers = (readers, reader)

    def leave(self, reader: _Cell) -> None:
        """Note that a reader reads it no more."""
        readers = self.readers
        if isinstance(readers, set):
            readers.discard(reader)
        else:
            self.readers = tuple(one for one in _each(readers) if one is not reader)
        if not self.readers:
            self.readers = ()
            self.state.prune(self)


class _Derived(_Cell):
    """A key of a unit: also what was read to compute its value, by itself when it was one cell."""

    reads: _Cell | tuple[_Cell, ...] = ()


class _Several(list[Any]):
    """The value of an index where there are several entries, sorted."""

    __slots__ = ()


def _each(cells: _Cell | tuple[_Cell, ...] | set[_Cell]) -> Collection[_Cell]:
    """All of a cell's readers or reads."""
    return (cells,) if isinstance(cells, _Cell) else cells


def _entries(value: Any) -> Sequence[Any]:
    """All entries that are the value of an index."""
    return () if value is None else value if isinstance(value, _Several) else (value,)


_FEW = 8


@dataclass(eq=False)
class _State:
    """What the graph keeps for one node. ``dirty`` is what its next turn has to look at: the new values of a table,
    the old source values of an index, the keys of a unit. ``repeats``: how many source keys yield an entry, if several.
    """

    node: Node
    position: int
    kind: type[_Cell]
    cells: dict[Hashable, _Cell] = field(default_factory=dict)
    dirty: dict[Hashable, Any] = field(default_factory=dict)
    repeats: dict[tuple[Hashable, Any], int] = field(default_factory=dict)
    followers: list[_State] = field(default_factory=list)

    def cell(self, key: Hashable) -> _Cell:
        """The cell of a key, which is made if need be."""
        found = self.cells.get(key)
        if found is None:
            found = self.cells[key] = self.kind(self, key)
        return found

    def value(self, key: Hashable) -> Any:
        """The value at a key, or None."""
        found = self.cells.get(key)
        return None if found is None else found.value

    def prune(self, cell: _Cell) -> None:
        """Forget a cell that means nothing any more."""
        if cell.value is None and not cell.readers and not (isinstance(cell, _Derived) and cell.reads):
            self.cells.pop(cell.key, None)


class View:
    """What a unit may read; every read is recorded as a dependency of the key being computed."""

    __slots__ = ("_position", "_reads", "_states", "config")

    def __init__(self, states: Mapping[Node, _State], config: Any) -> None:
        self._states = states
        self._position = 0
        self._reads: set[_Cell] = set()
        self.config = config

    def get(self, node: Table[K, V] | Unit[K, V], key: K) -> V | None:
        """The value of a table or unit at ``key``, or None."""
        found: V | None = self._read(node, key)
        return found

    def entries(self, index: Index[K, E], key: K) -> Sequence[E]:
        """The sorted entries of an index at ``key``. Not to be kept or changed by the caller."""
        return _entries(self._read(index, key))

    def begin(self, position: int) -> set[_Cell]:
        """Start recording for a node: only what stands before ``position`` may be read. Graph only."""
        self._position, self._reads = position, set()
        return self._reads

    def _read(self, node: Node, key: Hashable) -> Any:
        state = self._states[node]
        if state.position >= self._position:
            raise ValueError(f"a unit reads {node.name}, which is not before it")
        cell = state.cell(key)
        self._reads.add(cell)
        return cell.value


class Graph:
    """Holds the values of ``nodes``. Not shared between tasks; ``config`` is constant for its life."""

    def __init__(self, nodes: Sequence[Node], config: Any) -> None:
        self._states: dict[Node, _State] = {
            node: _State(node, position, _Derived if isinstance(node, Unit) else _Cell)
            for position, node in enumerate(nodes)
        }
        self._view = View(self._states, config)
        for node, state in self._states.items():
            source = node.source if isinstance(node, Index) else node.domain if isinstance(node, Unit) else None
            if source is not None:
                self._states[source].followers.append(state)

    def __del__(self) -> None:
        for state in self._states.values():
            for cell in state.cells.values():
                cell.readers = ()
                if isinstance(cell, _Derived):
                    cell.reads = ()
            state.cells.clear()

    def put(self, table: Table[K, V], key: K, value: V | None) -> None:
        """Set an input, or remove it with None. In force after the next ``update``."""
        self._states[table].dirty[key] = value

    def get(self, node: Table[K, V] | Unit[K, V], key: K) -> V | None:
        """The value of a table or unit as of the last update."""
        found: V | None = self._states[node].value(key)
        return found

    def entries(self, index: Index[K, E], key: K) -> Sequence[E]:
        """The entries of an index as of the last update."""
        return _entries(self._states[index].value(key))

    def items(self, node: Table[K, V] | Unit[K, V]) -> Iterator[tuple[K, V]]:
        """All keys and values of a table or unit."""
        cells = self._states[node].cells
        return ((key, cell.value) for key, cell in cells.items() if cell.value is not None)  # type: ignore[misc]

    def update(self) -> Update:
        """Compute what the inputs put since the last update changed."""
        update = Update()
        for node, state in self._states.items():
            if not state.dirty:
                continue
            dirty, state.dirty = state.dirty, {}
            if isinstance(node, Table):
                changed = self._store(state, dirty)
            elif isinstance(node, Unit):
                changed = self._compute(node, state, dirty, update.faults)
            else:
                changed = self._regroup(node, state, dirty, update.faults)
            if changed:
                update.changed[node] = set(changed)
                self._propagate(state, changed)
        return update

    def _store(self, state: _State, dirty: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Take new input values; returns the old value of each key that really changed."""
        changed = {}
        for key, value in dirty.items():
            old = state.value(key)
            if old == value:
                continue
            changed[key] = old
            _set(state.cell(key), value)
        return changed

    def _compute(
        self, unit: Unit[Any, Any], state: _State, dirty: Iterable[Hashable], faults: list[Fault]
    ) -> dict[Hashable, Any]:
        domain = self._states[unit.domain]
        changed = {}
        view = self._view
        for key in dirty:
            cell = state.cell(key)
            assert isinstance(cell, _Derived)
            old = new = cell.value
            reads = view.begin(state.position)
            if domain.value(key) is None:
                new = None
            else:
                try:
                    new = unit.compute(view, key)
                except Exception as error:  # noqa: BLE001 - contained, and reported as a Fault
                    faults.append(Fault(unit.name, key, error))
            _record(cell, reads)
            if new != old:
                changed[key] = old
            _set(cell, new if new != old else old)
        return changed

    def _regroup(
        self, index: Index[Any, Any], state: _State, dirty: Mapping[Hashable, Any], faults: list[Fault]
    ) -> dict[Hashable, Any]:
        """Move entries; ``dirty`` maps changed source keys to their old source value."""
        source = self._states[index.source]
        changed: dict[Hashable, Any] = {}
        for source_key, old_value in dirty.items():
            old = _pairs(index, source_key, old_value, [])
            new = _pairs(index, source_key, source.value(source_key), faults)
            for pair in old - new:
                if _withdraw(state, pair):
                    changed[pair[0]] = None
            for pair in new - old:
                if _enter(state, pair):
                    changed[pair[0]] = None
        return changed

    @staticmethod
    def _propagate(state: _State, changed: Mapping[Hashable, Any]) -> None:
        for follower in state.followers:
            follower.dirty.update(changed)
        for key in changed:
            cell = state.cells.get(key)
            for reader in _each(cell.readers) if cell is not None else ():
                reader.state.dirty.setdefault(reader.key, None)


def _set(cell: _Cell, value: Any) -> None:
    cell.value = value
    if value is None:
        cell.state.prune(cell)


def _record(cell: _Derived, reads: set[_Cell]) -> None:
    """Note what was read to compute a cell."""
    before = _each(cell.reads)
    if len(before) == len(reads) and all(read in reads for read in before):
        return
    cell.reads = next(iter(reads)) if len(reads) == 1 else tuple(reads)
    for read in reads.difference(before):
        read.join(cell)
    for read in before:
        if read not in reads:
            read.leave(cell)


def _enter(state: _State, pair: tuple[Hashable, Any]) -> bool:
    """Note that one more source key yields an entry; whether it is new."""
    key, entry = pair
    cell = state.cell(key)
    entries = cell.value
    if entries is None:
        cell.value = entry
        return True
    if not isinstance(entries, _Several):
        entries = _Several((entries,))
    place = bisect.bisect_left(entries, entry)
    if place < len(entries) and entries[place] == entry:
        state.repeats[pair] = state.repeats.get(pair, 1) + 1
        return False
    entries.insert(place, entry)
    cell.value = entries
    return True


def _withdraw(state: _State, pair: tuple[Hashable, Any]) -> bool:
    """Note that one source key less yields an entry; whether it is gone."""
    repeats = state.repeats.pop(pair, 1)
    if repeats > 1:
        if repeats > 2:
            state.repeats[pair] = repeats - 1
        return False
    key, entry = pair
    cell = state.cells[key]
    entries = cell.value
    if not isinstance(entries, _Several):
        _set(cell, None)
        return True
    del entries[bisect.bisect_left(entries, entry)]
    if len(entries) == 1:
        cell.value = entries[0]
    return True


def _pairs(index: Index[Any, Any], key: Hashable, value: Any, faults: list[Fault]) -> set[tuple[Hashable, Any]]:
    """The entries of a source value, with their keys."""
    if value is None:
        return set()
    try:
        return set(index.entries(key, value))
    except Exception as error:  # noqa: BLE001 - contained, and reported as a Fault
        faults.append(Fault(index.name, key, error))
        return set()
