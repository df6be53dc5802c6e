"""Which of our connections are open, as connection tracking tells. The one module that speaks to it.

In: what our marks begin with. Out: the number of open connections per mark. Blocks; some 4 microseconds for every
connection of ours that the kernel remembers, also of those that are over.

Open means: the handshake was answered, and not both sides have finished. So a connection that only waits for its
last acknowledgement, or for nothing (TIME_WAIT), does not count; one whose peers vanished without a word does, until
the kernel forgets it (``nf_conntrack_tcp_timeout_established``, five days unless set otherwise).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from tidegate.dataplanes.nftables import marks, wire
from tidegate.dataplanes.nftables.netlink import DUMP_ATTEMPTS, DumpInterruptedError, Netlink
from tidegate.dataplanes.nftables.wire import Request

# linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_tcp.h; Python names none of these.
_NEW, _GET = 1 << 8, 1 << 8 | 1
_MARK, _MARK_MASK = 8, 21
_PROTOCOL_STATE, _TCP, _TCP_STATE = 4, 1, 1
_SYN_SENT, _SYN_RECEIVED, _ESTABLISHED, _FIN_WAIT, _CLOSE_WAIT = 1, 2, 3, 4, 5
_OPEN = frozenset({_SYN_RECEIVED, _ESTABLISHED, _FIN_WAIT, _CLOSE_WAIT})


class Connections(msgspec.Struct, frozen=True):
    """How many connections are open per mark, the marks of all that the kernel remembers, and of those with one whose
    first packet was not answered.
    """

    open: Counter[int]
    remembered: frozenset[int]
    unanswered: frozenset[int] = frozenset()


def connections(netlink: Netlink, prefix: int) -> Connections:
    """Those whose mark begins with ``prefix``. Raises DataPlaneError."""
    found = _states(netlink, prefix)
    ours = {(mark, state): count for (mark, state), count in found.items() if mark & marks.MASK == prefix}
    opened: Counter[int] = Counter()
    for (mark, state), count in ours.items():
        if state in _OPEN:
            opened[mark] += count
    unanswered = frozenset(mark for mark, state in ours if state == _SYN_SENT)
    return Connections(opened, frozenset(mark for mark, _ in ours), unanswered)


def _states(netlink: Netlink, prefix: int) -> Counter[tuple[int, int]]:
    """How many connections there are of each mark and state."""
    attempts = DUMP_ATTEMPTS
    while True:
        attempts -= 1
        found: Counter[tuple[int, int]] = Counter()
        try:
            for data in netlink.datagrams(request(prefix)):
                found.update(states_of(data))
        except DumpInterruptedError:
            if not attempts:
                raise
        else:
            return found


def states_of(data: bytes) -> Iterator[tuple[int, int]]:
    """Mark and TCP state of each connection in a datagram; what it lacks is 0."""
    for kind, _, _, start, end in wire.frames_of(data):
        if kind != _NEW:
            continue
        mark = state = 0
        for attribute, first, last in wire.positions_of(data, start + wire.FAMILY_SIZE, end):
            if attribute == _MARK:
                mark = int.from_bytes(data[first:last], "big")
            elif attribute == _PROTOCOL_STATE:
                state = _tcp_state(data, first, last)
        yield mark, state


def request(prefix: int) -> Request:
    """Ask for the connections of all protocols whose mark begins with ``prefix``."""
    return Request(kind=_GET, family=0, body=wire.number(_MARK, prefix) + wire.number(_MARK_MASK, marks.MASK))


def _tcp_state(data: bytes, start: int, end: int) -> int:
    for protocol, first, last in wire.positions_of(data, start, end):
        if protocol == _TCP:
            return next((data[at] for kind, at, _ in wire.positions_of(data, first, last) if kind == _TCP_STATE), 0)
    return 0
