"""How fast an edit reaches traffic, how fast an instance starts, and how much memory it takes. With real Envoy.

* ``edits``: a route in a file changes its backend; the time from the moment the file is changed until a new
  connection is answered by the other backend. At every size the file holds all documents. The file is
  replaced by a rename, as most editors do, or written in place.
* ``source``: the same for the file source alone, from the replaced file to the changed object: what the
  watcher and its settling take of it.
* ``start``: from starting the process until the first listener answers, and until all do (``/readyz``);
  memory and processor time of the controller and of Envoy, each for itself.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil

import figures
import instance
import shapes
from tidegate.sources.files import FilesSource
from tidegate.sources.settling import SETTLE_S
from tidegate.sources.watching import STEP_MS

FIRST_PORT = 2_000
"""The listeners take ports from here on, away from those of clients and of the tests."""
EDITS = 200
EDITS_AT_SIZE = 40
SETTLING_S = 0.0 if sys.platform == "linux" else SETTLE_S + STEP_MS / 1000
"""What the watcher waits for a file to be whole: Linux tells when its writer is done."""


class _Case:
    """A configuration with two backends, whose route 0 can be switched between them."""

    def __init__(self, shape: str, routes: int, ports: tuple[int, int], *, shared: bool) -> None:
        first, second = ports
        self._all = shapes.configuration(
            shape, routes, shared=shared, first_port=FIRST_PORT, backend=(instance.HOST, first)
        )
        slices = list(self._all.slices)
        slices[1] = shapes.endpoints(1, instance.HOST, second)
        self._before = shapes.joined([*self._all.gateways, *self._all.services, *slices])
        self._after = shapes.joined(self._all.routes[1:])

    def text(self, backend: int) -> str:
        """The file in which route 0 goes to backend 0 or 1."""
        return "---\n".join((self._before, self._all.route(0, service=backend), self._after))


def edits(
    shape: str, routes: int, count: int, ports: tuple[int, int], *, change: Callable[[Path, str], None]
) -> dict[str, float]:
    """Times from edit to answer, in seconds."""
    case = _Case(shape, routes, ports, shared=False)
    chosen = random.Random(3)
    times = []
    with instance.running(case.text(0)) as (running, file):
        running.until_ready()
        running.until_answer(FIRST_PORT, b"A")
        for turn in range(count):
            backend = (turn + 1) % 2
            # Not in step with anything that happens in intervals.
            time.sleep(0.1 + chosen.random() * 0.1)
            text = case.text(backend)
            begun = time.perf_counter()
            change(file, text)
            times.append(running.until_answer(FIRST_PORT, b"AB"[backend : backend + 1]) - begun)
    return _summary(times)


def start(shape: str, routes: int, ports: tuple[int, int], *, shared: bool) -> dict[str, Any]:
    """One cold start: times in seconds, memory in MiB."""
    case = _Case(shape, routes, ports, shared=shared)
    with instance.running(case.text(0)) as (running, _):
        first = running.until_answer(FIRST_PORT, b"A", pause=0.02)
        ready = running.until_ready()
        time.sleep(1.0)
        controller, envoy = psutil.Process(running.process.pid), running.envoy()
        return {
            "first answer": first - running.begun,
            "ready": ready - running.begun,
            "controller cpu": _processor_time(controller),
            "envoy cpu": _processor_time(envoy),
            "controller memory": figures.resident_mib(controller.pid),
            "envoy memory": figures.resident_mib(envoy.pid),
        }


async def source(count: int) -> dict[str, float]:
    """Times of the file source alone, in seconds."""
    case = _Case("spread", 10, (7001, 7002), shared=False)
    chosen = random.Random(4)
    times = []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory:
        file = Path(directory) / "gateway.yaml"
        file.write_text(case.text(0), encoding="utf-8")
        async with aclosing(FilesSource([str(file)]).batches()) as batches:
            await anext(batches)
            for turn in range(count):
                await asyncio.sleep(0.1 + chosen.random() * 0.1)
                begun = time.perf_counter()
                instance.replace(file, case.text((turn + 1) % 2))
                while not (await anext(batches)).changes:
                    pass
                times.append(time.perf_counter() - begun)
    return _summary(times)


def _processor_time(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _summary(values: list[float]) -> dict[str, float]:
    return {"count": len(values), "p50": figures.median(values), "p99": figures.percentile(values, 0.99)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=3, help="cold starts of every shape and size (default 3)")
    arguments.add_argument("--quick", action="store_true", help="only 10 routes, 20 edits, one start: a trial")
    given = arguments.parse_args()
    sizes = shapes.SIZES[:1] if given.quick else shapes.SIZES
    count = 20 if given.quick else EDITS
    load = figures.load_before()
    with instance.backends() as (first, second):
        ports = (first.port, second.port)
        _say("the file source alone")
        alone = asyncio.run(source(count))
        found_edits = []
        for routes in sizes:
            for how, change in (("renamed", instance.replace), ("in place", instance.rewrite)):
                _say(f"edits with {routes} routes, {how}")
                number = count if routes == sizes[0] else EDITS_AT_SIZE
                taken = edits("spread", routes, number, ports, change=change)
                found_edits.append({"shape": "spread", "routes": routes, "how": how, **taken})
        found_starts = _starts(sizes, 1 if given.quick else given.rounds, ports)
    figures.save(
        "propagation",
        {
            "load": load,
            "settling": SETTLING_S,
            "rounds": given.rounds,
            "source": alone,
            "edits": found_edits,
            "starts": found_starts,
        },
    )


def _starts(sizes: tuple[int, ...], rounds: int, ports: tuple[int, int]) -> list[dict[str, Any]]:
    largest = sizes[-1]
    cases = [*(("spread", routes, False) for routes in sizes), ("spread", largest, True), ("crowded", largest, False)]
    runs: dict[tuple[str, int, bool], list[dict[str, Any]]] = {case: [] for case in cases}
    for turn in range(rounds):
        for shape, routes, shared in cases:
            _say(f"start {turn + 1}/{rounds}: {shape}, {routes} routes")
            runs[shape, routes, shared].append(start(shape, routes, ports, shared=shared))
    return [
        {"shape": shape, "routes": routes, "backends": "shared" if shared else "own", **figures.middle(found)}
        for (shape, routes, shared), found in runs.items()
    ]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
