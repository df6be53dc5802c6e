"""What a change costs both data planes, with 10 to 10,000 listeners. Root on Linux: each run has a host of its own.

* ``planes``: the data plane alone: from handing it a whole plan until every socket is Live, and from handing it one
  change (a weight) until that is Live; processor time of this process for both. For the kernel plane, that is all there
  is; Envoy works in a process of its own beside it.
* ``instances``: ``tidegate run`` on a directory with two files, one of them with the route that changes: from the
  changed file until a new connection reaches the other backend; start until ready, and memory of the controller.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import figures
import instance
import shapes
from support.envoys import envoy_plane
from support.kernels import serving_kernel
from support.netns import Host
from support.planes import Serving, serving, short_directory
from support.plans import Change, forward, pool
from tidegate.app import interpreter
from tidegate.plan.outcome import Live
from tidegate.plan.types import Socket

SIZES = (10, 100, 1_000, 10_000)
PLANES = ("nftables", "envoy")
FIRST_PORT = 2_000
CHANGES = 200
EDITS = 60
PATIENCE_S = 300.0
_LOOK_S = 0.0002
_FILES_PER_LISTENER = {"nftables": 0, "envoy": 2}
"""Open files of a listener: Envoy has one per worker, of which there are as many as processors here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers: shows that it works, not how fast")
    parser.add_argument("--one", nargs=3, metavar=("PART", "PLANE", "LISTENERS"), help="one measurement, as JSON")
    options = parser.parse_args()
    if options.one:
        part, plane, listeners = options.one
        print(json.dumps(PARTS[part](plane, int(listeners))))
        return
    load = figures.load_before()
    sizes = SIZES[:2] if options.quick else SIZES
    result: dict[str, Any] = {"load": load, "planes": [], "instances": []}
    for part in PARTS:
        for listeners in sizes:
            for plane in PLANES:
                if listeners * _FILES_PER_LISTENER[plane] >= resource.getrlimit(resource.RLIMIT_NOFILE)[1]:
                    print(f"{part}, {plane}: {listeners} listeners need more open files than are allowed here")
                    continue
                print(f"{part}, {plane}: {listeners} listeners", flush=True)
                result[part].append({"plane": plane, "listeners": listeners, **_one(part, plane, listeners)})
    if options.quick:
        print("it works; figures of a quick run are not kept")
        return
    figures.save("controlplane", result)


def _one(part: str, plane: str, listeners: int) -> dict[str, float]:
    """A measurement in a process of its own, so that memory and caches of others do not count."""
    command = [sys.executable, __file__, "--one", part, plane, str(listeners)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def planes(plane: str, listeners: int) -> dict[str, float]:
    """Load, and single changes, of the plane alone, in a process set up as those that serve are."""
    interpreter.prepare()
    return asyncio.run(_plane(plane, listeners))


async def _plane(plane: str, listeners: int) -> dict[str, float]:
    starts: dict[str, Callable[[], AbstractAsyncContextManager[Serving]]] = {
        "nftables": serving_kernel,
        "envoy": _serving_envoy,
    }
    async with starts[plane]() as present:
        ports = range(FIRST_PORT, FIRST_PORT + listeners)
        plan = [pool("one", 7_001), pool("two", 7_002)]
        plan += [forward(port, ("one", 1), ("two", 1), address="*", listener=f"l{port}") for port in ports]
        begun, cpu = time.perf_counter(), time.process_time()
        await _applied(present, *plan)
        load, load_cpu = time.perf_counter() - begun, time.process_time() - cpu
        interpreter.settled()
        taken, cpu = [], time.process_time()
        for number in range(CHANGES):
            port = ports[number % listeners]
            change = forward(port, ("one", 2 + number), ("two", 1), address="*", listener=f"l{port}")
            begun = time.perf_counter()
            await _applied(present, change)
            taken.append(time.perf_counter() - begun)
        busy = (time.process_time() - cpu) / CHANGES
    return {
        "load": load,
        "load cpu": load_cpu,
        "p50": figures.percentile(taken, 0.5),
        "p99": figures.percentile(taken, 0.99),
        "cpu": busy,
    }


async def _applied(present: Serving, *changes: Change) -> None:
    """Apply as one, and wait until the sockets are Live at their new revisions, not at the pace at which tests look."""
    present.apply(*changes)
    late = [value for change in changes for value in change.values() if isinstance(value, Socket)]
    async with asyncio.timeout(PATIENCE_S):
        while late:  # Nobody tells, and looking at all of them each time would be what is measured.
            found = present.outcomes.get(late[-1].key)
            if isinstance(found, Live) and found.revision == late[-1].revision:
                late.pop()
            else:
                await asyncio.sleep(_LOOK_S)


@contextlib.asynccontextmanager
async def _serving_envoy() -> AsyncIterator[Serving]:
    with Host("bench") as host, host.entered(), short_directory() as directory:
        async with serving(envoy_plane(directory)) as present:
            yield present


def instances(plane: str, listeners: int) -> dict[str, float]:
    """Edits of a file, start and memory of ``tidegate run``."""
    with (
        Host("bench") as host,
        host.entered(),
        tempfile.TemporaryDirectory(prefix="tgb", dir="/tmp") as name,
        instance.backends() as (first, second),
    ):
        directory = Path(name) / "input"
        directory.mkdir()
        backend = (instance.HOST, first.port)
        everything = shapes.configuration("spread", listeners, shared=True, first_port=FIRST_PORT, backend=backend)
        slices = [*everything.slices]
        slices[1] = shapes.endpoints(1, instance.HOST, second.port)
        rest = (*everything.gateways, *everything.services, *slices, *everything.routes[1:])
        (directory / "rest.yaml").write_text(shapes.joined(rest), encoding="utf-8")
        edited = directory / "edited.yaml"
        edited.write_text(everything.route(0, service=0), encoding="utf-8")
        running = instance.Instance(directory, Path(name), "--dataplane", plane)
        try:
            ready = running.until_ready() - running.begun
            running.until_answer(FIRST_PORT, b"A")
            memory = figures.resident_mib(running.process.pid)
            taken = []
            for number in range(EDITS):
                service, expected = ((1, b"B"), (0, b"A"))[number % 2]
                begun = time.perf_counter()
                instance.replace(edited, everything.route(0, service=service))
                taken.append(running.until_answer(FIRST_PORT, expected) - begun)
        finally:
            running.stop()
    return {
        "ready": ready,
        "memory": memory,
        "p50": figures.percentile(taken, 0.5),
        "p99": figures.percentile(taken, 0.99),
    }


PARTS = {"planes": planes, "instances": instances}

if __name__ == "__main__":
    main()
