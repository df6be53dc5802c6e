"""Which of our connections are open, as connection tracking tells. The one module that speaks to it.

In: what our marks begin with. Out: the number of open connections per mark. Blocks; some 10 microseconds for every
connection of ours that the kernel remembers.

Open means: the handshake was answered, and not both sides have finished. So a connection that only waits for its
last acknowledgement, or for nothing (TIME_WAIT), does not count; one whose peers vanished without a word does, until
the kernel forgets it (``nf_conntrack_tcp_timeout_established``, five days unless set otherwise).
"""

from __future__ import annotations

from collections import Counter

import msgspec

from tidegate.dataplanes.nftables import marks, wire
from tidegate.dataplanes.nftables.netlink import Netlink
from tidegate.dataplanes.nftables.wire import Request

# linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_tcp.h; Python names none of these.
_GET = 1 << 8 | 1
_MARK, _MARK_MASK = 8, 21
_PROTOCOL_STATE, _TCP, _TCP_STATE = 4, 1, 1
_SYN_RECEIVED, _ESTABLISHED, _FIN_WAIT, _CLOSE_WAIT = 2, 3, 4, 5
_OPEN = frozenset({_SYN_RECEIVED, _ESTABLISHED, _FIN_WAIT, _CLOSE_WAIT})


class Connections(msgspec.Struct, frozen=True):
    """How many connections are open per mark, and the marks of all that the kernel remembers."""

    open: Counter[int]
    remembered: frozenset[int]


def connections(netlink: Netlink, prefix: int) -> Connections:
    """Those whose mark begins with ``prefix``. Raises DataPlaneError."""
    found: Counter[int] = Counter()
    remembered: set[int] = set()
    for message in netlink.dump(request(prefix)):
        attributes = message.attributes
        mark = wire.number_of(attributes.get(_MARK, b""))
        if mark & marks.MASK != prefix:
            continue
        remembered.add(mark)
        if tcp_state(attributes.get(_PROTOCOL_STATE, b"")) in _OPEN:
            found[mark] += 1
    return Connections(found, frozenset(remembered))


def request(prefix: int) -> Request:
    """Ask for the connections of all protocols whose mark begins with ``prefix``."""
    return Request(kind=_GET, family=0, body=wire.number(_MARK, prefix) + wire.number(_MARK_MASK, marks.MASK))


def tcp_state(protocol: bytes) -> int | None:
    """The state of a TCP connection; None for another protocol."""
    state = wire.attributes_of(wire.attributes_of(protocol).get(_TCP, b"")).get(_TCP_STATE)
    return state[0] if state else None
