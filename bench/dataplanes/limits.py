"""What limited each rate: is it the plane, or who sends and answers the load? Pure.

In: medians by plane and column, with what ``measure`` says of who worked. Out: tables, and sentences that follow from
the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Medians = Mapping[str, Mapping[str, float]]

AWAKE_MOST = 0.9
"""A thread that is idle for less than the rest of the time is the limit itself: starting and ending take some, too."""
IDLE_LEAST = 0.1
"""Below this share, the processors are the limit."""
DIRECT, ALONE = "direct", "one host"
REFERENCES = (ALONE, DIRECT, "direct-tracked", "nftables-by-hand")
"""What is no plane, but tells where the time of planes goes."""
PARTS = ("generator", "backend", "plane")

_Columns = Sequence[tuple[str, str]]
"""Columns with their names for people."""


def section(medians: Medians, columns: _Columns, table: Callable[..., str]) -> Iterator[str]:
    """The proof, or the confession: paragraphs and tables."""
    yield "## What the limit was\n"
    yield (
        "*one host* has no network: what sends the load runs beside what answers it. More than that these two\n"
        "cannot do here.\n"
    )
    yield " ".join(sentences(medians, columns)) + "\n"
    yield (
        "How much of the time the busiest thread of *generator / backend / plane* ran or waited for a processor,\n"
        "in %. Bold: hardly ever did it wait for anybody else, so it was the limit.\n"
    )
    yield table(("", *(name for _, name in columns)), _rows(medians, columns, _awake))
    yield "Processor time, in % of the machine: *generator / backend / plane's processes / the rest*.\n"
    yield table(("", *(name for _, name in columns)), _rows(medians, columns, _used))
    yield (
        "The rest is what no process has, mostly the kernel's. But the kernel forwards in the time of whoever just\n"
        "ran on that processor: most of what routing and the kernel plane cost is in that of generator and backend.\n"
    )


def sentences(medians: Medians, columns: _Columns) -> Iterator[str]:
    """What follows from the figures, for people."""
    yield _headroom(medians, columns)
    generator = _cases(medians, columns, lambda found, column: _is_limit(found, "generator", column))
    if generator:
        yield f"**The generator was the limit** of {_listing(generator)}: there, a plane may do more than it shows."
    else:
        most = max(found[f"generator awake: {column}"] for _, found in _judged(medians) for column, _ in columns)
        yield f"The generator never was the limit: even its busiest thread was idle {1 - most:.0%} of the time or more."
    backend = _cases(medians, columns, lambda found, column: _is_limit(found, "backend", column))
    yield f"**The backend was the limit** of {_listing(backend)}." if backend else "The backend never was."
    busy = _cases(medians, columns, lambda found, column: found[f"idle: {column}"] < IDLE_LEAST)
    if busy:
        yield (
            f"The processors had less than {IDLE_LEAST:.0%} left with {_listing(busy)}: there, what a plane reaches is "
            "what its processor time allows beside generator and backend."
        )
    else:
        yield f"At least {IDLE_LEAST:.0%} of the processors were idle all the time."


def _headroom(medians: Medians, columns: _Columns) -> str:
    ratios = []
    for column, name in columns:
        fastest = max(found[column] for plane, found in _judged(medians) if plane != DIRECT)
        ratios.append((medians[ALONE][column] / fastest, name))
    (low, least), (high, most) = min(ratios), max(ratios)
    return f"They reach between {low:.1f} ({least}) and {high:.1f} times ({most}) what the fastest plane lets through."


def _judged(medians: Medians) -> Iterator[tuple[str, Mapping[str, float]]]:
    return ((plane, found) for plane, found in medians.items() if plane != ALONE)


def _is_limit(found: Mapping[str, float], part: str, column: str) -> bool:
    return found[f"{part} awake: {column}"] >= AWAKE_MOST


def _cases(
    medians: Medians, columns: _Columns, applies: Callable[[Mapping[str, float], str], bool]
) -> dict[str, list[str]]:
    """The planes that something applies to, by the column's name."""
    everybody = [plane for plane, _ in _judged(medians)]
    found = {name: [plane for plane, values in _judged(medians) if applies(values, column)] for column, name in columns}
    return {name: ["all"] if planes == everybody else planes for name, planes in found.items() if planes}


def _listing(cases: Mapping[str, Iterable[str]]) -> str:
    return "; ".join(f"*{name}* ({', '.join(planes)})" for name, planes in cases.items())


def _rows(
    medians: Medians, columns: _Columns, cell: Callable[[Mapping[str, float], str], str]
) -> list[tuple[str, ...]]:
    return [(plane, *(cell(found, column) for column, _ in columns)) for plane, found in medians.items()]


def _awake(found: Mapping[str, float], column: str) -> str:
    shown = []
    for part in PARTS:
        percent = f"{found[f'{part} awake: {column}'] * 100:.0f}"
        shown.append(f"**{percent}**" if _is_limit(found, part, column) else percent)
    return " / ".join(shown)


def _used(found: Mapping[str, float], column: str) -> str:
    whole = found[f"capacity: {column}"]
    return " / ".join(f"{found[f'{part} cpu: {column}'] / whole * 100:.0f}" for part in (*PARTS, "rest"))
