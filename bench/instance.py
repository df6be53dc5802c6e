"""A real ``tidegate run`` with two backends, for ``propagation.py``.

In: a file. Out: the process, its Envoy, and what answers on a port. Everything stays on loopback.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

HOST = "127.0.0.1"
PATIENCE_S = 180.0
_PROBE_TIMEOUT_S = 5.0
_PROBE_PAUSE_S = 0.001


class Backend(socketserver.ThreadingTCPServer):
    """Says its one-letter name to whoever connects."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, name: bytes) -> None:
        super().__init__((HOST, 0), _Greeting)
        self.name = name
        self.port: int = self.server_address[1]


class _Greeting(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Backend)
        with contextlib.suppress(ConnectionError):
            self.request.sendall(self.server.name)


@contextlib.contextmanager
def backends() -> Iterator[tuple[Backend, Backend]]:
    """Two backends, A and B, while the block lasts."""
    with Backend(b"A") as first, Backend(b"B") as second:
        for one in (first, second):
            threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True).start()
        yield first, second
        first.shutdown()
        second.shutdown()


class Instance:
    """A running ``tidegate run``. Times are of ``time.perf_counter``."""

    def __init__(self, file: Path, directory: Path, *arguments: str) -> None:
        self.log = directory / "log"
        self._directory = directory
        self.begun = time.perf_counter()
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "tidegate", "run", str(file), "--state-dir", str(directory / "state"),
                    "--drain-time", "0s", "--log-format", "json", *arguments,
                ],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def until_answer(self, port: int, expected: bytes, *, pause: float = _PROBE_PAUSE_S) -> float:
        """Connect to ``port`` again and again until ``expected`` answers; returns when it did."""
        deadline = time.perf_counter() + PATIENCE_S
        while True:
            found = answer(port)
            now = time.perf_counter()
            if found == expected:
                return now
            if now > deadline or self.process.poll() is not None:
                raise SystemExit(f"no answer from {expected!r} on port {port}; the log ends:\n{self._last_lines()}")
            time.sleep(pause)

    def until_ready(self) -> float:
        """Ask ``/readyz`` until it says yes; returns when it did."""
        deadline = time.perf_counter() + PATIENCE_S
        while not self._is_ready():
            if time.perf_counter() > deadline or self.process.poll() is not None:
                raise SystemExit(f"tidegate does not get ready; the log ends:\n{self._last_lines()}")
            time.sleep(0.02)
        return time.perf_counter()

    def envoy(self) -> psutil.Process:
        """The Envoy of this instance."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if "envoy" in child.name())

    def stop(self) -> None:
        """End it and its Envoy."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as admin, contextlib.suppress(OSError):
            admin.settimeout(_PROBE_TIMEOUT_S)
            admin.connect(str(self._directory / "state" / "admin.sock"))
            admin.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return admin.recv(64).split(b" ")[1:2] == [b"200"]
        return False

    def _last_lines(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


@contextlib.contextmanager
def running(text: str) -> Iterator[tuple[Instance, Path]]:
    """An instance on a file with this text, while the block lasts."""
    # Not under the default temporary directory: paths of Unix sockets have to be short.
    directory = Path(tempfile.mkdtemp(prefix="tgb", dir="/tmp"))
    file = directory / "gateway.yaml"
    file.write_text(text, encoding="utf-8")
    instance = Instance(file, directory)
    try:
        yield instance, file
    finally:
        instance.stop()
        shutil.rmtree(directory, ignore_errors=True)


def answer(port: int) -> bytes:
    """What a new connection to a port on loopback hears first; empty when it is refused or closed."""
    try:
        with socket.create_connection((HOST, port), _PROBE_TIMEOUT_S) as client:
            return client.recv(1)
    except OSError:
        return b""


def replace(file: Path, text: str) -> None:
    """Exchange the content of a file in one step, as editors do."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)


def rewrite(file: Path, text: str) -> None:
    """Write the file anew in its place, as ``cp`` and shells do."""
    file.write_text(text, encoding="utf-8")
