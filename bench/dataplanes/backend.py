"""What answers behind every gateway: nginx for requests, iperf3 for bulk, and an echo that says its name for the rest.

In: the backend's namespace. Out: three servers on all its addresses while the block lasts. Run as a program, this is
the echo server.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from dataplanes.hosts import BACKEND, apart, inside, run
from dataplanes.planes import BULK_PORTS, PORTS, connections_allowed
from dataplanes.usage import processors

_NGINX = """\
daemon off; worker_processes {workers}; pid {directory}/backend.pid; error_log {directory}/backend.log;
events {{ worker_connections {connections}; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_header_timeout 1h;
  server {{ listen {port} backlog=65535 reuseport; location / {{ return 200 "ok"; }} }}
}}
"""


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[list[psutil.Process]]:
    """All servers of the backend host while the block lasts: their processes."""
    config = directory / "backend.conf"
    workers = max(1, processors() // 2)
    config.write_text(
        _NGINX.format(directory=directory, port=PORTS["http"], connections=connections_allowed(), workers=workers)
    )
    commands = (
        ("nginx", "-c", str(config), "-e", str(directory / "backend.log")),
        *(("iperf3", "-s", "-p", str(port)) for port in BULK_PORTS),
        (sys.executable, __file__, str(PORTS["echo"])),
    )
    with (directory / "backend.out").open("wb") as output, contextlib.ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen(
                inside(BACKEND, *apart(*command, first=False)), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        _wait_open()
        pids = run("ip", "netns", "pids", BACKEND).split()
        yield [psutil.Process(int(pid)) for pid in pids]


def _wait_open() -> None:
    deadline = time.monotonic() + 20
    listing = inside(BACKEND, "ss", "-Hltn")
    while True:
        shown = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
        if all(f":{port} " in shown for port in PORTS.values()):
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"the backend does not open its ports:\n{shown}")
        time.sleep(0.02)


class _Echo(asyncio.Protocol):
    """Says its name at once, as a database would, then repeats what it hears."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"backend\n")

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Echo, "0.0.0.0", port, backlog=65535)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
