"""What one change costs tidegate itself, by the number of routes. No sockets, no Envoy process.

Per shape and size a process of its own runs, several times over, in turns, so that a slow moment of the machine
hits all sizes alike. Each one loads a configuration from one file by the source that ``tidegate run`` uses,
decides, and then changes one thing at a time:

* ``resolve``: a route's weight in the decision, and the endpoints of its Service, without any file;
* ``apply``: the resulting change of the plan in the Envoy catalog and the responses for the stream;
* ``outcome``: the data plane's confirmation, until the status is final;
* ``edit``: the same change in the one file that holds all documents, from its bytes to the changed objects.
"""

from __future__ import annotations

import argparse
import gc
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

import figures
import shapes

CHANGES = 200
EDITS = 40
FIRST_PORT = 10_000
BACKEND = ("127.0.0.1", 7001)


def measure(shape: str, routes: int, *, shared: bool) -> dict[str, Any]:
    """Load, decide, change; returns times in seconds and memory in MiB. Once per process."""
    imported = figures.resident_mib()
    from engine import Engine

    loaded_modules = figures.resident_mib()
    documents = shapes.configuration(shape, routes, shared=shared, first_port=FIRST_PORT, backend=BACKEND)
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory:
        file = Path(directory) / "all.yaml"
        file.write_text(shapes.joined(documents.documents), encoding="utf-8")
        engine = Engine(file, Path(directory) / "ages")
        cold = _cold(engine)
        gc.collect()
        memory = figures.resident_mib()
        times = _changes(engine, documents)
        times["edit"] = _edits(engine, documents, file)
    return {
        "cold": cold,
        "memory": {"python": imported, "modules": loaded_modules, "loaded": memory},
        "times": {name: _summary(values) for name, values in times.items()},
    }


def _cold(engine: Any) -> dict[str, float]:
    begun = time.perf_counter()
    engine.load()
    loaded = time.perf_counter()
    engine.decide()
    decided = time.perf_counter()
    engine.apply()
    applied = time.perf_counter()
    engine.confirm()
    return {"decode": loaded - begun, "decide": decided - loaded, "translate": applied - decided}


def _changes(engine: Any, documents: shapes.Configuration) -> dict[str, list[float]]:
    chosen = random.Random(1)
    times: dict[str, list[float]] = defaultdict(list)
    for turn in range(CHANGES):
        number = chosen.randrange(len(documents.routes))
        service = number % len(documents.services)
        for name, text in (
            ("route", documents.route(number, weight=2 + turn)),
            ("endpoints", shapes.endpoints(service, BACKEND[0], 20_000 + turn)),
        ):
            engine.take(engine.parsed(text))
            begun = time.perf_counter()
            engine.decide()
            decided = time.perf_counter()
            engine.apply()
            applied = time.perf_counter()
            engine.confirm()
            times[f"{name} resolve"].append(decided - begun)
            times[f"{name} apply"].append(applied - decided)
            times[f"{name} outcome"].append(time.perf_counter() - applied)
            times[f"{name} total"].append(time.perf_counter() - begun)
    return times


def _edits(engine: Any, documents: shapes.Configuration, file: Path) -> list[float]:
    chosen = random.Random(2)
    routes = list(documents.routes)
    before = documents.documents[: -len(routes)]
    times = []
    for turn in range(EDITS):
        number = chosen.randrange(len(routes))
        routes[number] = documents.route(number, weight=10_000 + turn)
        file.write_text(shapes.joined((*before, *routes)), encoding="utf-8")
        begun = time.perf_counter()
        changed = engine.reread()
        times.append(time.perf_counter() - begun)
        if changed != 1:
            raise SystemExit(f"an edit of one document changed {changed} objects")
    return times


def _summary(values: list[float]) -> dict[str, float]:
    return {"p50": figures.median(values), "p99": figures.percentile(values, 0.99)}


def _in_a_process(shape: str, routes: int, *, shared: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", shape, str(routes), *(["--shared"] if shared else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=5, help="runs of every shape and size (default 5)")
    arguments.add_argument("--one", nargs=2, metavar=("SHAPE", "ROUTES"), help="one run in this process, as JSON")
    arguments.add_argument("--shared", action="store_true", help="with --one: eight backends for all routes")
    given = arguments.parse_args()
    if given.one is not None:
        sys.stdout.buffer.write(msgspec.json.encode(measure(given.one[0], int(given.one[1]), shared=given.shared)))
        return
    load = figures.load_before()
    runs: dict[tuple[str, int, bool], list[dict[str, Any]]] = defaultdict(list)
    for turn in range(given.rounds):
        for shape in shapes.SHAPES:
            for routes in shapes.SIZES:
                for shared in (False, True):
                    print(f"round {turn + 1}/{given.rounds}: {shape}, {routes} routes", file=sys.stderr)
                    runs[shape, routes, shared].append(_in_a_process(shape, routes, shared=shared))
    results = [
        {"shape": shape, "routes": routes, "backends": "shared" if shared else "own", **figures.middle(found)}
        for (shape, routes, shared), found in runs.items()
    ]
    figures.save("core", {"load": load, "rounds": given.rounds, "changes": CHANGES, "edits": EDITS, "results": results})


if __name__ == "__main__":
    main()
