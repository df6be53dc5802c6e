"""Keeps the state of the traffic ledger in a file, so that counters go on when the controller starts again.

In: a ledger's state. Out: the same, later. When to write is left to the plane: whatever was not written
before a crash is counted again from what went on meanwhile, so that only a data plane that ends
together with the controller takes something with it.

Written in slices: while values are encoded no other thread gets its turn, and with 10,000 listeners it would be 30 ms.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tidegate.dataplanes.traffic import LedgerState
from tidegate.errors import DataPlaneError

_FORMAT = 1

SLICE = 500
"""How many entries are encoded at a time: some 0.7 ms."""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    state: LedgerState


def save(path: Path, state: LedgerState) -> None:
    """Replace the file by one with ``state``: a reader finds the old or the new one, never a half.

    Not forced to the disk: after a crash of the whole machine there is nothing either to go on with.
    Raises DataPlaneError when it cannot be written; the old one is still there then. Blocks.
    """
    draft = path.with_name(path.name + ".new")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(slices(state))
        draft.replace(path)
    except OSError as error:
        raise DataPlaneError(f"cannot keep the traffic counters in {path}: {error}") from error


def load(path: Path) -> LedgerState:
    """The state in the file, an empty one when there is no file. Blocks.

    Raises DataPlaneError when the file cannot be used; counting must begin anew then.
    """
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return LedgerState()
    except (OSError, msgspec.DecodeError) as error:
        raise DataPlaneError(f"the traffic counters in {path} cannot be read, they begin anew: {error}") from error
    if content.format != _FORMAT:
        raise DataPlaneError(f"the traffic counters in {path} are of another version, they begin anew")
    return content.state


def slices(state: LedgerState) -> Iterator[bytes]:
    """What the file holds, in pieces of ``SLICE`` entries at most."""
    yield b'{"format":%d,"state":{"totals":[' % _FORMAT
    yield from _slices(state.totals)
    yield b'],"prefixes":['
    yield from _slices(state.prefixes)
    yield b"]}}"


def _slices(entries: Sequence[msgspec.Struct]) -> Iterator[bytes]:
    for start in range(0, len(entries), SLICE):
        # Without the brackets of the list.
        encoded = msgspec.json.encode(entries[start : start + SLICE])[1:-1]
        yield b"," + encoded if start else encoded
