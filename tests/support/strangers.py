"""Foreign processes that hold ports: they listen, and accept what comes to them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LISTEN = """
import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if sys.argv[2] == "share":
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
print("listening", flush=True)
sys.stdin.read()
"""


@contextmanager
def stranger(port: int, *, share: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process that listens on the port during the block; ``share`` sets SO_REUSEPORT."""
    command = [sys.executable, "-c", _LISTEN, str(port), "share" if share else "alone"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "listening\n"
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(10)
