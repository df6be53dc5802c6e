"""The columns of the comparison, each measured for all planes in turns.

In: running planes. Out: for each plane and column the values of all rounds. Round-robin, so that a slow moment of the
machine hits all planes alike. ``usage`` says who worked, with each rate.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from dataplanes import load, usage
from dataplanes.hosts import inside, run
from dataplanes.planes import Plane, connections_allowed
from dataplanes.usage import Usage, processors

CONNECTIONS = (1, 64, 512)
STREAMS = (1, 4)
IDLE = min(10_000, connections_allowed())
LASTING = 50


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured: seconds of load, connects in a row, idle connections and seconds to hold them, changes."""

    seconds: float
    connects: int
    idle: int
    hold: float
    changes: int
    rounds: int


Values = dict[str, dict[str, list[float]]]
"""By plane, then by column."""
PARTS = ("machine", "generator", "backend", "plane", "rest")
"""Whose processor time is told."""


def compare(planes: Sequence[Plane], loader: load.Loader, effort: Effort, say: Callable[[str], None]) -> Values:
    """All columns that are measured in rounds."""
    return in_turns(planes, effort.rounds, lambda plane: _round(plane, loader, effort), say)


def in_turns(
    planes: Sequence[Plane], rounds: int, once: Callable[[Plane], Mapping[str, float]], say: Callable[[str], None]
) -> Values:
    """So many rounds of what ``once`` measures of a plane."""
    values: Values = {plane.name: {} for plane in planes}
    for number in range(rounds):
        # Each round begins with another plane, so that none always follows the same one.
        turn = [*planes[number % len(planes) :], *planes[: number % len(planes)]]
        for plane in turn:
            say(f"round {number + 1} of {rounds}: {plane.name}")
            for column, value in once(plane).items():
                values[plane.name].setdefault(column, []).append(value)
    return values


def _round(plane: Plane, loader: load.Loader, effort: Effort) -> Mapping[str, float]:
    found: dict[str, float] = {}
    new = loader.new_connections(plane, effort.seconds)
    found["new connections/s"] = new.per_second
    found |= _work("new connections/s", new.usage)
    connects = loader.connect_times(plane, effort.connects)
    found |= {"connect p50": connects.p50, "connect p99": connects.p99}
    for connections in CONNECTIONS:
        rate = loader.requests(plane, connections, effort.seconds)
        label = f"requests/s, {connections} conn."
        found |= {label: rate.per_second, f"{label} p50": rate.p50, f"{label} p99": rate.p99}
        found |= _work(label, rate.usage)
    for streams in STREAMS:
        bulk = loader.bulk(plane, streams, effort.seconds)
        label = f"bulk, {streams} stream(s) B/s"
        found[label] = bulk.per_second
        found |= _work(label, bulk.usage)
        if streams == STREAMS[0]:
            gigabytes = bulk.per_second * effort.seconds / 1e9
            parts = _work("GB", bulk.usage)
            found |= {f"{part} s/GB": parts[f"{part} cpu: GB"] / gigabytes for part in PARTS}
    return found


def _work(column: str, usage: Usage) -> dict[str, float]:
    """Who worked: processor time in seconds, shares of the time that threads were not idle, and idle processors."""
    return {
        f"machine cpu: {column}": usage.machine,
        f"generator cpu: {column}": usage.generator.cpu,
        f"backend cpu: {column}": usage.backend.cpu,
        f"plane cpu: {column}": usage.plane.cpu,
        f"rest cpu: {column}": usage.rest,
        f"generator awake: {column}": usage.generator.awake,
        f"backend awake: {column}": usage.backend.awake,
        f"plane awake: {column}": usage.plane.awake,
        f"idle: {column}": usage.idle,
        f"capacity: {column}": usage.seconds * processors(),
    }


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """What each idle connection takes: bytes, and processor seconds per second, of a plane's processes and of all."""

    memory: float
    processes: float
    machine: float


def idle_costs(planes: Sequence[Plane], effort: Effort, say: Callable[[str], None]) -> dict[str, Idle]:
    """What idle connections take of each plane, beyond what it takes without any.

    Memory is that of its processes and of the kernel's tracking of connections; not that of sockets' own buffers, of
    which an idle connection has none worth naming.
    """
    say(f"no connections at all, for {effort.hold:g} s")
    machine, *without = _used([None, *planes], effort.hold)
    found = {}
    for plane, processes in zip(planes, without, strict=True):
        say(f"idle connections: {plane.name}")
        before = _memory(plane)
        with load.idle_connections(plane, effort.idle):
            held = _memory(plane) - before
            with_machine, with_processes = _used([None, plane], effort.hold)
        found[plane.name] = Idle(
            memory=held / effort.idle,
            processes=(with_processes - processes) / effort.idle,
            machine=(with_machine - machine) / effort.idle,
        )
    return found


def _used(planes: Sequence[Plane | None], seconds: float) -> list[float]:
    """Processor seconds per second of these planes' processes, and of the machine for None, over some time."""

    def now() -> list[float]:
        return [usage.machine_seconds() if one is None else usage.process_seconds(processes[one]) for one in planes]

    processes = {plane: plane.processes() for plane in planes if plane is not None}
    before, begun = now(), time.perf_counter()
    time.sleep(seconds)  # What is measured is what happens when nothing happens.
    passed, after = time.perf_counter() - begun, now()
    return [(late - early) / passed for early, late in zip(before, after, strict=True)]


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
