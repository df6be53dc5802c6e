"""The outcome of ``check`` as a value, and its text. Pure.

Comes in: state, diagnostics, findings and hints. Goes out: text for people, or a structure for programs,
and the exit status.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from tidegate.admin.objects import ApiObject, condition, namespace_of, path_of
from tidegate.admin.view import ListenerView, Problem, State, problem_of
from tidegate.cli.hints.inventory import Hint
from tidegate.cli.hints.parents import parent_conditions
from tidegate.cli.listeners import share_text
from tidegate.cli.tables import parent_text
from tidegate.model.diagnostics import Diagnostic, Severity


class Result(enum.Enum):
    """What ``check`` found, in the words that programs read."""

    CLEAN = "clean"
    NOT_ACCEPTED = "notAccepted"
    UNREADABLE = "unreadable"


EXIT_STATUS = {Result.CLEAN: 0, Result.NOT_ACCEPTED: 1, Result.UNREADABLE: 2}


class Verdict(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``problems`` are those of the input and of the decision; ``objects`` have their statuses."""

    result: Result
    problems: tuple[Problem, ...]
    hints: tuple[Hint, ...]
    listeners: tuple[ListenerView, ...]
    objects: tuple[ApiObject, ...]


def verdict(
    state: State, said: Sequence[Diagnostic], hints: tuple[Hint, ...], *, readable: bool, strict: bool
) -> Verdict:
    """All of it together; with ``strict`` a warning counts like an error."""
    severities = {item.severity for item in said}
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    result = Result.NOT_ACCEPTED if severities & bad else Result.CLEAN
    return Verdict(
        result=result if readable else Result.UNREADABLE,
        problems=tuple(problem_of(item) for item in sorted(dict.fromkeys(said), key=_gravity)),
        hints=hints,
        listeners=state.listeners,
        objects=state.objects,
    )


def _gravity(item: Diagnostic) -> int:
    return list(Severity).index(item.severity)


def text_of(found: Verdict) -> str:
    """The whole verdict for people: what will be, then what is wrong, then what to do about it."""
    sections = [
        list(_decisions(found)),
        [problem_text(item) for item in found.problems],
        [hint.text for hint in found.hints],
        [_summary(found)],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def problem_text(item: Problem) -> str:
    """``file:line: path: message``, then the object; the severity where it is not an error."""
    place = f"{item.file}:{item.line}" if item.line else item.file
    severity = "" if item.severity == "error" else f"{item.severity}: "
    about = f" ({item.object})" if item.object else ""
    return ": ".join(part for part in (place, item.path, f"{severity}{item.message}{about}") if part)


def _decisions(found: Verdict) -> Iterator[str]:
    listeners: dict[tuple[str, str], ListenerView] = {(item.gateway, item.listener): item for item in found.listeners}
    for item in found.objects:
        if item["kind"] == "Gateway":
            yield from _gateway(item, listeners)
        elif item["kind"].endswith("Route"):
            yield from _route(item)


def _gateway(gateway: ApiObject, listeners: dict[tuple[str, str], ListenerView]) -> Iterator[str]:
    yield f"Gateway {path_of(gateway)}  class {gateway['spec']['gatewayClassName']}: {_gateway_standing(gateway)}"
    statuses = {entry["name"]: entry for entry in gateway.get("status", {}).get("listeners", [])}
    for listener in gateway["spec"]["listeners"]:
        entry = statuses.get(listener["name"])
        if entry is None:
            continue
        yield f"  listener {listener['name']}  {listener['protocol']} {listener['port']}: {_conditions(entry)}"
        view = listeners.get((path_of(gateway), listener["name"]))
        if view is not None and _holds(entry, "Accepted"):
            yield from _serving(view)


def _gateway_standing(gateway: ApiObject) -> str:
    status = gateway.get("status")
    if not status:
        return "not served"
    addresses = ", ".join(entry["value"] for entry in status.get("addresses", []))
    return _conditions(status) + (f" at {addresses}" if addresses and _holds(status, "Programmed") else "")


def _serving(view: ListenerView) -> Iterator[str]:
    if view.route is None:
        yield "    no route: every connection will be ended at once"
        return
    others = view.attached_routes - 1
    more = f"; {others} more attached, which it precedes" if others > 0 else ""
    yield f"    served by {view.route_kind} {view.route}{more}"
    total = sum(backend.weight for backend in view.backends)
    for backend in view.backends:
        count = f"{backend.endpoints} of {backend.total} endpoints" if backend.total != 1 else "1 endpoint"
        state = f"refused, {backend.refused}" if backend.refused else count
        yield f"      {share_text(backend.weight, total)} {backend.name}: {state}"


def _route(route: ApiObject) -> Iterator[str]:
    yield f"{route['kind']} {path_of(route)}"
    for reference in route["spec"].get("parentRefs", []):
        place = f"{reference['kind'] if reference.get('kind', 'Gateway') != 'Gateway' else 'parent'}"
        own = {key: value for key, value in reference.items() if key != "namespace" or value != namespace_of(route)}
        conditions = parent_conditions(route, reference)
        yield f"  {place} {parent_text(own)}: {_conditions({'conditions': conditions}) if conditions else 'no effect'}"


def _conditions(entry: dict[str, Any]) -> str:
    """``Accepted, ResolvedRefs``, and what does not hold with its reason: ``not Accepted (NoMatchingParent)``."""
    parts = []
    for item in sorted(entry.get("conditions", []), key=_rank):
        if item["status"] == "True":
            parts.append(item["type"])
        else:
            parts.append(f"not {item['type']} ({item['reason']})")
    return ", ".join(parts)


def _rank(item: dict[str, Any]) -> tuple[int, str]:
    order = ("Accepted", "ResolvedRefs", "Programmed")
    kind = str(item["type"])
    return (order.index(kind) if kind in order else len(order), kind)


def _holds(entry: dict[str, Any], kind: str) -> bool:
    found = condition(entry.get("conditions", []), kind)
    return found is not None and found["status"] == "True"


def _summary(found: Verdict) -> str:
    counts = Counter(item.severity for item in found.problems)
    said = _counted((counts[name], name) for name in ("error", "warning", "note"))
    gateways = sum(item["kind"] == "Gateway" for item in found.objects)
    routes = sum(str(item["kind"]).endswith("Route") for item in found.objects)
    what = (
        _counted([(gateways, "Gateway"), (len(found.listeners), "listener"), (routes, "route")]) or "nothing to serve"
    )
    return f"{what}: {said or 'no problems'}"


def _counted(pairs: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in pairs if count)
