"""The benchmarks still run against the code that they measure. What they measure is not judged here."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import psutil
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


RATE = "requests/s"
COLUMNS = ((RATE, "requests"),)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What judges the limits of the comparison of data planes."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("dataplanes.limits")


def _found(rate: float, *, generator: float, backend: float, plane: float, idle: float) -> dict[str, float]:
    awake = {"generator": generator, "backend": backend, "plane": plane}
    return {RATE: rate, f"idle: {RATE}": idle} | {f"{part} awake: {RATE}": share for part, share in awake.items()}


NEVER = {
    "one host": _found(90.0, generator=0.99, backend=0.99, plane=0.0, idle=0.0),
    "direct": _found(60.0, generator=0.8, backend=0.7, plane=0.0, idle=0.2),
    "proxy": _found(30.0, generator=0.4, backend=0.4, plane=0.99, idle=0.1),
}
SOMETIMES = {
    "one host": _found(61.0, generator=0.99, backend=0.5, plane=0.0, idle=0.0),
    "direct": _found(60.0, generator=0.97, backend=0.93, plane=0.0, idle=0.05),
    "kernel": _found(55.0, generator=0.95, backend=0.6, plane=0.0, idle=0.2),
    "proxy": _found(30.0, generator=0.4, backend=0.4, plane=0.99, idle=0.2),
}


@pytest.mark.parametrize(
    ("medians", "sentences"),
    [
        (
            NEVER,
            [
                "The generator never was the limit: even its busiest thread was idle 20% of the time or more",
                "between 3.0 (requests) and 3.0 times",
                "The backend never was.",
                "At least 10% of the processors were idle",
            ],
        ),
        (
            SOMETIMES,
            [
                "**The generator was the limit** of *requests* (direct, kernel)",
                "**The backend was the limit** of *requests* (direct)",
                "less than 10% left with *requests* (direct)",
            ],
        ),
    ],
    ids=["never", "sometimes"],
)
def test_what_was_the_limit_is_said(
    limits: ModuleType, medians: dict[str, dict[str, float]], sentences: list[str]
) -> None:
    """The sentences follow from the figures: what was busy, with which planes, or how much room there was."""
    said = " ".join(limits.sentences(medians, COLUMNS))
    assert [sentence for sentence in sentences if sentence not in said] == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_busy_generator_and_an_idle_one_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that always computes is awake nearly all the time; one that sleeps is not."""
    monkeypatch.syspath_prepend(BENCH)
    usage = importlib.import_module("dataplanes.usage")
    myself = [psutil.Process(os.getpid())]
    for code, busy in (
        ("import time; end = time.monotonic() + 1\nwhile time.monotonic() < end: pass", True),
        ("import time; time.sleep(1)", False),
    ):
        (done,), found = usage.measured([(sys.executable, "-c", code)], myself, [])
        assert done.returncode == 0
        assert (found.generator.awake > 0.5) is busy
        assert found.backend.cpu == 0
