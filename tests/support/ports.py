"""Ports that belong to one test, also while several test runs share the machine.

They lie below the range from which the kernel takes the local ports of outgoing connections, so that no
client of the same test can hold one by chance. Each is reserved by a locked file until it is released;
locks end with their process, so a killed run leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

FIRST = 10_000
LAST = 32_000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def last_port() -> int:
    """The highest port to hand out on this machine."""
    if not EPHEMERAL_RANGE.exists():
        return LAST
    return min(LAST, int(EPHEMERAL_RANGE.read_text().split()[0]) - 1)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port, on all addresses."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
            probe.listen()
        except OSError:
            return False
        return True


class Ports:
    """Hands out free ports, each only once at a time on this machine."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"tidegate-test-ports-{os.getuid()}"
        self._folder.mkdir(exist_ok=True)
        self._locks: dict[int, int] = {}

    def reserve(self) -> int:
        """A free port that is nobody else's until ``release``."""
        for _ in range(1000):
            port = random.randint(FIRST, last_port())
            if port not in self._locks and self._lock(port) and is_free(port):
                return port
        raise AssertionError("no free port found in 1000 attempts")

    def release(self) -> None:
        """Give all ports back."""
        for lock in self._locks.values():
            os.close(lock)
        self._locks.clear()

    def _lock(self, port: int) -> bool:
        lock = os.open(self._folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._locks[port] = lock
        return True
