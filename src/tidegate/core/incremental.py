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
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

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


_Place = tuple[int, Hashable]
"""A key of a node, by the node's position."""

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


@dataclass
class _State:
    """What the graph keeps for one node. ``readers``: who read a key; most keys have one reader, and a set for
    each of those would be most of a graph's memory.
    """

    position: int
    values: dict[Hashable, Any] = field(default_factory=dict)
    readers: dict[Hashable, _Place | set[_Place]] = field(default_factory=dict)
    reads: dict[Hashable, tuple[_Place, ...]] = field(default_factory=dict)
    dirty: dict[Hashable, None] = field(default_factory=dict)
    counts: dict[tuple[Hashable, Any], int] = field(default_factory=dict)
    followers: list[Node] = field(default_factory=list)


class View:
    """What a unit may read; every read is recorded as a dependency of the key being computed."""

    __slots__ = ("_position", "_reads", "_states", "config")

    def __init__(self, states: Mapping[Node, _State], config: Any) -> None:
        self._states = states
        self._position = 0
        self._reads: set[_Place] = set()
        self.config = config

    def get(self, node: Table[K, V] | Unit[K, V], key: K) -> V | None:
        """The value of a table or unit at ``key``, or None."""
        return self._read(node, key).values.get(key)

    def entries(self, index: Index[K, E], key: K) -> Sequence[E]:
        """The sorted entries of an index at ``key``. Not to be kept or changed by the caller."""
        found: Sequence[E] = self._read(index, key).values.get(key, ())
        return found

    def begin(self, position: int) -> set[_Place]:
        """Start recording for a node: only what stands before ``position`` may be read. Graph only."""
        self._position, self._reads = position, set()
        return self._reads

    def _read(self, node: Node, key: Hashable) -> _State:
        state = self._states[node]
        if state.position >= self._position:
            raise ValueError(f"a unit reads {node.name}, which is not before it")
        self._reads.add((state.position, key))
        return state


