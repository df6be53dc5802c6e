"""kubectl-like tables: columns per kind, and plain text in aligned columns. Pure.

Comes in: API objects with their status. Goes out: text without colours or boxes, made for eyes and for
``awk``. A kind without columns of its own shows name and age.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tidegate.admin.objects import ApiObject, condition, name_of, namespace_of
from tidegate.model.kinds import Kind

NONE = "<none>"
UNKNOWN = "<unknown>"


class Column(msgspec.Struct, frozen=True):
    """A heading, and the text of an object below it. ``wide`` columns show with ``-o wide`` only."""

    heading: str
    text: Callable[[ApiObject], str]
    wide: bool = False


def align(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines, columns padded to their widest text, three spaces apart. The first row has headings."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    lines = ["   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "".join(f"{line}\n" for line in lines)


def table(
    kind: Kind, items: Sequence[ApiObject], *, now: dt.datetime, wide: bool = False, namespaces: bool = False
) -> str:
    """The objects of a kind; ``namespaces`` puts their namespace in front."""
    columns = [column for column in columns_of(kind, now) if wide or not column.wide]
    if namespaces and kind.namespaced:
        columns.insert(0, Column("NAMESPACE", namespace_of))
    return align(
        [[column.heading for column in columns], *([column.text(item) for column in columns] for item in items)]
    )


def columns_of(kind: Kind, now: dt.datetime) -> list[Column]:
    """The columns of a kind: its name, its own ones, its age."""
    own = _COLUMNS.get(kind.plural, _ROUTE_COLUMNS if kind.kind.endswith("Route") else [])
    narrow = [column for column in own if not column.wide]
    wide = [column for column in own if column.wide]
    return [Column("NAME", name_of), *narrow, Column("AGE", lambda item: age(item, now)), *wide]


def age(item: ApiObject, now: dt.datetime) -> str:
    """The time since creation in one or two units, as kubectl shows it."""
    created = item["metadata"].get("creationTimestamp")
    if not created:
        return UNKNOWN
    moment = created if isinstance(created, dt.datetime) else dt.datetime.fromisoformat(str(created))
    return duration((now - moment).total_seconds())


def duration(seconds: float) -> str:
    """``45s``, ``3m10s``, ``25m``, ``5h12m``, ``26h``, ``3d4h``, ``45d``."""
    total = max(0, int(seconds))
    days, hours, minutes = total // 86400, total // 3600, total // 60
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    return _two(days, "d", hours % 24, "h") if days < 8 else f"{days}d"


def _two(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first}{unit}{second}{smaller}" if second else f"{first}{unit}"


def status_of(item: ApiObject, kind: str) -> str:
    """The status of a condition: ``True``, ``False`` or ``Unknown``."""
    found = condition(item.get("status", {}).get("conditions", []), kind)
    return str(found["status"]) if found else "Unknown"


def _parents_status(kind: str) -> Callable[[ApiObject], str]:
    """True when it holds for all parents, else the reason of the first for which it does not."""

    def text(item: ApiObject) -> str:
        found = [condition(entry["conditions"], kind) for entry in item.get("status", {}).get("parents", [])]
        known = [entry for entry in found if entry]
        bad = next((entry for entry in known if entry["status"] != "True"), None)
        return str(bad["reason"]) if bad else ("True" if known else "Unknown")

    return text


def _spec(*path: str) -> Callable[[ApiObject], str]:
    def text(item: ApiObject) -> str:
        value: Any = item.get("spec", {})
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return NONE if value in (None, "") else str(value)

    return text


def _joined(parts: Sequence[str]) -> str:
    return ",".join(parts) or NONE


def _addresses(item: ApiObject) -> str:
    return _joined([entry["value"] for entry in item.get("status", {}).get("addresses", [])])


def _listeners(item: ApiObject) -> str:
    return _joined([f"{entry['name']}:{entry['port']}/{entry['protocol']}" for entry in item["spec"]["listeners"]])


def _parents(item: ApiObject) -> str:
    return _joined([parent_text(entry) for entry in item["spec"].get("parentRefs", [])])


def parent_text(reference: dict[str, Any]) -> str:
    """``gateway``, ``gateway/listener``, ``gateway:port``, with the namespace where the reference has one."""
    place = f"{reference['namespace']}/" if reference.get("namespace") else ""
    section = f"/{reference['sectionName']}" if reference.get("sectionName") else ""
    port = f":{reference['port']}" if reference.get("port") else ""
    return f"{place}{reference['name']}{section}{port}"


def _backends(item: ApiObject) -> str:
    references = [entry for rule in item["spec"].get("rules", [])[:1] for entry in rule.get("backendRefs", [])]
    several = len(references) > 1
    return _joined([_backend(entry, several=several) for entry in references])


def _backend(reference: dict[str, Any], *, several: bool) -> str:
    place = f"{reference['namespace']}/" if reference.get("namespace") else ""
    port = f":{reference['port']}" if reference.get("port") else ""
    weight = f"={reference.get('weight', 1)}" if several else ""
    return f"{place}{reference['name']}{port}{weight}"


def _ports(item: ApiObject) -> str:
    return _joined([f"{entry['port']}/{entry.get('protocol', 'TCP')}" for entry in item["spec"].get("ports", [])])


def _slice_ports(item: ApiObject) -> str:
    return _joined([str(entry["port"]) for entry in item.get("ports") or [] if entry.get("port")])


def _slice_endpoints(item: ApiObject) -> str:
    return _joined([address for entry in item.get("endpoints") or [] for address in entry["addresses"]])


def _service_of(item: ApiObject) -> str:
    return str(item["metadata"].get("labels", {}).get("kubernetes.io/service-name", NONE))


def _grant_side(side: str) -> Callable[[ApiObject], str]:
    def text(item: ApiObject) -> str:
        parts = []
        for entry in item["spec"][side]:
            place = f"{entry['namespace']}/" if entry.get("namespace") else ""
            parts.append(f"{place}{entry['kind']}" + (f"/{entry['name']}" if entry.get("name") else ""))
        return _joined(parts)

    return text


def _attached(item: ApiObject) -> str:
    return str(sum(entry["attachedRoutes"] for entry in item.get("status", {}).get("listeners", [])))


_ROUTE_COLUMNS = [
    Column("PARENTS", _parents),
    Column("ACCEPTED", _parents_status("Accepted")),
    Column("RESOLVEDREFS", _parents_status("ResolvedRefs")),
    Column("BACKENDS", _backends, wide=True),
]

_COLUMNS: dict[str, list[Column]] = {
    "gateways": [
        Column("CLASS", _spec("gatewayClassName")),
        Column("ADDRESS", _addresses),
        Column("PROGRAMMED", lambda item: status_of(item, "Programmed")),
        Column("ACCEPTED", lambda item: status_of(item, "Accepted"), wide=True),
        Column("ROUTES", _attached, wide=True),
        Column("LISTENERS", _listeners, wide=True),
    ],
    "gatewayclasses": [
        Column("CONTROLLER", _spec("controllerName")),
        Column("ACCEPTED", lambda item: status_of(item, "Accepted")),
        Column("DESCRIPTION", _spec("description"), wide=True),
    ],
    "gatewayparameters": [Column("REPLICAS", _spec("replicas")), Column("SERVICE", _spec("service", "type"))],
    "services": [Column("TYPE", _spec("type")), Column("PORT(S)", _ports)],
    "endpointslices": [
        Column("ADDRESSTYPE", lambda item: str(item.get("addressType", UNKNOWN))),
        Column("PORTS", _slice_ports),
        Column("ENDPOINTS", _slice_endpoints),
        Column("SERVICE", _service_of, wide=True),
    ],
    "referencegrants": [Column("FROM", _grant_side("from")), Column("TO", _grant_side("to"))],
    "namespaces": [Column("STATUS", lambda item: str(item.get("status", {}).get("phase", "Active")))],
}
"""The columns between name and age, by plural."""
