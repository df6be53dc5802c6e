"""Writes ``docs/benchmarks.md`` from what ``core.py`` and ``propagation.py`` measured last.

For ``cluster.py``, which calls it, it writes ``docs/benchmarks-cluster.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import figures

TARGET = Path(__file__).parent.parent / "docs" / "benchmarks.md"
CLUSTER_TARGET = TARGET.with_name("benchmarks-cluster.md")
RATIO_GOAL = 2.0
EDIT_GOAL_MS = 20.0
MEMORY_GOAL_MIB = 150.0
ATTACH_GOAL_S = 2.0
PROPAGATION_GOAL_MS = 16.6
WORST_GOAL_MS = 74.6
QUIET_LOAD = 0.7

_OPENING = """\
# Benchmarks

Written by `make bench`; every figure below comes from that command. Read ratios and growth rather than absolute
times: they depend on the machine. All traffic is on loopback.
"""
_CLUSTER_OPENING = """\
# Benchmarks in a cluster

Written by `make bench-cluster`; every figure below comes from that command. API server, etcd, controller and a proxy
share the processors of one machine, so read ratios and growth rather than absolute times.
"""
_SHAPES = """\
Two shapes. *spread*: Gateways with 64 listeners each, one route on a listener. *crowded*: all routes on one
listener, of which the oldest serves. With *own* backends every route has a Service and an EndpointSlice of its own;
with *shared* ones all routes share eight Services.
"""


def main() -> None:
    core, propagation = (figures.load(name) for name in ("core", "propagation"))
    found = core or propagation
    if found is None:
        raise SystemExit("nothing measured yet: run bench/core.py or bench/propagation.py first")
    parts = [_OPENING, "## Where\n", *_machine(found["machine"]), *_disturbance(core, propagation), _SHAPES]
    if propagation is not None:
        parts += [*_edits(propagation), *_starts(propagation)]
    if core is not None:
        parts += [*_changes(core), *_file_edits(core), *_cold(core)]
    _write(TARGET, parts)


def write_cluster(cluster: dict[str, Any]) -> None:
    """Write the page about clusters from a result of ``cluster.py`` that was kept."""
    parts = [_CLUSTER_OPENING, "## Where\n", *_machine(cluster["machine"]), *_disturbance(cluster)]
    parts += [*_cluster_routes(cluster), *_cluster_propagation(cluster), *_cluster_changes(cluster)]
    _write(CLUSTER_TARGET, parts)


def _write(target: Path, parts: Sequence[str]) -> None:
    target.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    print(f"written: {target}")


def _machine(machine: dict[str, str]) -> Iterable[str]:
    yield _table(("what", "here"), list(machine.items()))


def _disturbance(*results: dict[str, Any] | None) -> Iterable[str]:
    load = max(result["load"] for result in results if result is not None)
    yield f"Load of the machine by other work when the measurements began: {load:.1f}.\n"
    if load > QUIET_LOAD:
        yield "**That is too much for figures to rely on: run it again on a quiet machine.**\n"


def _edits(result: dict[str, Any]) -> Iterable[str]:
    settling, source = result["settling"] * 1e3, result["source"]
    yield "## From edit to traffic\n"
    yield (
        "Time from changing the file until a new connection through Envoy is answered by the other backend. One file\n"
        f"holds all documents. Of that the watcher's own settling takes {settling:.0f} ms here: on Linux the kernel\n"
        "tells when a file was renamed into place or closed by its writer, elsewhere it must stand still for 20 ms\n"
        "after a step of 5 ms. The file source alone, with 10 routes, takes p50 "
        f"{_ms(source['p50'])} and p99 {_ms(source['p99'])}\nfrom the renamed file to the changed object.\n"
    )
    rows = []
    for row in result["edits"]:
        beyond = row["p50"] * 1e3 - settling
        figures_of_row = (_ms(row["p50"]), _ms(row["p99"]), f"{beyond:.1f} ms")
        rows.append((row["routes"], row["how"], row["count"], *figures_of_row))
    yield _table(("routes", "file is", "edits", "p50", "p99", "p50 beyond settling"), rows)
    verdicts = (
        f"{row['routes']:,} routes, {row['how']}: {_verdict(row['p50'] * 1e3 - settling <= EDIT_GOAL_MS)}"
        for row in result["edits"]
    )
    yield f"Goal: p50 at most {EDIT_GOAL_MS:.0f} ms beyond settling. {'; '.join(verdicts)}.\n"


def _starts(result: dict[str, Any]) -> Iterable[str]:
    yield "## Cold start and memory\n"
    yield (
        f"From starting the process; medians of {result['rounds']} start(s). *first answer*: the first listener\n"
        "forwards; *ready*: Envoy has confirmed all listeners. Processor time (all threads, one second after ready)\n"
        "and resident memory are those of the controller and of Envoy, each for itself.\n"
    )
    names = ("first answer", "ready", "controller cpu", "envoy cpu")
    rows = [
        (
            row["shape"], row["routes"], row["backends"], *(f"{row[name]:.2f} s" for name in names),
            f"{row['controller memory']:.0f} MiB", f"{row['envoy memory']:.0f} MiB",
        )
        for row in result["starts"]
    ]  # fmt: skip
    yield _table(("shape", "routes", "backends", *names, "controller memory", "Envoy memory"), rows)
    largest = max(row["routes"] for row in result["starts"])
    for row in result["starts"]:
        if row["routes"] == largest:
            memory = row["controller memory"]
            yield (
                f"Goal: controller at most {MEMORY_GOAL_MIB:.0f} MiB with {largest:,} routes ({row['shape']}, "
                f"{row['backends']} backends): {memory:.0f} MiB, {_verdict(memory <= MEMORY_GOAL_MIB)}.\n"
            )


def _changes(result: dict[str, Any]) -> Iterable[str]:
    yield "## What one change costs tidegate itself\n"
    yield (
        f"No Envoy, no files; medians of {result['rounds']} runs of the median over {result['changes']} changes.\n"
        "*resolve*: decide on a changed object; *apply*: bring the Envoy resources up to date and make the responses;\n"
        "*outcome*: take the data plane's confirmation and make the final status. *route*: a route's weight changes;\n"
        "*endpoints*: a Service gets another endpoint.\n"
    )
    sizes = sorted({row["routes"] for row in result["results"]})
    header = ("shape, backends", "change", *(f"{size:,} routes" for size in sizes), f"ratio {sizes[-1]:,}:{sizes[0]}")
    rows: list[Sequence[object]] = []
    kept = []
    for (shape, backends), by_size in _grouped(result).items():
        for change in ("route", "endpoints"):
            for step in ("resolve", "apply", "outcome", "total"):
                values = [by_size[size]["times"][f"{change} {step}"]["p50"] for size in sizes]
                ratio = values[-1] / values[0]
                rows.append((f"{shape}, {backends}", f"{change} {step}", *map(_ms, values), f"{ratio:.1f}"))
                if step == "total" and backends == "own":
                    kept.append((f"{shape}, {change}", ratio))
    yield _table(header, rows)
    goals = "; ".join(f"{name} {ratio:.1f} {_verdict(ratio <= RATIO_GOAL)}" for name, ratio in kept)
    yield f"Goal: ratio of the total at most {RATIO_GOAL:.0f} (own backends): {goals}.\n"
    yield (
        "With shared backends in the spread shape, an endpoint of one Service belongs to an eighth of all routes, so\n"
        "that an eighth of Envoy's endpoint resources really changes: this grows with the routes by its nature.\n"
    )


def _file_edits(result: dict[str, Any]) -> Iterable[str]:
    yield "## An edit inside one file that holds everything\n"
    yield (
        f"From the changed file to the changed object; median over {result['edits']} edits. Unchanged documents are\n"
        "not parsed again, but the file is read, split and compared as a whole, and this grows with its size.\n"
    )
    sizes = sorted({row["routes"] for row in result["results"]})
    rows = []
    ratios = []
    for (shape, backends), by_size in _grouped(result).items():
        values = [by_size[size]["times"]["edit"]["p50"] for size in sizes]
        ratios.append(values[-1] / values[0])
        rows.append((f"{shape}, {backends}", *map(_ms, values), f"{ratios[-1]:.1f}"))
    yield _table(("shape, backends", *(f"{size:,} routes" for size in sizes), f"ratio {sizes[-1]:,}:{sizes[0]}"), rows)
    yield f"Goal: ratio at most {RATIO_GOAL:.0f}: {_verdict(max(ratios) <= RATIO_GOAL)}.\n"


def _cold(result: dict[str, Any]) -> Iterable[str]:
    yield "## Cold start inside the controller\n"
    yield "Without starting Python and Envoy: *decode* the file, *decide*, *translate* to Envoy resources.\n"
    rows = [
        (f"{row['shape']}, {row['backends']}", row["routes"], *(_ms(row["cold"][step]) for step in _COLD))
        for row in result["results"]
    ]
    yield _table(("shape, backends", "routes", *_COLD), rows)


def _cluster_routes(result: dict[str, Any]) -> Iterable[str]:
    yield "## Many routes at once\n"
    yield (
        "One replica of the controller, which has to provide for the Gateways as well; only one of them has a proxy.\n"
        "*up*: from the last TCPRoute created until the right `attachedRoutes` stand in every status; *down*: from\n"
        "the last one deleted until they are zero. Writes: of Gateway statuses while routes were created. Time of\n"
        "processors and memory are the controller's, until every route has its status.\n"
    )
    header = ("shape", "routes", "listeners", "Gateways", "up", "down", "Gateway writes", "processor time", "memory")
    rows = [
        (
            row["shape"], f"{row['routes']:,}", f"{row['listeners']:,}", row["gateways"], f"{row['up']:.2f} s",
            f"{row['down']:.2f} s", f"{row['gateway writes']:.0f}", f"{row['cpu']:.1f} s", f"{row['memory']:.0f} MiB",
        )
        for row in result["attach"]
    ]  # fmt: skip
    yield _table(header, rows)
    times = ", ".join(f"{row['shape']} {_verdict(row['up'] <= ATTACH_GOAL_S)}" for row in result["attach"])
    yield f"Goal: up within {ATTACH_GOAL_S:.0f} s: {times}.\n"


def _cluster_propagation(result: dict[str, Any]) -> Iterable[str]:
    found = result["propagation"]
    mean, worst = found["mean"], found["worst"]
    yield "## From TCPRoute to traffic\n"
    yield (
        "From asking the API server to create a TCPRoute until the first byte of its backend has come through the\n"
        f"Gateway's port, {found['count']} times one after another: mean {_ms(mean)}, p50 {_ms(found['p50'])},\n"
        f"p99 {_ms(found['p99'])}, worst {_ms(worst)}.\n"
    )
    for name, value, goal in (("mean", mean, PROPAGATION_GOAL_MS), ("worst", worst, WORST_GOAL_MS)):
        yield f"Goal: {name} at most {goal} ms: {_verdict(value * 1e3 <= goal)}.\n"


def _cluster_changes(result: dict[str, Any]) -> Iterable[str]:
    yield "## One change\n"
    yield (
        "A route gets another backend: from asking the API server until that one answers, and the controller's\n"
        "processor time for it. The other routes are there, attached, and have statuses. *stored*: p50 of the time\n"
        "until the API server has answered, which is part of it.\n"
    )
    header = ("shape", "routes", "stored", "p50", "p99", "processor time", "memory")
    yield _table(
        header,
        [
            (
                row["shape"], f"{row['routes']:,}", _ms(row["stored"]), _ms(row["p50"]), _ms(row["p99"]),
                _ms(row["cpu"]), f"{row['memory']:.0f} MiB",
            )
            for row in result["changes"]
        ],
    )  # fmt: skip
    for shape in dict.fromkeys(row["shape"] for row in result["changes"]):
        rows = [row for row in result["changes"] if row["shape"] == shape]
        ratio = rows[-1]["p50"] / rows[0]["p50"]
        memory = rows[-1]["memory"]
        yield (
            f"{shape}: p50 at {rows[-1]['routes']:,} routes to that at {rows[0]['routes']:,}: {ratio:.1f} "
            f"({_verdict(ratio <= RATIO_GOAL)}, goal {RATIO_GOAL:.0f}); memory at most {MEMORY_GOAL_MIB:.0f} MiB: "
            f"{_verdict(memory <= MEMORY_GOAL_MIB)}.\n"
        )


_COLD = ("decode", "decide", "translate")


def _grouped(result: dict[str, Any]) -> dict[tuple[str, str], dict[int, dict[str, Any]]]:
    found: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for row in result["results"]:
        found.setdefault((row["shape"], row["backends"]), {})[row["routes"]] = row
    return found


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1e3
    return f"{milliseconds:.3f} ms" if milliseconds < 1 else f"{milliseconds:.1f} ms"


def _verdict(met: bool) -> str:  # noqa: FBT001
    return "met" if met else "**missed**"


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


if __name__ == "__main__":
    main()
