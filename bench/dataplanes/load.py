"""The load: wrk for requests and new connections, iperf3 for bulk, and a client of our own for what they cannot tell.

In: a plane. Out: one figure per call, and who worked for it (see ``usage``), which shows whether the load or the plane
was the limit. wrk has a thread for each address of the client, iperf3 a stream for each of its own.
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
from collections.abc import Sequence
from typing import Any

import msgspec
import psutil

from dataplanes import usage
from dataplanes.hosts import apart, inside
from dataplanes.planes import BULK_PORTS, PORTS, Plane
from dataplanes.usage import Usage

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_ECHO_SECONDS = 0.05
_ADDRESSES = """\
local addresses, last = {{ {addresses} }}, 0
function setup(thread)
  last = last % #addresses + 1
  thread.addr = wrk.lookup(addresses[last], "{port}")[1]
end
"""
"""Gives each thread of wrk an address of its own to connect to, and so, by the client's routes, one to come from."""


class Rate(msgspec.Struct, frozen=True):
    """Requests, or connections, per second, how long one took, in seconds, and who worked for it."""

    per_second: float
    p50: float
    p99: float
    usage: Usage


class Bulk(msgspec.Struct, frozen=True):
    """Bytes per second, and who worked for it."""

    per_second: float
    usage: Usage


class Loader:
    """Sends load from the client host, or from the backend's, and watches who works."""

    def __init__(self, backend: Sequence[psutil.Process]) -> None:
        self._backend = backend

    def requests(self, plane: Plane, connections: int, seconds: float) -> Rate:
        """Requests one after another on each of so many connections that stay open."""
        return self._wrk(plane, connections, seconds)

    def new_connections(self, plane: Plane, seconds: float) -> Rate:
        """A connection for every request: 64 clients that connect, ask, and are closed."""
        return self._wrk(plane, 64, seconds, "-H", "Connection: close")

    def connect_times(self, plane: Plane, count: int) -> Rate:
        """How long a connect takes on an idle plane, one after another, until the backend's first byte."""
        command = (sys.executable, "-m", "dataplanes.load", "connect", str(count), *_ways(plane))
        (done,), usage = self._run(plane, command)
        if done.returncode:
            raise SystemExit(f"{plane.name}: {done.stderr}")
        found = json.loads(done.stdout)
        return Rate(found["per_second"], found["p50"], found["p99"], usage)

    def bulk(self, plane: Plane, streams: int, seconds: float) -> Bulk:
        """Bytes per second from client to backend, by streams of which each has a process at either end."""
        commands = [
            ("iperf3", "-J", "-c", plane.addresses[number], "-p", str(port), "-t", f"{seconds:g}")
            for number, port in enumerate(BULK_PORTS[:streams])
        ]
        done, usage = self._run(plane, *commands)
        results = [json.loads(one.stdout) for one in done]
        for result in results:
            if "error" in result:
                raise SystemExit(f"{plane.name}: iperf3: {result['error']}")
        return Bulk(sum(result["end"]["sum_received"]["bits_per_second"] for result in results) / 8, usage)

    def _wrk(self, plane: Plane, connections: int, seconds: float, *options: str) -> Rate:
        threads = str(min(connections, len(plane.addresses)))
        script = plane.directory / "addresses.lua"
        script.write_text(_ADDRESSES.format(port=PORTS["http"], addresses=", ".join(map(repr, plane.addresses))))
        url = f"http://{plane.addresses[0]}:{PORTS['http']}/"
        shape = ("-t", threads, "-c", str(connections), "-d", f"{seconds:g}s", "--latency", "-s", str(script))
        (done,), usage = self._run(plane, ("wrk", *shape, *options, url))
        rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", done.stdout)
        if done.returncode or rate is None or (errors and any(map(int, errors.groups()))):
            raise SystemExit(f"{plane.name}: wrk: {done.stdout}{done.stderr}")
        return Rate(float(rate[1]), _share(done.stdout, "50"), _share(done.stdout, "99"), usage)

    def _run(self, plane: Plane, *commands: Sequence[str]) -> tuple[list[subprocess.CompletedProcess[str]], Usage]:
        placed = [inside(plane.link.origin, *apart(*command, first=True)) for command in commands]
        return usage.measured(placed, plane.processes(), self._backend)


def versions() -> dict[str, str]:
    """What the programs that make the load say of themselves."""
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split()
    iperf3 = subprocess.run(["iperf3", "--version"], capture_output=True, text=True, check=True).stdout.split()
    return {"wrk": wrk[1], "iperf3": iperf3[1]}


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
    command = (sys.executable, "-m", "dataplanes.load", what, str(count), *_ways(plane))
    process = subprocess.Popen(
        inside(plane.link.origin, *apart(*command, first=True)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _ways(plane: Plane) -> list[str]:
    """The ways from a client's address to one of the plane's, as text for the client of our own."""
    return [f"{client}={address}" for client, address in zip(plane.link.clients, plane.addresses, strict=True)]


def _share(text: str, share: str) -> float:
    found = re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    if found is None:
        raise SystemExit(f"wrk printed no percentiles:\n{text}")
    return float(found[1]) * _UNITS[found[2]]


# The client of our own.


_Ways = list[tuple[str, str]]
"""Pairs of a client's address and one to connect to, used in turns."""


def _connects(count: int, ways: _Ways) -> None:
    times = []
    begun = time.perf_counter()
    for number in range(count):
        source, address = ways[number % len(ways)]
        start = time.perf_counter()
        with socket.create_connection((address, PORTS["echo"]), 10, source_address=(source, 0)) as client:
            if not client.recv(64):
                raise SystemExit("a connection was closed")
        times.append(time.perf_counter() - start)
    ordered = sorted(times)
    whole = time.perf_counter() - begun
    print(json.dumps({"per_second": count / whole, "p50": ordered[count // 2], "p99": ordered[count * 99 // 100]}))


async def _open(count: int, ways: _Ways) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    opened = []
    for number in range(count):
        source, address = ways[number % len(ways)]
        reader, writer = await asyncio.open_connection(address, PORTS["echo"], local_addr=(source, 0))
        await reader.readline()
        opened.append((reader, writer))
    return opened


async def _idle(count: int, ways: _Ways) -> None:
    opened = await _open(count, ways)
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    del opened


async def _last(count: int, ways: _Ways) -> None:
    opened = await _open(count, ways)
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
                reader, writer = await asyncio.open_connection(ways[0][1], PORTS["echo"])
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


def _main(what: str, count: str, *texts: str) -> None:
    ways = [(source, address) for source, _, address in (text.partition("=") for text in texts)]
    match what:
        case "connect":
            _connects(int(count), ways)
        case "idle":
            asyncio.run(_idle(int(count), ways))
        case "last":
            asyncio.run(_last(int(count), ways))


if __name__ == "__main__":
    _main(*sys.argv[1:])