class Graph:
    """Holds the values of ``nodes``. Not shared between tasks; ``config`` is constant for its life."""

    def __init__(self, nodes: Sequence[Node], config: Any) -> None:
        self._nodes = tuple(nodes)
        self._states: dict[Node, _State] = {node: _State(position) for position, node in enumerate(nodes)}
        self._view = View(self._states, config)
        for node in nodes:
            source = node.source if isinstance(node, Index) else node.domain if isinstance(node, Unit) else None
            if source is not None:
                self._states[source].followers.append(node)

    def put(self, table: Table[K, V], key: K, value: V | None) -> None:
        """Set an input, or remove it with None. In force after the next ``update``."""
        self._states[table].dirty[key] = value  # type: ignore[assignment]

    def get(self, node: Table[K, V] | Unit[K, V], key: K) -> V | None:
        """The value of a table or unit as of the last update."""
        return self._states[node].values.get(key)

    def entries(self, index: Index[K, E], key: K) -> Sequence[E]:
        """The entries of an index as of the last update."""
        found: Sequence[E] = self._states[index].values.get(key, ())
        return found

    def items(self, node: Table[K, V] | Unit[K, V]) -> Iterator[tuple[K, V]]:
        """All keys and values of a table or unit."""
        return iter(self._states[node].values.items())  # type: ignore[arg-type]

    def update(self) -> Update:
        """Compute what the inputs put since the last update changed."""
        update = Update()
        for node in self._nodes:
            state = self._states[node]
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
                self._propagate(node, state, changed)
        return update

    def _store(self, state: _State, dirty: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Take new input values; returns the old value of each key that really changed."""
        changed = {}
        for key, value in dirty.items():
            old = state.values.get(key)
            if old == value:
                continue
            changed[key] = old
            if value is None:
                del state.values[key]
            else:
                state.values[key] = value
        return changed

    def _compute(
        self, unit: Unit[Any, Any], state: _State, dirty: Iterable[Hashable], faults: list[Fault]
    ) -> dict[Hashable, Any]:
        domain = self._states[unit.domain].values
        changed = {}
        view = self._view
        for key in dirty:
            old = state.values.get(key)
            if key in domain:
                reads = view.begin(state.position)
                try:
                    new = unit.compute(view, key)
                except Exception as error:  # noqa: BLE001 - contained, and reported as a Fault
                    faults.append(Fault(unit.name, key, error))
                    new = old
                self._record(state, key, reads)
            else:
                new = None
                self._record(state, key, set())
            if new == old:
                continue
            changed[key] = old
            if new is None:
                del state.values[key]
            else:
                state.values[key] = new
        return changed

    def _record(self, state: _State, key: Hashable, reads: set[_Place]) -> None:
        before = state.reads.get(key, ())
        if len(before) == len(reads) and all(place in reads for place in before):
            return
        reader = (state.position, key)
        for position, read in before:
            if (position, read) not in reads:
                _leave(self._states[self._nodes[position]].readers, read, reader)
        for position, read in reads.difference(before):
            _join(self._states[self._nodes[position]].readers, read, reader)
        if reads:
            state.reads[key] = tuple(reads)
        else:
            state.reads.pop(key, None)

    def _regroup(
        self, index: Index[Any, Any], state: _State, dirty: Mapping[Hashable, Any], faults: list[Fault]
    ) -> dict[Hashable, Any]:
        """Move entries; ``dirty`` maps changed source keys to their old source value."""
        source = self._states[index.source].values
        changed: dict[Hashable, Any] = {}
        for source_key, old_value in dirty.items():
            old = _pairs(index, source_key, old_value, [])
            new = _pairs(index, source_key, source.get(source_key), faults)
            for pair in old - new:
                if self._withdraw(state, pair):
                    changed[pair[0]] = None
            for pair in new - old:
                if self._enter(state, pair):
                    changed[pair[0]] = None
        return changed

    @staticmethod
    def _enter(state: _State, pair: tuple[Hashable, Any]) -> bool:
        state.counts[pair] = count = state.counts.get(pair, 0) + 1
        if count == 1:
            bisect.insort(state.values.setdefault(pair[0], []), pair[1])
        return count == 1

    @staticmethod
    def _withdraw(state: _State, pair: tuple[Hashable, Any]) -> bool:
        count = state.counts.pop(pair) - 1
        if count:
            state.counts[pair] = count
            return False
        key, entry = pair
        bucket = state.values[key]
        del bucket[bisect.bisect_left(bucket, entry)]
        if not bucket:
            del state.values[key]
        return True

    def _propagate(self, node: Node, state: _State, changed: Mapping[Hashable, Any]) -> None:
        for follower in state.followers:
            dirty = self._states[follower].dirty
            for key, old in changed.items():
                dirty[key] = old
        for key in changed:
            readers = state.readers.get(key, ())
            for position, reader in readers if isinstance(readers, set) else (readers,) if readers else ():
                self._states[self._nodes[position]].dirty.setdefault(reader, None)


def _pairs(index: Index[Any, Any], key: Hashable, value: Any, faults: list[Fault]) -> set[tuple[Hashable, Any]]:
    """The entries of a source value, with their keys."""
    if value is None:
        return set()
    try:
        return set(index.entries(key, value))
    except Exception as error:  # noqa: BLE001 - contained, and reported as a Fault
        faults.append(Fault(index.name, key, error))
        return set()


def _join(readers: dict[Hashable, _Place | set[_Place]], read: Hashable, reader: _Place) -> None:
    present = readers.setdefault(read, reader)
    if isinstance(present, set):
        present.add(reader)
    elif present != reader:
        readers[read] = {present, reader}


def _leave(readers: dict[Hashable, _Place | set[_Place]], read: Hashable, reader: _Place) -> None:
    present = readers[read]
    if isinstance(present, set):
        present.discard(reader)
    if present == reader or not present:
        del readers[read]
