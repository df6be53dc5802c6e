"""Writes ``docs/data-planes.md``, its plot, and the tables in the README from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import figures
from dataplanes import limits
from dataplanes.hosts import ADDRESSES
from dataplanes.limits import ALONE, DIRECT, REFERENCES

TARGET = Path(__file__).parents[2] / "docs" / "data-planes.md"
README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- written by make bench-dataplanes -->\n", "<!-- end -->\n"
PLOT = "data-planes.svg"

QUIET_LOAD = 0.3
"""Processors kept busy by other work."""
_MIB, _MS = 2**20, 1e3
_RATES = (
    ("new connections/s", "new connections"),
    ("requests/s, 1 conn.", "requests, 1 connection"),
    ("requests/s, 64 conn.", "requests, 64 connections"),
    ("requests/s, 512 conn.", "requests, 512 connections"),
    ("bulk, 1 stream(s) B/s", "bulk, 1 stream"),
    ("bulk, 4 stream(s) B/s", "bulk, 4 streams"),
)
"""Columns where more is better, with their names for people."""
_TIMES = (
    ("connect p50", "connect p50"), ("connect p99", "connect p99"),
    ("requests/s, 1 conn. p50", "1 conn. p50"), ("requests/s, 1 conn. p99", "1 conn. p99"),
    ("requests/s, 64 conn. p50", "64 conn. p50"), ("requests/s, 64 conn. p99", "64 conn. p99"),
    ("requests/s, 512 conn. p50", "512 conn. p50"), ("requests/s, 512 conn. p99", "512 conn. p99"),
)  # fmt: skip
_COSTS = (
    ("machine", "machine"), ("generator", "generator"), ("backend", "backend"), ("plane", "plane's processes"),
    ("rest", "rest"),
)  # fmt: skip
"""Whose processor time a GB takes, with names for people."""

_OPENING = """\
# Data planes side by side

Written by `make bench-dataplanes`, which anyone with root on Linux can run; every figure comes from that one run. Read
the ratios: absolute rates depend on the machine, and client, gateway and backend share its processors.

![Rates as a share of direct routing]({plot})

*direct* is the same two hosts with nothing but routing between them. *direct-tracked* is that with connection tracking,
without which the kernel can translate nothing, and *nftables-by-hand* the least set of rules that does what a gateway
is for: what the kernel plane takes beyond these is tidegate's. Each plane has a gateway host of its own in a
network namespace; a value is the median of {rounds} rounds in which the planes take turns, with {seconds:g} s for each
sample. The client has {addresses} addresses. Requests and new connections come from wrk (a thread for each address)
against nginx, bulk from iperf3 (a process for each stream), connects from a Python client. Client and backend each have
half of the processors to themselves, as hosts would, and a plane may use all. So it is with what they receive: as with
the queues of a network card, a gateway's packets are spread over all processors (receive packet steering). The run took
{minutes:.0f} minutes.
"""


def write(result: Mapping[str, Any], target: Path) -> None:
    """The page at ``target``, the plot beside it."""
    medians = _medians(result["values"])
    plot(medians, target.with_name(PLOT))
    parts = [
        _OPENING.format(plot=PLOT, addresses=ADDRESSES, minutes=result["took"] / 60, **result["effort"]),
        _where(result),
        "## Rates\n\nIn brackets: the share of *direct*.\n",
        _rates(medians),
        *limits.section(medians, _RATES, table),
        "## Without packet steering\n",
        _unsteered(_medians(result["unsteered"])),
        "## Times\n",
        _times(medians),
        "## What it costs\n",
        *_idle(result),
        *_per_gigabyte(medians),
        "## Connections while the configuration changes\n",
        _survival(result),
        *_control_plane(figures.load("controlplane")),
    ]
    target.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    print(f"written: {target}")
    if target == TARGET:
        _update_readme(medians, _medians(result["unsteered"]))


def _medians(values: Mapping[str, Mapping[str, Sequence[float]]]) -> limits.Medians:
    return {
        plane: {column: figures.median(rounds) for column, rounds in columns.items()}
        for plane, columns in values.items()
    }


def _update_readme(medians: limits.Medians, unsteered: limits.Medians) -> None:
    """Exchange the tables between the two marks."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{README} has no place for the table, between {BEGIN.strip()} and {END.strip()}")
    shown = f"{_summary(medians)}\nWithout steering of packets:\n\n{_summary(unsteered)}"
    README.write_text(f"{before}{BEGIN}{shown}{END}{after}", encoding="utf-8")
    print(f"written: {README}")


