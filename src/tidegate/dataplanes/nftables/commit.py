"""Brings steps into the kernel, and finds out whose fault it is when the kernel refuses. No I/O of its own.

In: the steps of each socket, and ``send``, which makes one transaction of requests. Out: the sockets at fault. The
kernel takes a transaction as a whole or not at all, so what remains is sent again without them; until then the old
rules hold.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence

from tidegate.dataplanes.nftables import bytecode, ruleset
from tidegate.dataplanes.nftables.image import Steps
from tidegate.dataplanes.nftables.ruleset import Element, Removable
from tidegate.dataplanes.nftables.wire import Request
from tidegate.names import SocketKey

Send = Callable[[Sequence[Request]], Mapping[int, int]]
"""One transaction; returns the positions of the requests that were refused and why, -1 for the whole."""


def commit(table: str, work: Mapping[SocketKey, Steps], send: Send) -> dict[SocketKey, int]:
    """Bring the first part of all steps into the kernel, except those of the sockets that are returned, each with its
    error number.
    """
    if not send(entering(table, work.values())):
        return {}
    faults: dict[SocketKey, int] = {}
    remaining = dict(work)
    while remaining:
        requests, owners = _apart(table, remaining)
        refused = send(requests)
        if not refused:
            break
        found = {owners[position]: number for position, number in refused.items() if position >= 0}
        if not found:
            # The kernel does not say who: it is in one of the halves, or it is the only one left.
            return faults | _halved(table, remaining, send, refused[-1])
        faults |= found
        remaining = {key: steps for key, steps in remaining.items() if key not in found}
    return faults


def sweep(table: str, steps: Sequence[Steps], send: Send) -> dict[Removable, int]:
    """Remove what nothing leads to any more. Returns what the kernel keeps all the same, each with its error number;
    what is not there any more needs no removal.
    """
    requests = leaving(table, steps)
    if not requests or not send(requests):
        return {}
    places = [place for one in steps for place in one.dropped]
    chains = [chain for one in steps for chain in one.unused]
    kept = _removed_apart(table, list(dict.fromkeys([*places, *chains])), send)
    return {what: number for what, number in kept.items() if number != errno.ENOENT}


def empty(table: str, names: Sequence[str], send: Send) -> dict[str, int]:
    """Remove all elements of sets and maps. Returns those that the kernel does not empty, as ``sweep`` does."""
    requests = [bytecode.empty_set(table, name) for name in names]
    if not send(requests):
        return {}
    refusals = {name: _refusal([request], send) for name, request in zip(names, requests, strict=True)}
    return {name: number for name, number in refusals.items() if number}


def entering(table: str, work: Iterable[Steps]) -> list[Request]:
    """The first transaction of many steps, in few requests: what is led to comes before what leads there."""
    requests: list[Request] = []
    put: dict[str, list[Element]] = {}
    replaced: dict[str, list[Element]] = {}
    ended: dict[str, list[bytes]] = {}
    for steps in work:
        for choice in steps.choices:
            requests += bytecode.write_choice(table, choice)
        for element in steps.put:
            put.setdefault(element.place.map, []).append(element)
        for element in steps.replaced:
            replaced.setdefault(element.place.map, []).append(element)
        for place in steps.ended:
            ended.setdefault(place.map, []).append(place.key)
    for name in sorted({*put, *replaced}, key=lambda name: (name in ruleset.ENTRY_MAPS, name)):
        requests += _changed(table, name, replaced.get(name, []), put.get(name, []))
    for name, keys in ended.items():
        requests += bytecode.drop_elements(table, name, keys)
    return requests


def leaving(table: str, work: Iterable[Steps]) -> list[Request]:
    """The later transaction."""
    dropped: dict[str, list[bytes]] = {}
    requests: list[Request] = []
    chains: list[str] = []
    for steps in work:
        chains += steps.unused
        for place in steps.dropped:
            dropped.setdefault(place.map, []).append(place.key)
    for name, keys in dropped.items():
        requests += bytecode.drop_elements(table, name, keys)
    for chain in chains:
        requests += bytecode.remove_choice(table, chain)
    return requests


def _removed_apart(table: str, removable: Sequence[Removable], send: Send) -> dict[Removable, int]:
    """Remove what the kernel lets go, with requests of its own for each. Returns the others with their error numbers,
    those included that are not there. Takes few transactions, however many these are, as the kernel names them.
    """
    kept: dict[Removable, int] = {}
    remaining = removable
    while remaining:
        own = [(one, request) for one in remaining for request in _removal(table, one)]
        refused = send([request for _, request in own])
        if not refused:
            break
        found: dict[Removable, int] = {}
        for position, number in sorted(refused.items()):
            # Of a chain that is in use, the rules may be gone.
            if position >= 0 and found.get(own[position][0], errno.ENOENT) == errno.ENOENT:
                found[own[position][0]] = number
        if not found:
            return kept | _removed_by_halves(table, remaining, send, refused[-1])
        kept |= found
        remaining = [one for one in remaining if one not in found]
    return kept


def _removed_by_halves(table: str, removable: Sequence[Removable], send: Send, number: int) -> dict[Removable, int]:
    """The kernel does not say who: it is in one of the halves, or it is the only one left."""
    if len(removable) == 1:
        return {removable[0]: number}
    middle = len(removable) // 2
    return _removed_apart(table, removable[:middle], send) | _removed_apart(table, removable[middle:], send)


def _removal(table: str, what: Removable) -> list[Request]:
    if isinstance(what, str):
        return bytecode.remove_choice(table, what)
    return bytecode.drop_elements(table, what.map, [what.key])


def _refusal(requests: Iterable[Request], send: Send) -> int:
    """Send removals one after the other. Returns the number of the last error that matters, 0 without one."""
    numbers = [number for request in requests for number in send([request]).values()]
    return next((number for number in reversed(numbers) if number != errno.ENOENT), 0)


def _changed(table: str, name: str, replaced: Sequence[Element], put: Sequence[Element]) -> list[Request]:
    drops = bytecode.drop_elements(table, name, [element.place.key for element in replaced])
    return drops + bytecode.put_elements(table, name, [*replaced, *put])


def _apart(table: str, work: Mapping[SocketKey, Steps]) -> tuple[list[Request], list[SocketKey]]:
    """The first transaction in requests that belong to one socket each, and to which."""
    requests: list[Request] = []
    owners: list[SocketKey] = []
    for key, steps in work.items():
        own = entering(table, [steps])
        requests += own
        owners += [key] * len(own)
    return requests, owners


def _halved(table: str, work: Mapping[SocketKey, Steps], send: Send, number: int) -> dict[SocketKey, int]:
    if len(work) == 1:
        return dict.fromkeys(work, number)
    keys = list(work)
    middle = len(keys) // 2
    faults: dict[SocketKey, int] = {}
    for half in (keys[:middle], keys[middle:]):
        faults |= commit(table, {key: work[key] for key in half}, send)
    return faults
