"""How listeners, their routes and backends are put into words and rows. Pure.

Used by ``status``, the demo and the live console, so that they say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidegate.admin.view import BackendTraffic, BackendView, ListenerView, State
from tidegate.cli.tables import align

_DEFAULT_NAMESPACE = "default/"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def short(path: str) -> str:
    """``namespace/name`` without the namespace when that is ``default``."""
    return path.removeprefix(_DEFAULT_NAMESPACE)


def listener_name(listener: ListenerView) -> str:
    """``gateway/listener``."""
    return f"{short(listener.gateway)}/{listener.listener}"


def port_text(listener: ListenerView) -> str:
    """``8080/TCP``."""
    return f"{listener.port}/{listener.protocol}"


def route_text(listener: ListenerView) -> str:
    """The route that serves, and how many others are attached."""
    if listener.route is None:
        return "<none>"
    others = listener.attached_routes - 1
    return f"{short(listener.route)} (+{others})" if others > 0 else short(listener.route)


def backend_lines(listener: ListenerView, *, wide: bool = False) -> list[str]:
    """One text per backend: share where there are several, usable and known endpoints, name; ``wide`` adds the
    counters where each backend has some.

    The numbers come first, because what is cut in a narrow view is the end.
    """
    total = sum(backend.weight for backend in listener.backends)
    lines = [_backend(backend, total, several=len(listener.backends) > 1) for backend in listener.backends]
    return [
        f"{line} {_backend_traffic(backend.traffic)}" if wide and backend.traffic is not None else line
        for line, backend in zip(lines, listener.backends, strict=True)
    ]


def _backend_traffic(traffic: BackendTraffic) -> str:
    return (
        f"({traffic.opened} opened, {traffic.refused} refused, {traffic.active} active, "
        f"{size_text(traffic.received)} received, {size_text(traffic.sent)} sent)"
    )


def _backend(backend: BackendView, total: int, *, several: bool) -> str:
    share = f"{share_text(backend.weight, total)} " if several else ""
    ready = "refused" if backend.refused and not backend.total else f"{backend.endpoints}/{backend.total}"
    return f"{share}{ready} {short(backend.name)}"


def share_text(weight: int, total: int) -> str:
    """The share of a weight in percent, as short as it is true: ``70%``, ``0.5%``, ``<0.1%``."""
    percent = 100 * weight / total if total else 0.0
    if percent == 0 or percent >= 10:
        return f"{percent:.3g}%"
    return f"{percent:.2g}%" if percent >= 0.1 else "<0.1%"


def size_text(count: int) -> str:
    """A number of bytes in a unit that leaves at most four digits."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return (
        f"{count} B" if unit == 0 else f"{value:.3g} {_UNITS[unit]}" if value < 1000 else f"{value:.0f} {_UNITS[unit]}"
    )


def listener_table(listeners: Sequence[ListenerView], *, wide: bool = False, counters: bool = True) -> str:
    """All listeners, one line per backend; ``wide`` adds addresses, and more counters where there are any."""
    shown = [column for column in _COLUMNS if (wide or not column.wide) and (counters or not column.counter)]
    rows = [["LISTENER", "PORT", "STATE", "ROUTE", "BACKENDS", *(column.heading for column in shown)]]
    for listener in listeners:
        backends = backend_lines(listener, wide=wide) or ["<none>"]
        first = [listener_name(listener), port_text(listener), listener.state, route_text(listener), backends[0]]
        rows.append(first + [column.text(listener) for column in shown])
        rows.extend(["", "", "", "", text, *[""] * len(shown)] for text in backends[1:])
    return align(rows)


class _Column(msgspec.Struct, frozen=True, kw_only=True):
    heading: str
    text: Callable[[ListenerView], str]
    wide: bool = True
    counter: bool = True


_COLUMNS = (
    _Column(heading="ACTIVE", text=lambda listener: str(listener.active), wide=False),
    _Column(heading="OPENED", text=lambda listener: str(listener.opened)),
    _Column(heading="REFUSED", text=lambda listener: str(listener.refused)),
    _Column(heading="RECEIVED", text=lambda listener: size_text(listener.received)),
    _Column(heading="SENT", text=lambda listener: size_text(listener.sent)),
    _Column(heading="ADDRESSES", text=lambda listener: ",".join(listener.addresses) or "<none>", counter=False),
)


def remarks(state: State) -> list[str]:
    """What is not as it should be, one sentence per thing, in the order of the listeners."""
    found = [state.instance.message] if state.instance.message else []
    for listener in state.listeners:
        name = listener_name(listener)
        if listener.message:
            found.append(f"listener {name}: {listener.message}")
        found.extend(
            f"listener {name}: connections to {short(backend.name)} are refused: {backend.refused}"
            for backend in listener.backends
            if backend.refused and backend.weight
        )
    # A warning is worth seeing here, too: a name that does not resolve is one, and so is a field that does not count.
    told = [problem for problem in state.problems if problem.severity in {"error", "warning"}]
    for problem in told:
        place = f"{problem.file}:{problem.line}" if problem.line else problem.file
        found.append(": ".join(part for part in (place, problem.path, problem.message) if part))
    return list(dict.fromkeys(found))
