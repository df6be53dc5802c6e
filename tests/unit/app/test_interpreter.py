"""The settings of the process, in a process of their own."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import gc, sys
from tidegate.app import interpreter

interpreter.prepare()
assert gc.get_threshold()[0] > 10_000
assert sys.getswitchinterval() < 0.001
kept = [[] for _ in range(1_000)]
interpreter.settled()
assert gc.get_freeze_count() > len(kept)
"""


def test_collections_leave_alone_what_was_loaded() -> None:
    """Threads give way soon, and what is there when all is settled is not looked at any more."""
    subprocess.run([sys.executable, "-c", _PROGRAM], check=True, timeout=30)
