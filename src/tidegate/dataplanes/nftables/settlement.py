"""What became of each socket: what was written, and trouble with its port or address, become an outcome. Pure.

In: what the kernel has taken or refused, who else listens on a port or takes its connections, which addresses are not
this host's. Out: the outcome of a socket now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from tidegate.dataplanes.entries import put
from tidegate.dataplanes.nftables.doors import Contest
from tidegate.names import SocketKey
from tidegate.plan.outcome import Failed, FailureReason, Live, Outcome, Pending


class Rejection(msgspec.Struct, frozen=True):
    """The kernel refused a revision of a socket, and why."""

    revision: str
    message: str


class Settlement:
    """Outcomes of the sockets of a plan."""

    def __init__(self) -> None:
        self._written: dict[SocketKey, str] = {}
        self._notes: dict[SocketKey, str] = {}
        self._rejected: dict[SocketKey, Rejection] = {}
        self._holders: dict[SocketKey, str] = {}
        self._contests: dict[SocketKey, Contest] = {}
        self._elsewhere: frozenset[SocketKey] = frozenset()
        self._down = ""

    def down(self, message: str) -> None:
        """Nothing is served, and ``message`` says why. Changes every outcome."""
        self._down = message
        self._written.clear()
        self._rejected.clear()

    def up(self) -> None:
        """What is written from now on is served. Changes every outcome."""
        self._down = ""

    def written(self, key: SocketKey, revision: str, note: str) -> None:
        """The kernel has a revision; ``note`` is for people."""
        self._written[key] = revision
        self._rejected.pop(key, None)
        put(self._notes, key, note or None)

    def reject(self, key: SocketKey, revision: str, message: str) -> None:
        """The kernel refused a revision."""
        self._rejected[key] = Rejection(revision, message)

    def rejected(self) -> Collection[SocketKey]:
        """The sockets that the kernel refused."""
        return self._rejected.keys()

    def hold(self, checked: Collection[SocketKey], holders: Mapping[SocketKey, str]) -> set[SocketKey]:
        """Who else listens on the ports of the ``checked`` sockets, in words; returns those for which that is new.

        Costs nothing for those that nobody holds: all of them are looked at every couple of seconds.
        """
        concerned = self._holders.keys() | holders.keys()
        return {key for key in concerned if key in checked and put(self._holders, key, holders.get(key))}

    def contest(self, contests: Mapping[SocketKey, Contest]) -> set[SocketKey]:
        """The sockets that tables of other instances take now; returns those for which that is new."""
        before, self._contests = self._contests, dict(contests)
        return {key for key in before.keys() | contests.keys() if before.get(key) != contests.get(key)}

    def is_held(self, key: SocketKey) -> bool:
        """Whether somebody else listens on the port, or takes its connections by right."""
        contest = self._contests.get(key)
        return key in self._holders or (contest is not None and contest.closed)

    def place(self, elsewhere: Collection[SocketKey]) -> set[SocketKey]:
        """The sockets whose address is not this host's now; returns those for which that is new."""
        touched = self._elsewhere ^ frozenset(elsewhere)
        self._elsewhere = frozenset(elsewhere)
        return set(touched)

    def is_elsewhere(self, key: SocketKey) -> bool:
        """Whether the address is not this host's."""
        return key in self._elsewhere

    def forget(self, key: SocketKey) -> None:
        """The socket is gone from the plan."""
        for record in (self._written, self._notes, self._rejected, self._holders, self._contests):
            record.pop(key, None)
        self._elsewhere -= {key}

    def outcome(self, key: SocketKey, revision: str) -> Outcome:
        """The outcome now of a socket whose revision in the plan is this."""
        if self._down:
            return Pending(revision=revision, message=self._down)
        if key in self._elsewhere:
            message = f"{key.address} is not an address of this host"
            return Failed(revision=revision, reason=FailureReason.ADDRESS_NOT_USABLE, message=message)
        if key in self._contests:
            message = self._contests[key].message
            return Failed(revision=revision, reason=FailureReason.PORT_UNAVAILABLE, message=message)
        if key in self._holders:
            return Failed(revision=revision, reason=FailureReason.PORT_UNAVAILABLE, message=self._holders[key])
        rejection = self._rejected.get(key)
        if rejection is not None and rejection.revision == revision:
            message = f"the kernel refuses its rules: {rejection.message}"
            return Failed(revision=revision, reason=FailureReason.INVALID, message=message)
        if self._written.get(key) == revision:
            return Live(revision=revision, note=self._notes.get(key, ""))
        return Pending(revision=revision)
