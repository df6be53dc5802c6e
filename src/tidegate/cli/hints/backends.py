"""Hints about where a route's connections go: Services, their ports, grants and endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tidegate.admin.objects import ApiObject, group_of, namespace_of, refused_for
from tidegate.cli.hints.inventory import Hint, Inventory, did_you_mean, listing, title
from tidegate.model.corev1 import SERVICE_NAME_LABEL

_EXAMPLE_ADDRESS = "127.0.0.1:7001"

_GRANT = """\
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata:
  name: allow-{route}
  namespace: {target}
spec:
  from:
  - group: {group}
    kind: {kind}
    namespace: {namespace}
  to:
  - group: ""
    kind: Service
    name: {service}
"""


class Reference(msgspec.Struct, frozen=True):
    """A backendRef with its defaults filled in; ``port`` 0: none."""

    namespace: str
    name: str
    port: int

    @property
    def flag(self) -> str:
        """What ``--backend`` would look like for it."""
        place = "" if self.namespace == "default" else f".{self.namespace}"
        port = f":{self.port}" if self.port else ""
        return f"--backend {self.name}{place}{port}={_EXAMPLE_ADDRESS}"


def backend_hints(route: ApiObject, inventory: Inventory, granted: GrantTable) -> Iterator[Hint]:
    """What to say about each backendRef of a route that is not resolved."""
    if "ResolvedRefs" not in _failures(route):
        return
    for reference in _references(route):
        if reference.namespace != namespace_of(route) and not granted.allows(route, reference):
            yield _missing_grant(route, reference)
        else:
            message = _unresolved(route, reference, inventory)
            if message:
                yield Hint(object=title(route), message=message)


class GrantTable:
    """Which references across namespaces the ReferenceGrants of the input permit."""

    def __init__(self, objects: tuple[ApiObject, ...]) -> None:
        self._grants = [item for item in objects if item["kind"] == "ReferenceGrant"]

    def allows(self, route: ApiObject, reference: Reference) -> bool:
        """Whether a route may refer to a Service of another namespace."""
        wanted = (group_of(route), route["kind"], namespace_of(route))
        return any(
            namespace_of(grant) == reference.namespace
            and any((item["group"], item["kind"], item["namespace"]) == wanted for item in grant["spec"]["from"])
            and any(
                (item["group"], item["kind"]) == ("", "Service") and item.get("name") in (None, "", reference.name)
                for item in grant["spec"]["to"]
            )
            for grant in self._grants
        )


def endpoint_hints(route: ApiObject, inventory: Inventory, granted: GrantTable) -> Iterator[Hint]:
    """Services that a route that serves may use, and nothing says where they run."""
    if "Accepted" in _failures(route):
        return
    for reference in _references(route):
        allowed = reference.namespace == namespace_of(route) or granted.allows(route, reference)
        service = inventory.find("Service", reference.namespace, reference.name)
        if not allowed or service is None or _unresolved(route, reference, inventory):
            continue
        if not inventory.has_slice(reference.namespace, reference.name) and _carries(route, service, reference.port):
            yield Hint(object=title(service), message=_without_endpoints(reference, inventory))


def _without_endpoints(reference: Reference, inventory: Inventory) -> str:
    slices = f"an EndpointSlice with the label {SERVICE_NAME_LABEL}: {reference.name}"
    if inventory.in_cluster:
        return f"nothing says where it runs: its selector finds no Pods, or it has none and lacks {slices}"
    if inventory.is_unresolved("Service", reference.namespace, reference.name):
        return f"the name of its host does not resolve: correct it, or give the address, as in '{reference.flag}'"
    return f"nothing says where it runs: use '{reference.flag}', or '--dns' to resolve its name, or add {slices}"


def _carries(route: ApiObject, service: ApiObject, port: int) -> bool:
    """Whether a port of a Service has the transport protocol of a route; endpoints help nobody otherwise."""
    wanted = route["kind"].removesuffix("Route")
    transport = wanted if wanted == "UDP" else "TCP"
    ports: list[Mapping[str, Any]] = service["spec"].get("ports", [])
    return any((item["port"], item.get("protocol", "TCP")) == (port, transport) for item in ports)


def _failures(route: ApiObject) -> set[str]:
    parents = route.get("status", {}).get("parents", [])
    kinds = ("Accepted", "ResolvedRefs")
    return {kind for entry in parents for kind in kinds if refused_for(entry.get("conditions", []), kind)}


def _references(route: ApiObject) -> Iterator[Reference]:
    for rule in route["spec"].get("rules", [])[:1]:
        for item in rule.get("backendRefs", []):
            if (item.get("group", ""), item.get("kind", "Service")) == ("", "Service"):
                yield Reference(item.get("namespace") or namespace_of(route), item["name"], item.get("port") or 0)


def _missing_grant(route: ApiObject, reference: Reference) -> Hint:
    name = route["metadata"]["name"]
    return Hint(
        object=title(route),
        message=f"Service {reference.name} is in another namespace, which has to permit the reference; add this:",
        paste=_GRANT.format(
            route=name[:200],
            target=reference.namespace,
            group=group_of(route),
            kind=route["kind"],
            namespace=namespace_of(route),
            service=reference.name,
        ),
    )


def _unresolved(route: ApiObject, reference: Reference, inventory: Inventory) -> str:
    service = inventory.find("Service", reference.namespace, reference.name)
    if service is None:
        return _no_service(route, reference, inventory)
    ports: list[Mapping[str, Any]] = service["spec"].get("ports", [])
    if service["spec"].get("type") == "ExternalName":
        instead = "" if inventory.in_cluster else f", or delete its document and use '{reference.flag}' or '--dns'"
        return (
            f"Service {reference.namespace}/{reference.name} has the type ExternalName, which is not supported: make "
            f"it a plain Service (remove 'type: ExternalName'){instead}"
        )
    if reference.port not in [item["port"] for item in ports]:
        known = f"its ports are {listing([item['port'] for item in ports])}" if ports else "it has no ports"
        return f"Service {reference.namespace}/{reference.name} has no port {reference.port}; {known}"
    return ""


def _no_service(route: ApiObject, reference: Reference, inventory: Inventory) -> str:
    if inventory.is_rejected("Service", reference.namespace, reference.name):
        return f"Service {reference.namespace}/{reference.name} is invalid, and so not in force"
    message = f"there is no Service {reference.name} in namespace {reference.namespace}"
    elsewhere = inventory.namespaces_with("Service", reference.name)
    if elsewhere and reference.namespace == namespace_of(route):
        return (
            f"{message}, but one in {listing(elsewhere)}: add 'namespace: {elsewhere[0]}' to the backendRef, "
            f"and a ReferenceGrant there"
        )
    suggestion = did_you_mean(reference.name, inventory.names("Service", reference.namespace))
    if inventory.in_cluster:
        return f"{message}; {suggestion}" if suggestion.startswith("did") else message
    guess = f"{message}; {suggestion} " if suggestion.startswith("did") else f"{message}. "
    return f"{guess}To say where it runs: '{reference.flag}'"
