"""The benchmarks still run against the code that they measure. What they measure is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.parametrize("shape", ["spread", "crowded"])
def test_the_core_benchmark_runs(shape: str) -> None:
    """One small run of every step gives a time for each."""
    command = [sys.executable, str(BENCH / "core.py"), "--one", shape, "10"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60)
    result = json.loads(done.stdout)
    assert set(result["cold"]) == {"decode", "decide", "translate"}
    assert all(summary["p50"] > 0 for summary in result["times"].values())
