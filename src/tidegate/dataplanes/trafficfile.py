"""Keeps the state of the traffic ledger in a file, so that counters go on when the controller starts again.

In: a ledger's state. Out: the same, later. When to write is left to the plane: whatever was not written
before a crash is counted again from what went on meanwhile, so that only a data plane that ends
together with the controller takes something with it.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tidegate.dataplanes.traffic import LedgerState
from tidegate.errors import DataPlaneError

_FORMAT = 1


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
            file.write(msgspec.json.encode(_File(format=_FORMAT, state=state)))
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
