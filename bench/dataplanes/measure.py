"""The columns of the comparison, each measured for all planes in turns.

In: running planes. Out: for each plane and column the values of all rounds. Round-robin, so that a slow moment of the
machine hits all planes alike. Processor time is that of the whole machine, because the kernel's work for a plane shows
in no process; what ``direct`` takes for the same traffic is part of it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from dataplanes import load
from dataplanes.hosts import inside, run
from dataplanes.planes import Plane, connections_allowed

CONNECTIONS = (1, 64, 512)
STREAMS = (1, 4)
IDLE = min(10_000, connections_allowed())
LASTING = 50


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How long each measurement lasts: seconds of load, connects and changes in a row."""

    seconds: float
    connects: int
    idle: int
    changes: int
    rounds: int


Values = dict[str, dict[str, list[float]]]
"""By plane, then by column."""


def compare(planes: Sequence[Plane], effort: Effort, say: Callable[[str], None]) -> Values:
    """All columns that are measured in rounds."""
    values: Values = {plane.name: {} for plane in planes}
    for number in range(effort.rounds):
        # Each round begins with another plane, so that none always follows the same one.
        turn = [*planes[number % len(planes) :], *planes[: number % len(planes)]]
        for plane in turn:
            say(f"round {number + 1} of {effort.rounds}: {plane.name}")
            for column, value in _round(plane, effort).items():
                values[plane.name].setdefault(column, []).append(value)
    return values


def _round(plane: Plane, effort: Effort) -> Mapping[str, float]:
    found: dict[str, float] = {}
    new = load.new_connections(plane, effort.seconds)
    found["new connections/s"] = new.per_second
    idle = load.connect_times(plane, effort.connects)
    found |= {"connect p50": idle.p50, "connect p99": idle.p99}
    for connections in CONNECTIONS:
        rate = load.requests(plane, connections, effort.seconds)
        label = f"requests/s, {connections} conn."
        found |= {label: rate.per_second, f"{label} p50": rate.p50, f"{label} p99": rate.p99}
    for streams in STREAMS:
        before, carried = _busy_seconds(), _own_seconds(plane)
        speed = load.bulk(plane, streams, effort.seconds)
        gigabytes = speed * effort.seconds / 1e9
        label = f"bulk, {streams} stream(s)"
        found[f"{label} B/s"] = speed
        if streams == STREAMS[0]:
            found["machine CPU s/GB"] = (_busy_seconds() - before) / gigabytes
            found["process CPU s/GB"] = (_own_seconds(plane) - carried) / gigabytes
    return found


def memory(plane: Plane, effort: Effort) -> float:
    """Bytes that the plane takes for each idle connection, the kernel's tracking of connections included.

    Sockets' own buffers are not: an idle connection has none worth naming.
    """
    before = _memory(plane)
    with load.idle_connections(plane, effort.idle):
        return (_memory(plane) - before) / effort.idle


def survival(plane: Plane, effort: Effort) -> dict[str, float]:
    """What becomes of connections while the configuration changes all the time."""
    with load.lasting_connections(plane, LASTING) as lasting:
        for number in range(1, effort.changes + 1):
            plane.reconfigure(number)
            time.sleep(0.1)  # The pace of the changes.
        return {name: float(value) for name, value in lasting.ended().items()}


def _memory(plane: Plane) -> float:
    total = 0.0
    for process in plane.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total + _tracked(plane) * _entry_bytes()


def _tracked(plane: Plane) -> int:
    """Connections that the kernel tracks on the gateway host."""
    text = run(*inside(plane.link.namespace, "sysctl", "-n", "net.netfilter.nf_conntrack_count"))
    return int(text)


def _entry_bytes() -> int:
    """What the kernel takes for a tracked connection, its extensions and two hash nodes included."""
    for line in Path("/proc/slabinfo").read_text(encoding="ascii").splitlines():
        if line.startswith("nf_conntrack "):
            return int(line.split()[3]) + 128  # The extensions (NAT, accounting) are a kmalloc-128 object.
    return 0


def _busy_seconds() -> float:
    """Processor time that the machine has spent working since it started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _own_seconds(plane: Plane) -> float:
    total = 0.0
    for process in plane.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system
    return total
