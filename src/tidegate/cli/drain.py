"""``tidegate proxy drain`` in the form in which Pods call it, without the rest of the command line.

It runs beside an Envoy in a container whose memory may be tight, and the whole command line takes three times as much.
What is not exactly that form, a question for help for example, is left to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

NOT_DRAINED = 1


def is_meant(arguments: Sequence[str]) -> bool:
    """Whether the arguments are those of a Pod (``dataplanes.envoy.pod``)."""
    match arguments:
        case ["proxy", "drain", "--run-dir", _, "--time", _]:
            return True
        case _:
            return False


def run(arguments: Sequence[str]) -> int:
    """Carry out arguments that are meant; returns the exit status."""
    from tidegate.cli.failures import guarded

    statuses: list[int] = []
    failure = guarded(lambda: statuses.append(drain(Path(arguments[3]), arguments[5])))
    return failure or statuses[0]


def drain(run_dir: Path, within: str) -> int:
    """Drain the proxy whose sockets are in a directory; returns the exit status.

    Raises SettingsError and DataPlaneError.
    """
    from tidegate.dataplanes.envoy import naming, poddrain
    from tidegate.settings import parse_duration

    drained = poddrain.drain(run_dir / naming.ADMIN_SOCKET, parse_duration(within, "--time"))
    return 0 if drained else NOT_DRAINED
