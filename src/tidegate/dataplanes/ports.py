"""Who else listens on our TCP ports.

In: the sockets that we serve or want to serve, and the process ids of our own that listen there. Out: for
each socket that a foreign process listens on, who that is. What follows from it (statuses, retries)
is left to the plane.

Why it is needed: Envoy binds with SO_REUSEPORT, so another process of the same user that does so too
shares the port without any error and takes a part of the connections. A failed bind, on the other
hand, is told by Envoy but without the holder's name. And translation in the kernel takes a local process's
connections away without either of them noticing.

Linux: ``listening`` says which sockets listen on a port, ``/proc/PID/fd`` which of them are ours. The cost
depends on neither the number of connections to anything else nor that of processes. Each connection of our own
is a descriptor, so these are looked at only for a socket that was not known to be ours before (``Owned``). Only
when a foreign socket was found are all processes searched for its holder's name.

Elsewhere: a bind with SO_REUSEADDR alone, only for sockets that none of our processes holds, since
such a probe cannot tell our own sockets from foreign ones. An intruder on a port that we hold already
is therefore noticed on Linux only.

Not visible in either way: a socket that is bound but does not listen, which takes no connections.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import pwd
import socket
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec
import psutil

from tidegate.dataplanes.listening import PROC, ListenSocket, listening
from tidegate.names import WILDCARD_ADDRESS

SocketAddress = tuple[str, int]
"""An IP address in text form, or ``WILDCARD_ADDRESS``, and a port."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who listens on a port: ``description`` is for people, ``pid`` None when it may not be known."""

    description: str
    pid: int | None


Owned = dict[int, set[int]]
"""The inodes of listening sockets that were found to be ours, by process id: what a look remembers for the next."""

_MORE_LOOKS = 6

_SOMEBODY = Holder(description="another process", pid=None)


def foreign_listeners(
    sockets: Collection[SocketAddress], own_pids: Collection[int], owned: Owned | None = None
) -> Mapping[SocketAddress, Holder]:
    """The foreign process that listens on each of ``sockets``; sockets without one are absent.

    ``own_pids`` are our own processes that listen; ids of processes that ended do no harm. ``owned`` is what earlier
    looks remembered, and is brought up to date.
    A foreign socket counts when its address overlaps ours: a wildcard overlaps every address of its family,
    an IPv4 address its IPv6-mapped form, a foreign ``::`` that is not limited to IPv6 also IPv4, and
    ``WILDCARD_ADDRESS`` everything. ``::`` of ours means IPv6 alone.

    Blocks (50 ms with 10,000 sockets of ours, less than 1 ms for one that nobody holds), so call it in a thread.
    """
    if not sockets:
        return {}
    if sys.platform == "linux":
        return _listed(sockets, own_pids, {} if owned is None else owned)
    return _probed(sockets, own_pids)


def _listed(sockets: Collection[SocketAddress], own_pids: Collection[int], owned: Owned) -> dict[SocketAddress, Holder]:
    """The answer from the kernel's table. Who is suspected must be there in every look, because one of our own
    sockets may be closed between reading the table and reading our descriptors.
    """
    ports = {port for _, port in sockets}
    suspects = _foreign(ports, own_pids, owned)
    for _ in range(_MORE_LOOKS):
        if not suspects:
            return {}
        again = {entry.inode for entry in _foreign(ports, own_pids, owned)}
        suspects = [entry for entry in suspects if entry.inode in again]
    by_port: dict[int, list[ListenSocket]] = {}
    for entry in suspects:
        by_port.setdefault(entry.port, []).append(entry)
    found: dict[SocketAddress, ListenSocket] = {}
    for address, port in sockets:
        for entry in by_port.get(port, ()):
            if _overlap(address, entry.address, v6_only=entry.v6_only):
                found[address, port] = entry
                break
    if not found:
        return {}
    holders = _holders(set(found.values()), own_pids)
    return {key: holders[entry.inode] for key, entry in found.items()}


def _foreign(ports: Collection[int], own_pids: Collection[int], owned: Owned) -> list[ListenSocket]:
    """The LISTEN sockets on ``ports`` that are not ours, at this moment."""
    for pid in owned.keys() - own_pids:
        del owned[pid]
    present = {entry.inode: entry for entry in listening(ports)}
    for known in owned.values():
        for inode in present.keys() & known:
            del present[inode]
    if not present:
        return []
    unreadable_uids: set[int] = set()
    for pid in own_pids:
        try:
            for inode in _socket_inodes(pid):
                if present.pop(inode, None) is not None:
                    owned.setdefault(pid, set()).add(inode)
        except PermissionError:
            # A binary with file capabilities hides its descriptors: everything of its user may be ours.
            with contextlib.suppress(psutil.NoSuchProcess):
                unreadable_uids.add(psutil.Process(pid).uids().effective)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [entry for entry in present.values() if entry.uid not in unreadable_uids]


