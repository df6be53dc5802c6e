"""Hints about where a route attaches: Gateways, listeners, ports, permitted kinds and namespaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidegate.admin.objects import ApiObject, group_of, namespace_of, path_of, refused_for
from tidegate.cli.hints.inventory import Hint, Inventory, did_you_mean, listing, nearest, title
from tidegate.names import GATEWAY_GROUP


def parent_hints(route: ApiObject, inventory: Inventory) -> Iterator[Hint]:
    """What to say about each parentRef of a route that has no effect."""
    references = route["spec"].get("parentRefs", [])
    if not references:
        yield Hint(object=title(route), message="it has no parentRefs, so it attaches to nothing: name a Gateway there")
    for reference in references:
        if reference.get("kind", "Gateway") != "Gateway" or reference.get("group", GATEWAY_GROUP) != GATEWAY_GROUP:
            message = f"parentRef {reference['name']} is a {reference.get('kind')}; routes attach to a Gateway"
        else:
            message = _about(route, reference, inventory)
        if message:
            yield Hint(object=title(route), message=message)


def _about(route: ApiObject, reference: Mapping[str, Any], inventory: Inventory) -> str:
    namespace = reference.get("namespace") or namespace_of(route)
    gateway = inventory.find("Gateway", namespace, reference["name"])
    if gateway is None:
        return _no_gateway(reference["name"], namespace, inventory)
    if not gateway.get("status"):
        return _foreign(gateway, inventory)
    match refused_for(parent_conditions(route, reference), "Accepted"):
        case "NoMatchingParent":
            return _no_listener(reference, gateway)
        case "NotAllowedByListeners":
            return _not_allowed(route, reference, gateway)
        case _:
            return ""


def parent_conditions(route: ApiObject, reference: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conditions for a parentRef of a route; empty when there is no status for it."""
    wanted = _identity(reference)
    for entry in route.get("status", {}).get("parents", []):
        if _identity(entry["parentRef"]) == wanted:
            found: list[dict[str, Any]] = entry.get("conditions", [])
            return found
    return []


def _identity(reference: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(reference.get(field) for field in ("namespace", "name", "sectionName", "port"))


def _no_gateway(name: str, namespace: str, inventory: Inventory) -> str:
    if inventory.is_rejected("Gateway", namespace, name):
        return f"Gateway {namespace}/{name} is invalid, and so not in force"
    elsewhere = inventory.namespaces_with("Gateway", name)
    if elsewhere:
        return (
            f"there is no Gateway {name} in namespace {namespace}, but one in {listing(elsewhere)}: "
            f"add 'namespace: {elsewhere[0]}' to the parentRef"
        )
    suggestion = did_you_mean(name, inventory.names("Gateway", namespace))
    return f"there is no Gateway {name} in namespace {namespace}" + (f"; {suggestion}" if suggestion else "")


def _foreign(gateway: ApiObject, inventory: Inventory) -> str:
    class_name = gateway["spec"]["gatewayClassName"]
    found = inventory.find("GatewayClass", "", class_name)
    if found is None:
        return ""
    controller = found["spec"]["controllerName"]
    message = f"Gateway {path_of(gateway)} is not served: its class {class_name} belongs to the controller {controller}"
    return message if inventory.in_cluster else f"{message}; '--controller-name {controller}' serves it"


def _no_listener(reference: Mapping[str, Any], gateway: ApiObject) -> str:
    listeners = gateway["spec"]["listeners"]
    name, port = reference.get("sectionName"), reference.get("port")
    named = next((item for item in listeners if item["name"] == name), None)
    path = path_of(gateway)
    if name is not None and named is None:
        suggestion = did_you_mean(name, [item["name"] for item in listeners])
        return f"Gateway {path} has no listener {name}; {suggestion}"
    if named is not None and port is not None:
        return (
            f"listener {name} of Gateway {path} has port {named['port']}, not {port}: leave out 'port', or correct it"
        )
    ports = sorted({item["port"] for item in listeners})
    return f"Gateway {path} has no listener with port {port}; its ports are {listing(ports)}"


def _not_allowed(route: ApiObject, reference: Mapping[str, Any], gateway: ApiObject) -> str:
    relevant = [
        item
        for item in gateway["spec"]["listeners"]
        if reference.get("sectionName") in (None, item["name"]) and reference.get("port") in (None, item["port"])
    ]
    takes = [item for item in relevant if takes_kind(item, gateway, route)]
    if not takes:
        return _kind_not_allowed(route, relevant, gateway)
    return _namespace_not_allowed(route, takes[0], gateway)


def takes_kind(listener: Mapping[str, Any], gateway: ApiObject, route: ApiObject) -> bool:
    """Whether the listener's status says that it takes routes of this kind."""
    for entry in gateway["status"].get("listeners", []):
        if entry["name"] == listener["name"]:
            return any(
                kind["kind"] == route["kind"] and kind.get("group", GATEWAY_GROUP) == group_of(route)
                for kind in entry.get("supportedKinds", [])
            )
    return False


def _kind_not_allowed(route: ApiObject, listeners: list[dict[str, Any]], gateway: ApiObject) -> str:
    described = [
        f"{item['name']} ({item['protocol']}{_kinds(item)})"
        for item in sorted(listeners, key=lambda item: item["name"])
    ]
    return (
        f"no listener of Gateway {path_of(gateway)} that it refers to takes a {route['kind']}: {listing(described)}; "
        f"check 'protocol' and 'allowedRoutes.kinds' there"
    )


def _kinds(listener: Mapping[str, Any]) -> str:
    kinds = [item["kind"] for item in listener.get("allowedRoutes", {}).get("kinds", [])]
    return f", only {listing(kinds)}" if kinds else ""


def _namespace_not_allowed(route: ApiObject, listener: Mapping[str, Any], gateway: ApiObject) -> str:
    allowed = listener.get("allowedRoutes", {}).get("namespaces", {})
    where = f"listener {listener['name']} of Gateway {path_of(gateway)}"
    if allowed.get("from") == "Selector":
        return (
            f"{where} takes routes of namespaces whose labels match {_selector(allowed.get('selector'))}, and those of "
            f"Namespace {namespace_of(route)} do not: label the Namespace, or widen the selector"
        )
    return (
        f"{where} only takes routes of its own namespace {namespace_of(gateway)}, and this one is in "
        f"{namespace_of(route)}: set 'allowedRoutes.namespaces.from: All' there, or use Selector"
    )


def _selector(selector: Mapping[str, Any] | None) -> str:
    labels = [f"{key}={value}" for key, value in (selector or {}).get("matchLabels", {}).items()]
    rules = [
        f"{rule['key']} {rule['operator']} {listing(rule.get('values', []))}".strip()
        for rule in (selector or {}).get("matchExpressions", [])
    ]
    return ", ".join(labels + rules) or "a selector that is missing (it matches nothing)"


def class_hints(gateway: ApiObject, inventory: Inventory) -> Iterator[Hint]:
    """A Gateway whose class is not served, or looks misspelt."""
    name = gateway["spec"]["gatewayClassName"]
    found = inventory.find("GatewayClass", "", name)
    guess = nearest(name, inventory.names("GatewayClass", ""))
    if found is None and (guess is not None or inventory.in_cluster):
        consequence = "nobody serves it" if inventory.in_cluster else "its settings are the defaults"
        question = f"; did you mean {guess}?" if guess is not None else ""
        message = f"there is no GatewayClass {name}, so {consequence}{question}"
        yield Hint(object=title(gateway), message=message)
    if found is not None and not gateway.get("status"):
        yield Hint(object=title(gateway), message=_foreign(gateway, inventory))
