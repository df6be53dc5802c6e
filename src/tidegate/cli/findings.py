"""What of a decision is not as its author wants it, each with its place in the input. Pure.

Comes in: the state of ``check``, and where fields of objects stand in files. Goes out: diagnostics: an
error for what is not accepted, not resolved or not programmed, a warning for what works but probably
not as meant, a note for what is none of our business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tidegate.admin.objects import ApiObject, condition, group_of, name_of, namespace_of
from tidegate.admin.view import State
from tidegate.cli.hints.inventory import inventory_of
from tidegate.cli.hints.parents import parent_conditions
from tidegate.model.diagnostics import Diagnostic, Location, Severity
from tidegate.names import GATEWAY_GROUP, ObjectKey

FieldPath = tuple[str | int, ...]
Origin = Callable[[ObjectKey, FieldPath], Location | None]

_WITHOUT_FILE = Location("command line")


def findings_of(state: State, origin: Origin) -> tuple[Diagnostic, ...]:
    """Everything there is to say about the objects, in input order, without repetitions."""
    return tuple(dict.fromkeys(_Findings(state, origin).all()))


class _Findings:
    def __init__(self, state: State, origin: Origin) -> None:
        self._state = state
        self._origin = origin
        self._inventory = inventory_of(state)

    def all(self) -> Iterator[Diagnostic]:
        for item in self._inventory.of_kind("GatewayClass"):
            yield from self._failures(item, item.get("status", {}).get("conditions", []), ("spec",))
        for gateway in self._inventory.of_kind("Gateway"):
            yield from self._gateway(gateway) if gateway.get("status") else self._foreign(gateway)
        for route in self._inventory.routes():
            yield from self._route(route)
        yield from self._refused_shares()

    def _gateway(self, gateway: ApiObject) -> Iterator[Diagnostic]:
        status = gateway["status"]
        failures = {entry["name"]: list(self._listener(gateway, entry)) for entry in status.get("listeners", [])}
        listed = [finding for found in failures.values() for finding in found]
        if not listed:
            # Otherwise these would only say again that some listener is not valid.
            yield from self._failures(gateway, status.get("conditions", []), ("spec",))
        else:
            own = [item for item in status.get("conditions", []) if item["reason"] not in _SUMMARIES]
            yield from self._failures(gateway, own, ("spec",))
        yield from listed

    def _listener(self, gateway: ApiObject, entry: dict[str, Any]) -> Iterator[Diagnostic]:
        names = [listener["name"] for listener in gateway["spec"]["listeners"]]
        if entry["name"] in names:
            path = ("spec", "listeners", names.index(entry["name"]))
            yield from self._failures(gateway, entry.get("conditions", []), path)

    def _foreign(self, gateway: ApiObject) -> Iterator[Diagnostic]:
        name = gateway["spec"]["gatewayClassName"]
        found = self._inventory.find("GatewayClass", "", name)
        controller = f", which belongs to the controller {found['spec']['controllerName']}" if found else ""
        yield self._say(
            Severity.NOTE, gateway, ("spec", "gatewayClassName"), f"not served: its class is {name}{controller}"
        )

    def _route(self, route: ApiObject) -> Iterator[Diagnostic]:
        references = route["spec"].get("parentRefs", [])
        if not references:
            yield self._say(Severity.WARNING, route, ("spec",), "it names no parentRefs, so it attaches to nothing")
        for index, reference in enumerate(references):
            path = ("spec", "parentRefs", index)
            conditions = parent_conditions(route, reference)
            if not conditions:
                yield from self._without_status(route, reference, path)
            for item in conditions:
                place: FieldPath = path if item["type"] == "Accepted" else ("spec", "rules", 0, "backendRefs")
                yield from self._failures(route, [item], place)

    def _without_status(self, route: ApiObject, reference: dict[str, Any], path: FieldPath) -> Iterator[Diagnostic]:
        """A parent that is not ours, or is not there."""
        namespace = reference.get("namespace") or namespace_of(route)
        kind = reference.get("kind", "Gateway")
        if (reference.get("group", GATEWAY_GROUP), kind) != (GATEWAY_GROUP, "Gateway"):
            message = f"the parent {kind} {namespace}/{reference['name']} is not one that tidegate serves"
            yield self._say(Severity.WARNING, route, path, message)
        elif self._inventory.find("Gateway", namespace, reference["name"]) is None:
            invalid = self._inventory.is_rejected(kind, namespace, reference["name"])
            what = "is invalid, and so not in force" if invalid else "does not exist"
            message = f"the parent Gateway {namespace}/{reference['name']} {what}"
            yield self._say(Severity.ERROR, route, path, message)
        else:
            message = f"the parent Gateway {namespace}/{reference['name']} is not served"
            yield self._say(Severity.NOTE, route, path, message)

    def _refused_shares(self) -> Iterator[Diagnostic]:
        """Backends that exist but have no endpoint: accepted and resolved, and yet nothing answers."""
        routes = {
            (route["kind"], f"{namespace_of(route)}/{name_of(route)}"): route for route in self._inventory.routes()
        }
        for listener in self._state.listeners:
            route = routes.get((listener.route_kind or "", listener.route or ""))
            if route is None or any(_is_false(item, "ResolvedRefs") for item in _all_conditions(route)):
                continue
            for index, backend in enumerate(listener.backends):
                if backend.refused and backend.weight:
                    message = f"connections to {backend.name} will be refused: {backend.refused}"
                    path = ("spec", "rules", 0, "backendRefs", index)
                    yield self._say(Severity.WARNING, route, path, message)

    def _failures(self, item: ApiObject, conditions: list[dict[str, Any]], path: FieldPath) -> Iterator[Diagnostic]:
        accepted = condition(conditions, "Accepted")
        for found in conditions:
            severity = _severity(found)
            implied = found["type"] == "Programmed" and accepted is not None and accepted["status"] != "True"
            if severity is not None and not implied and found["type"] != "Conflicted":
                message = f"{found['type']} is {found['status']} ({found['reason']}): {found['message']}"
                yield self._say(severity, item, path, message)

    def _say(self, severity: Severity, item: ApiObject, path: FieldPath, message: str) -> Diagnostic:
        key = ObjectKey(group_of(item), item["kind"], namespace_of(item), name_of(item))
        return Diagnostic(
            severity=severity,
            location=self._origin(key, path) or _WITHOUT_FILE,
            object=key,
            path=path_text(path),
            message=message,
        )


_SUMMARIES = {"ListenersNotValid", "Invalid"}
"""Reasons of Gateway conditions that only sum up what its listeners say themselves."""


def _severity(found: dict[str, Any]) -> Severity | None:
    match found["type"], found["status"]:
        case "PartiallyInvalid", "True":
            return Severity.WARNING
        case "PartiallyInvalid" | "Conflicted", _:
            return None
        case "Accepted", "True" if found["reason"] != "Accepted":
            return Severity.WARNING
        case _, "True":
            return None
        case _:
            return Severity.ERROR


def _all_conditions(route: ApiObject) -> Iterator[dict[str, Any]]:
    for entry in route.get("status", {}).get("parents", []):
        yield from entry.get("conditions", [])


def _is_false(found: dict[str, Any], kind: str) -> bool:
    return bool(found["type"] == kind and found["status"] == "False")


def path_text(path: FieldPath) -> str:
    """``spec.listeners[0].port``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
