"""Who used the processors during a measurement, and whether who sends, forwards or answers was ever idle.

In: processes. Out: processor time from ``/proc``. Threads say how long they ran and how long they waited for a
processor (``schedstat``): one that spent all its time with either never waited for anybody else, so it is what limits
the rate. What no process has, the kernel did on nobody's behalf; but the kernel forwards packets in the context of
whoever sends them as well, so only a difference of the whole machine shows all that a plane costs.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import msgspec
import psutil

_POLL_S = 0.05
_NS = 1e-9
_KERNEL_TIMES = ("user", "nice", "system", "irq", "softirq")


class Part(msgspec.Struct, frozen=True):
    """One of those who take part: processor time in seconds, and the share of the time that its busiest thread was
    not idle: ran, or waited for a processor.
    """

    cpu: float = 0.0
    awake: float = 0.0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Who used how much during a measurement of ``seconds``; ``machine`` is the time of all processors together."""

    seconds: float
    machine: float
    generator: Part
    backend: Part
    plane: Part
    bench: float

    @property
    def rest(self) -> float:
        """Seconds that no process of ours has: the kernel's own, and other work of the machine."""
        return max(0.0, self.machine - self.generator.cpu - self.backend.cpu - self.plane.cpu - self.bench)

    @property
    def idle(self) -> float:
        """The share of the processors that nobody used."""
        return max(0.0, 1 - self.machine / (self.seconds * processors()))


def processors() -> int:
    """How many processors this machine has."""
    return os.cpu_count() or 1


def machine_seconds() -> float:
    """Processor time that the machine has spent working since it started."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name) for name in _KERNEL_TIMES))


def process_seconds(processes: Iterable[psutil.Process]) -> float:
    """Processor time of the threads that these processes have now."""
    return sum(ran for one in processes for ran, _ in _threads(one.pid).values())


def measured(
    commands: Sequence[Sequence[str]], plane: Iterable[psutil.Process], backend: Iterable[psutil.Process]
) -> tuple[list[subprocess.CompletedProcess[str]], Usage]:
    """Run load generators side by side to their end, and see what they, a plane and the backend used meanwhile."""
    groups = [[one.pid for one in plane], [one.pid for one in backend]]
    with contextlib.ExitStack() as stack:
        files = [(_file(stack), _file(stack)) for _ in commands]
        before = [_all_threads(pids) for pids in groups]
        machine, bench, children = machine_seconds(), time.process_time(), _children_seconds()
        begun = time.perf_counter()
        processes = [
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
            for command, (output, errors) in zip(commands, files, strict=True)
        ]
        awake = _watch(processes, begun)
        seconds = time.perf_counter() - begun
        usage = Usage(
            seconds=seconds,
            machine=machine_seconds() - machine,
            generator=Part(_children_seconds() - children, awake),
            plane=_part(before[0], _all_threads(groups[0]), seconds),
            backend=_part(before[1], _all_threads(groups[1]), seconds),
            bench=time.process_time() - bench,
        )
        done = [
            subprocess.CompletedProcess(process.args, process.returncode, *map(_content, pair))
            for process, pair in zip(processes, files, strict=True)
        ]
    return done, usage


def _file(stack: contextlib.ExitStack) -> IO[str]:
    return stack.enter_context(tempfile.TemporaryFile("w+"))


def _content(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _watch(processes: Sequence[subprocess.Popen[bytes]], begun: float) -> float:
    """Wait for their end; returns the share of the time that the busiest of their threads was not idle.

    A thread's last moments are not seen, so each counts until it was seen last.
    """
    shares: dict[int, float] = {}
    while any(process.poll() is None for process in processes):
        threads = _all_threads(process.pid for process in processes)
        passed = time.perf_counter() - begun
        shares |= {thread: sum(times) / passed for thread, times in threads.items()}
        time.sleep(_POLL_S)
    return min(1.0, max(shares.values(), default=0.0))


_Threads = dict[int, tuple[float, float]]
"""By thread: seconds it ran, and waited for a processor."""


def _part(before: _Threads, after: _Threads, seconds: float) -> Part:
    spent = []
    for thread, (ran, waited) in after.items():
        ran_before, waited_before = before.get(thread, (0.0, 0.0))
        spent.append((ran - ran_before, waited - waited_before))
    if not spent:
        return Part()
    return Part(sum(ran for ran, _ in spent), min(1.0, max(map(sum, spent)) / seconds))


def _all_threads(pids: Iterable[int]) -> _Threads:
    return {thread: times for pid in pids for thread, times in _threads(pid).items()}


def _threads(pid: int) -> _Threads:
    found = {}
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):  # A thread that has just ended.
                ran, waited, _ = (task / "schedstat").read_text(encoding="ascii").split()
                found[int(task.name)] = (int(ran) * _NS, int(waited) * _NS)
    return found


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
