"""Plans as the kernel data plane writes them, and a host of the test's own to write them on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from support.netns import Host, needs_hosts
from support.plans import Change
from tidegate.dataplanes.nftables.catalog import Catalog
from tidegate.dataplanes.nftables.keeper import Wanted
from tidegate.dataplanes.nftables.marks import Marks
from tidegate.dataplanes.nftables.reach import HostFacts
from tidegate.dataplanes.nftables.ruleset import Forwarding
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.names import SocketKey

TABLE = TableName("tests")
OWN_4, OWN_6 = "10.77.3.1", "fd77:3::1"
FACTS = HostFacts(addresses=frozenset({"127.0.0.1", "::1", OWN_4, OWN_6}))


_Test = TypeVar("_Test", bound=Callable[..., Any])


class Planner:
    """A plan that changes, and what each change means for the kernel."""

    def __init__(self, marks: Marks | None = None, *, facts: HostFacts = FACTS, hairpins: bool = False) -> None:
        self.marks = marks or Marks(0)
        self.catalog = Catalog(self.marks, facts, hairpins=hairpins)

    def wanted(self, *changes: Change) -> dict[SocketKey, Wanted]:
        """Apply changes as one; what is to be written then."""
        touched = self.catalog.apply({key: value for change in changes for key, value in change.items()})
        present = self.catalog.sockets()
        return {key: Wanted(self.catalog.forwarding(key), key in present) for key in touched}

    def forwarding(self, *changes: Change) -> Forwarding:
        """The same for changes that touch a single socket."""
        (wanted,) = self.wanted(*changes).values()
        return wanted.forwarding


@contextlib.contextmanager
def alone() -> Iterator[Host]:
    """A host without neighbours, with addresses ``OWN_4`` and ``OWN_6``, and this thread on it."""
    with Host("alone") as host:
        host.ip("link", "add", "own", "type", "veth", "peer", "name", "end")
        host.ip("addr", "add", f"{OWN_4}/24", "dev", "own")
        host.ip("addr", "add", f"{OWN_6}/64", "dev", "own", "nodad")
        host.ip("link", "set", "own", "up")
        host.ip("link", "set", "end", "up")
        with host.entered():
            yield host


def needs_a_host(test: _Test) -> _Test:
    """Mark a single test that uses ``alone``."""
    for mark in needs_hosts():
        test = mark(test)
    return test