def _summary(medians: limits.Medians) -> str:
    """The shares of real planes alone."""
    rows = [
        (plane, *(f"{columns[column] / medians[DIRECT][column]:.2f}" for column, _ in _RATES))
        for plane, columns in medians.items()
        if plane not in REFERENCES
    ]
    return table(("share of direct routing", *(name for _, name in _RATES)), rows)


def plot(medians: limits.Medians, target: Path) -> None:
    """Bars of every rate as a share of direct routing."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "tidegate"  # The same figures give the same file.
    from matplotlib import pyplot as plt

    shown = [plane for plane in medians if plane not in REFERENCES]
    figure, axes = plt.subplots(figsize=(10, 4.5), layout="constrained")
    width = 0.8 / len(shown)
    for number, plane in enumerate(shown):
        shares = [medians[plane][column] / medians[DIRECT][column] for column, _ in _RATES]
        places = [place + (number - (len(shown) - 1) / 2) * width for place in range(len(_RATES))]
        axes.bar(places, shares, width, label=plane)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(_RATES)), [name.replace(", ", "\n") for _, name in _RATES])
    axes.set_ylabel("share of direct routing")
    axes.legend(ncols=len(shown), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def _where(result: Mapping[str, Any]) -> str:
    machine = figures.machine()
    versions = [(plane, version) for plane, version in result["versions"].items() if plane != DIRECT]
    text = "## Where\n\n" + table(("what", "here"), [*machine.items(), *versions])
    load = f"{text}\nProcessors that other work kept busy when it began: {result['load']:.1f}.\n"
    warning = "\n**That is too much for figures to rely on: run it again on a quiet machine.**\n"
    return load + (warning if result["load"] > QUIET_LOAD else "")


def _rates(medians: limits.Medians) -> str:
    rows = []
    for plane, columns in medians.items():
        cells = [plane]
        for column, _ in _RATES:
            value = columns[column]
            shown = _shown(column, value)
            cells.append(shown if plane in {ALONE, DIRECT} else f"{shown} ({value / medians[DIRECT][column]:.2f})")
        rows.append(cells)
    return table(("plane", *(name for _, name in _RATES)), rows)


def _shown(column: str, value: float) -> str:
    return f"{value / _MIB:,.0f} MiB/s" if column.startswith("bulk") else f"{value:,.0f}/s"


def _unsteered(medians: limits.Medians) -> str:
    """The rates as shares of direct routing that steers no packets either."""
    rows = []
    for plane, columns in medians.items():
        cells = [
            _shown(column, columns[column]) if plane == DIRECT else f"{columns[column] / medians[DIRECT][column]:.2f}"
            for column, _ in _RATES
        ]
        rows.append((plane, *cells))
    return (
        "The same once more with what a pair of virtual interfaces does by itself, as between containers of one host:\n"
        "each packet is handed on in the context of whoever sent it, through all three hosts. To receive then costs a\n"
        "host next to nothing, so the rest of a gateway's work, most of all tracking of connections, weighs more; and\n"
        "one processor does most of it, while proxies use both. Shares of *direct* without steering.\n\n"
        + table(("plane", *(name for _, name in _RATES)), rows)
    )


def _times(medians: limits.Medians) -> str:
    rows = [(plane, *(f"{columns[column] * _MS:.2f} ms" for column, _ in _TIMES)) for plane, columns in medians.items()]
    return (
        "*connect*: from an idle client until the backend's first byte; with *one host* that is what client and\n"
        "backend take themselves. The others: one request, at full rate.\n\n"
        + table(("plane", *(name for _, name in _TIMES)), rows)
    )


def _idle(result: Mapping[str, Any]) -> Iterator[str]:
    effort = result["effort"]
    yield (
        f"Idle connections: what {effort['idle']:,} of them take beyond none at all, held for {effort['hold']:g} s,\n"
        "told for 10,000. Memory: of the plane's processes and of connection tracking. Processor time in one second\n"
        "of holding them: of the plane's processes, a controller included, and of the whole machine, with the\n"
        "kernel's; the machine's clock is too coarse for single milliseconds.\n"
    )
    rows = [
        (
            plane, f"{found['memory'] * 10_000 / _MIB:.1f} MiB",
            *(f"{max(0.0, found[part]) * 10_000 * _MS:.1f} ms" for part in ("processes", "machine")),
        )
        for plane, found in result["idle"].items()
    ]  # fmt: skip
    yield table(("plane", "memory", "processes' CPU per second", "machine's CPU per second"), rows)


def _per_gigabyte(medians: limits.Medians) -> Iterator[str]:
    yield (
        "Bulk, 1 stream: processor time in seconds per GB, by who used it. The kernel's work for a plane is booked to\n"
        "whoever just ran there, so *more than direct*, of the whole machine, is what a plane costs.\n"
    )
    direct = medians[DIRECT]["machine s/GB"]
    rows = []
    for plane, columns in medians.items():
        more = "" if plane in {ALONE, DIRECT} else f"{columns['machine s/GB'] - direct:.2f}"
        rows.append((plane, *(f"{columns[f'{part} s/GB']:.2f}" for part, _ in _COSTS), more))
    yield table(("plane", *(name for _, name in _COSTS), "more than direct"), rows)


def _survival(result: Mapping[str, Any]) -> str:
    rows = [
        (plane, *(f"{found[column]:,.0f}" for column in ("kept", "broken", "new", "failed")))
        for plane, found in result["survival"].items()
        if plane not in REFERENCES
    ]
    text = table(("plane", "kept", "broken", "new connections meanwhile", "of these failed"), rows)
    return (
        f"{result['effort']['changes']} changes of all weights, ten a second, the way each program's manual asks for,\n"
        f"and long-lived connections that speak twenty times a second.\n\n{text}"
    )


def _control_plane(result: Mapping[str, Any] | None) -> Iterator[str]:
    """What a change costs both planes; nothing when that was never measured."""
    if result is None:
        return
    yield "## What a change costs\n"
    yield (
        "`bench/controlplane.py`, each figure from a process of its own. The plane alone: from handing it everything,\n"
        "or one changed weight, until that is confirmed; *CPU* is that of tidegate's process.\n"
    )
    yield table(
        ("plane", "listeners", "load", "CPU of it", "one change p50", "p99", "CPU of it"),
        [
            (
                row["plane"], f"{row['listeners']:,}", f"{row['load']:.2f} s", f"{row['load cpu']:.2f} s",
                *(f"{row[name] * _MS:.1f} ms" for name in ("p50", "p99", "cpu")),
            )
            for row in result["planes"]
        ],
    )  # fmt: skip
    yield (
        "`tidegate run`: from an edited file, of two, until a new connection reaches the other backend; from the\n"
        "start of the process until it is ready; memory of the controller.\n"
    )
    yield table(
        ("plane", "listeners", "edit to traffic p50", "p99", "ready", "memory"),
        [
            (
                row["plane"], f"{row['listeners']:,}", *(f"{row[name] * _MS:.1f} ms" for name in ("p50", "p99")),
                f"{row['ready']:.1f} s", f"{row['memory']:.0f} MiB",
            )
            for row in result["instances"]
        ],
    )  # fmt: skip


def table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
