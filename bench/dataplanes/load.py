"""The load: wrk for requests and new connections, iperf3 for bulk, and a client of our own for what they cannot tell.

In: a plane. Out: one figure per call. wrk is an event loop in C and reaches several times the rate that the slowest
plane lets through; how much of the machine it takes itself is measured with ``direct`` (see ``measure``).
Run as a program, this is the client of our own, on the client host.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from typing import Any

import msgspec

from dataplanes.hosts import CLIENT, inside
from dataplanes.planes import PORTS, Plane

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_ECHO_SECONDS = 0.05


class Rate(msgspec.Struct, frozen=True):
    """Requests, or connections, per second, and how long one took, in seconds."""

    per_second: float
    p50: float
    p99: float


def requests(plane: Plane, connections: int, seconds: float) -> Rate:
    """Requests one after another on each of so many connections that stay open."""
    return _wrk(plane, connections, seconds)


def new_connections(plane: Plane, seconds: float) -> Rate:
    """A connection for every request: 64 clients that connect, ask, and are closed."""
    return _wrk(plane, 64, seconds, "-H", "Connection: close")


def connect_times(plane: Plane, count: int) -> Rate:
    """How long a connect takes on an idle plane, one after another, until the backend's first byte."""
    found = _client("connect", plane, count)
    return Rate(found["per_second"], found["p50"], found["p99"])


def bulk(plane: Plane, streams: int, seconds: float) -> float:
    """Bytes per second from client to backend."""
    command = ("iperf3", "-J", "-c", plane.address, "-p", str(PORTS["bulk"]), "-P", str(streams), "-t", f"{seconds:g}")
    done = subprocess.run(inside(CLIENT, *command), capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    if "error" in result:
        raise SystemExit(f"{plane.name}: iperf3: {result['error']}")
    return float(result["end"]["sum_received"]["bits_per_second"]) / 8


@contextlib.contextmanager
def idle_connections(plane: Plane, count: int) -> Any:
    """So many connections that do nothing, open while the block lasts."""
    with _started("idle", plane, count) as process:
        assert process.stdout is not None
        if process.stdout.readline().strip() != b"open":
            raise SystemExit(f"{plane.name}: {count} connections cannot be opened")
        yield
        process.kill()


@contextlib.contextmanager
def lasting_connections(plane: Plane, count: int) -> Any:
    """So many connections that say something now and then; ``ended`` of the value tells how many broke."""
    with _started("last", plane, count) as process:
        assert process.stdout is not None
        if process.stdout.readline().strip() != b"open":
            raise SystemExit(f"{plane.name}: {count} connections cannot be opened")
        yield Lasting(process)


class Lasting:
    """Connections that are meant to last."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ended(self) -> dict[str, int]:
        """Ends the test: how many of them broke, and of the new ones made meanwhile, how many failed."""
        output, _ = self._process.communicate(b"\n", timeout=60)
        return dict(json.loads(output))


@contextlib.contextmanager
def _started(what: str, plane: Plane, count: int) -> Any:
    process = subprocess.Popen(
        inside(CLIENT, sys.executable, "-m", "dataplanes.load", what, plane.address, str(count), *plane.link.clients),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _client(what: str, plane: Plane, count: int) -> dict[str, float]:
    command = (sys.executable, "-m", "dataplanes.load", what, plane.address, str(count), *plane.link.clients)
    done = subprocess.run(inside(CLIENT, *command), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{plane.name}: {done.stderr}")
    return dict(json.loads(done.stdout))


def _wrk(plane: Plane, connections: int, seconds: float, *options: str) -> Rate:
    url = f"http://{plane.address}:{PORTS['http']}/"
    command = ("wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds:g}s", "--latency", *options, url)
    done = subprocess.run(inside(CLIENT, *command), capture_output=True, text=True, check=False)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", done.stdout)
    if done.returncode or rate is None or (errors and any(map(int, errors.groups()))):
        raise SystemExit(f"{plane.name}: wrk: {done.stdout}{done.stderr}")
    return Rate(float(rate[1]), _share(done.stdout, "50"), _share(done.stdout, "99"))


def _share(text: str, share: str) -> float:
    found = re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    if found is None:
        raise SystemExit(f"wrk printed no percentiles:\n{text}")
    return float(found[1]) * _UNITS[found[2]]


# The client of our own.


def _connects(address: str, count: int) -> None:
    times = []
    begun = time.perf_counter()
    for _ in range(count):
        start = time.perf_counter()
        with socket.create_connection((address, PORTS["echo"]), 10) as client:
            if not client.recv(64):
                raise SystemExit("a connection was closed")
        times.append(time.perf_counter() - start)
    ordered = sorted(times)
    whole = time.perf_counter() - begun
    print(json.dumps({"per_second": count / whole, "p50": ordered[count // 2], "p99": ordered[count * 99 // 100]}))


async def _open(
    address: str, count: int, sources: list[str]
) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    opened = []
    for number in range(count):
        source = (sources[number % len(sources)], 0)
        reader, writer = await asyncio.open_connection(address, PORTS["echo"], local_addr=source)
        await reader.readline()
        opened.append((reader, writer))
    return opened


async def _idle(address: str, count: int, sources: list[str]) -> None:
    opened = await _open(address, count, sources)
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    del opened


async def _last(address: str, count: int, sources: list[str]) -> None:
    opened = await _open(address, count, sources)
    print("open", flush=True)
    stop = asyncio.Event()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            while not stop.is_set():
                writer.write(b"still there\n")
                if await reader.readline() != b"still there\n":
                    return False
                await asyncio.sleep(_ECHO_SECONDS)
        except OSError:
            return False
        return True

    async def renew() -> tuple[int, int]:
        tried = failed = 0
        while not stop.is_set():
            tried += 1
            try:
                reader, writer = await asyncio.open_connection(address, PORTS["echo"])
                failed += not await reader.readline()
                writer.close()
            except OSError:
                failed += 1
            await asyncio.sleep(0.002)
        return tried, failed

    async with asyncio.TaskGroup() as tasks:
        kept = [tasks.create_task(keep(*one)) for one in opened]
        renewed = tasks.create_task(renew())
        await asyncio.to_thread(sys.stdin.readline)
        stop.set()
    tried, failed = renewed.result()
    broken = sum(not one.result() for one in kept)
    print(json.dumps({"kept": count - broken, "broken": broken, "new": tried, "failed": failed}))


def _main(what: str, address: str, count: str, *sources: str) -> None:
    match what:
        case "connect":
            _connects(address, int(count))
        case "idle":
            asyncio.run(_idle(address, int(count), list(sources)))
        case "last":
            asyncio.run(_last(address, int(count), list(sources)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
