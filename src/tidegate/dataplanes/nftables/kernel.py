"""The table in the kernel: reads it, changes it, counts by it. The shell around ``bytecode`` and ``commit``.

Every method blocks, for milliseconds at most unless there is very much to read. An object is used by one thread at a
time. Raises DataPlaneError when the kernel does not answer, TableLostError when the table is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from tidegate.dataplanes.nftables import bytecode, ruleset
from tidegate.dataplanes.nftables.adoption import Contents
from tidegate.dataplanes.nftables.bytecode import Counted, TableFact
from tidegate.dataplanes.nftables.commit import commit, empty, sweep
from tidegate.dataplanes.nftables.image import Steps
from tidegate.dataplanes.nftables.netlink import Netlink
from tidegate.dataplanes.nftables.ruleset import Element, Place, Removable
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.dataplanes.nftables.wire import Message, Request
from tidegate.errors import DataPlaneError
from tidegate.names import SocketKey

_COUNTERS = (ruleset.OPENED, ruleset.REFUSED, ruleset.TRAFFIC)


class TableLostError(DataPlaneError):
    """Somebody removed the table, as ``nft flush ruleset`` does. It is made anew."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the table has counted, per lane or lane and direction."""

    opened: tuple[Counted, ...]
    refused: tuple[Counted, ...]
    traffic: tuple[Counted, ...]


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel did not take: the sockets at fault, and what it keeps although it was to be removed; each with
    the reason.
    """

    faults: Mapping[SocketKey, str]
    kept: Mapping[Removable, str]


class Kernel:
    """One table, in the network namespace of the thread that made this. ``commits`` counts our own transactions."""

    def __init__(self, table: TableName) -> None:
        self.commits = 0
        self._table = str(table)
        self._netlink = Netlink()

    def close(self) -> None:
        """Release the socket; the table stays as it is."""
        self._netlink.close()

    def tables(self) -> list[TableFact]:
        """All tables of the family inet."""
        return [bytecode.table_of(message) for message in self._netlink.dump(bytecode.get_tables())]

    def fact(self) -> TableFact | None:
        """Our table; None when there is none."""
        try:
            return bytecode.table_of(self._netlink.get(bytecode.get_table(self._table)))
        except FileNotFoundError:
            return None

    def generation(self) -> int:
        """A number that grows with every change of any table in this network namespace."""
        return bytecode.generation_of(self._netlink.get(bytecode.get_generation()))

    def chains(self) -> dict[str, int]:
        """Our chains, and how many rules each holds and leads to it."""
        found = (bytecode.chain_of(message) for message in self._netlink.dump(bytecode.get_chains(self._table)))
        return {name: use for table, name, use in found if table == self._table}

    def read(self) -> Contents:
        """All that the table holds."""
        sets = self._sets()
        return Contents(sets=sets, chains=self.chains(), elements=tuple(self._planned(sets)), digests=self._digests())

    def elements(self) -> Iterator[Element]:
        """The elements of the sets that the plan decides about, as they are read."""
        return self._planned(self._sets())

    def choices(self) -> dict[str, tuple[bytes, ...]]:
        """The digests of each choice's rules."""
        digests = self._digests()
        return {name: digests.get(name, ()) for name in self.chains() if name.startswith(ruleset.CHOICE)}

    def doors(self, table: str) -> list[Place]:
        """Where another table of ours takes connections; nowhere when it is gone."""
        found: list[Place] = []
        for name in ruleset.ENTRY_MAPS:
            with contextlib.suppress(FileNotFoundError):
                messages = self._netlink.dump(bytecode.get_elements(table, name))
                found += (Place(name, kept.key) for message in messages for kept in bytecode.kept_of(message))
        return found

    def count(self) -> Counts:
        """What was counted until now."""
        opened, refused, traffic = (tuple(self._counted(name)) for name in _COUNTERS)
        return Counts(opened=opened, refused=refused, traffic=traffic)

    def commit(self, work: Mapping[SocketKey, Steps]) -> Committed:
        """Bring steps into the kernel: first what they add and change, then what they remove. Of the sockets at fault
        nothing was changed.
        """
        entering = {key: steps for key, steps in work.items() if steps.first}
        faults = commit(self._table, entering, self._send) if entering else {}
        kept = sweep(self._table, [steps for key, steps in work.items() if key not in faults], self._send)
        return Committed(
            faults={key: os.strerror(number) for key, number in faults.items()},
            kept={what: os.strerror(number) for what, number in kept.items()},
        )

    def sweep(self, steps: Steps) -> Mapping[Removable, str]:
        """Remove entries, and then what nothing leads to any more. Returns what the kernel keeps, with the reason."""
        entries = sweep(self._table, [Steps(dropped=steps.ended)], self._send)
        kept = entries | sweep(self._table, [steps], self._send)
        return {what: os.strerror(number) for what, number in kept.items()}

    def remove_elements(self, keys: Mapping[str, Collection[bytes]]) -> None:
        """Remove elements, by set. Raises DataPlaneError also when the kernel keeps some of those that are there."""
        places = tuple(Place(name, key) for name, some in keys.items() for key in some)
        kept = sweep(self._table, [Steps(dropped=places)], self._send)
        if kept:
            raise DataPlaneError(f"the kernel keeps {len(kept)} elements: {os.strerror(next(iter(kept.values())))}")

    def close_entries(self, _: None = None) -> None:
        """Translate no new connection any more. Raises DataPlaneError also when the kernel goes on with some."""
        kept = empty(self._table, ruleset.ENTRY_MAPS, self._send)
        if kept:
            name, number = next(iter(kept.items()))
            raise DataPlaneError(f"the kernel does not empty the map {name}: {os.strerror(number)}")

    def delete(self) -> None:
        """Remove the table, if it is there."""
        if self.fact() is not None:
            refused = self._netlink.batch([bytecode.delete_table(self._table)])
            if refused:
                raise DataPlaneError(
                    f"the kernel does not remove the table {self._table}: {os.strerror(next(iter(refused.values())))}"
                )

    def _send(self, requests: Sequence[Request]) -> Mapping[int, int]:
        refused = self._netlink.batch(requests)
        if errno.ENOENT in refused.values() and self.fact() is None:
            raise TableLostError(f"somebody removed the table {self._table}")
        self.commits += bool(requests) and not refused
        return refused

    def _dump(self, request: Request) -> list[Message]:
        try:
            return self._netlink.dump(request)
        except FileNotFoundError as error:
            raise TableLostError(f"somebody removed the table {self._table}") from error

    def _sets(self) -> frozenset[str]:
        return frozenset(map(bytecode.set_of, self._dump(bytecode.get_sets(self._table))))

    def _digests(self) -> dict[str, tuple[bytes, ...]]:
        digests: dict[str, tuple[bytes, ...]] = {}
        for rule in map(bytecode.rule_of, self._dump(bytecode.get_rules(self._table))):
            digests[rule.chain] = (*digests.get(rule.chain, ()), rule.digest)
        return digests

    def _planned(self, sets: frozenset[str]) -> Iterator[Element]:
        for name in sorted(sets - {*_COUNTERS}):
            yield from self._elements(name)

    def _elements(self, name: str) -> Iterable[Element]:
        for message in self._dump(bytecode.get_elements(self._table, name)):
            for kept in bytecode.kept_of(message):
                yield bytecode.as_element(name, kept)

    def _counted(self, name: str) -> Iterable[Counted]:
        for message in self._dump(bytecode.get_elements(self._table, name)):
            yield from bytecode.counted_of(message)