def _socket_inodes(pid: int) -> Iterator[int]:
    """The inodes of the sockets that a process holds. Raises OSError when it ended or may not be looked into."""
    directory = os.open(PROC / str(pid) / "fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in os.listdir(directory):  # noqa: PTH208 - relative to a descriptor, half the time of paths
            try:
                link = os.readlink(name, dir_fd=directory)
            except FileNotFoundError:
                continue  # Closed meanwhile.
            if link.startswith("socket:["):
                yield int(link[8:-1])
    finally:
        os.close(directory)


def _overlap(ours: str, theirs: _Address, *, v6_only: bool) -> bool:
    """Whether a connection to our address could go to a socket that listens on theirs."""
    if ours == WILDCARD_ADDRESS:
        return True
    own = _plain(ours)
    if own.version == theirs.version:
        return own == theirs or own.is_unspecified or theirs.is_unspecified
    # Only an IPv6 wildcard takes connections of the other family, and ours does so as WILDCARD_ADDRESS alone.
    return own.version == 4 and theirs.is_unspecified and not v6_only


def _plain(text: str) -> _Address:
    """The address, an IPv4-mapped one as the IPv4 address that it is."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _holders(entries: Iterable[ListenSocket], own_pids: Collection[int]) -> dict[int, Holder]:
    """Per inode who holds it. Looks at every process of the machine, so only once something is wrong."""
    holders = {entry.inode: Holder(description=_user(entry.uid), pid=None) for entry in entries}
    missing = set(holders)
    for pid in psutil.pids():
        if not missing:
            break
        if pid in own_pids:
            continue
        try:
            held = missing.intersection(_socket_inodes(pid))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue  # Ended meanwhile, or not ours to look into: the user's name has to do.
        for inode in held:
            holders[inode] = _describe(pid, holders[inode])
        missing -= held
    return holders


def _describe(pid: int, otherwise: Holder) -> Holder:
    """The process by its name, or ``otherwise`` when it ended meanwhile."""
    try:
        return Holder(description=f"{psutil.Process(pid).name()} (pid {pid})", pid=pid)
    except psutil.Error:
        return otherwise


def _user(uid: int) -> str:
    try:
        return f"a process of user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"a process of user id {uid}"


def _probed(sockets: Collection[SocketAddress], own_pids: Collection[int]) -> dict[SocketAddress, Holder]:
    """The answer from attempts to bind, for systems without the kernel's table."""
    held = {address for pid in own_pids for address in _listening(pid)}
    free_to_probe = [
        (address, port) for address, port in sockets if not any(_meets(address, port, own) for own in held)
    ]
    return _find_holders([key for key in free_to_probe if _is_taken(*key)], own_pids)


def _meets(address: str, port: int, other: SocketAddress) -> bool:
    return port == other[1] and _overlap(address, _plain(other[0]), v6_only=False)


def _listening(pid: int) -> list[SocketAddress]:
    """Where a process listens; empty when it ended or may not be looked into."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return []
    return [
        (connection.laddr.ip if connection.laddr.ip != "*" else "::", connection.laddr.port)
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    ]


def _is_taken(address: str, port: int) -> bool:
    """Whether a socket without SO_REUSEPORT cannot be bound because another one is there."""
    addresses = ("0.0.0.0", "::") if address == WILDCARD_ADDRESS else (address,)  # noqa: S104 - asked for by the user
    for candidate in addresses:
        family = socket.AF_INET6 if ":" in candidate else socket.AF_INET
        try:
            probe = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue  # This family does not exist here.
        with probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((candidate, port))
            except OSError as error:
                # Any other reason (no such address, no permission) is told by the data plane's own bind.
                if error.errno == errno.EADDRINUSE:
                    return True
    return False


def _find_holders(taken: Collection[SocketAddress], own_pids: Collection[int]) -> dict[SocketAddress, Holder]:
    """Who listens where we could not bind, as far as this user may see."""
    holders: dict[SocketAddress, Holder] = {}
    # The newest first: who takes a port from us mostly came after us.
    for pid in reversed(psutil.pids()):
        missing = [key for key in taken if key not in holders]
        if not missing:
            break
        others = _listening(pid) if pid not in own_pids else []
        for address, port in missing:
            if any(_meets(address, port, other) for other in others):
                holders[address, port] = _describe(pid, _SOMEBODY)
    return {key: holders.get(key, _SOMEBODY) for key in taken}
