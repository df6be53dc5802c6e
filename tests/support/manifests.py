"""Gateway API objects as users write them, and files that change the way editors change them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tidegate.names import CONTROLLER_NAME

Manifest = dict[str, Any]

GROUP = "gateway.networking.k8s.io"
PARAMETERS = {"group": "tidegate.dev", "kind": "GatewayParameters"}
"""The part of a ``parametersRef`` that is always the same."""


def listener(name: str, port: int, **fields: Any) -> Manifest:
    """A TCP listener."""
    return {"name": name, "protocol": "TCP", "port": port, **fields}


def gateway(
    name: str,
    listeners: Iterable[Manifest],
    *,
    namespace: str | None = None,
    class_name: str = "tidegate",
    created: str | None = None,
    **spec: Any,
) -> Manifest:
    """A Gateway."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gateway",
        "metadata": metadata(name, namespace, created),
        "spec": {"gatewayClassName": class_name, "listeners": list(listeners), **spec},
    }


def gateway_class(name: str = "tidegate", *, controller: str = CONTROLLER_NAME, **spec: Any) -> Manifest:
    """A GatewayClass, of ours unless another controller is given."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": controller, **spec},
    }


def parameters(name: str, *, namespace: str | None = None, **spec: Any) -> Manifest:
    """A GatewayParameters."""
    return {
        "apiVersion": f"{PARAMETERS['group']}/v1alpha1",
        "kind": PARAMETERS["kind"],
        "metadata": metadata(name, namespace, None),
        "spec": spec,
    }


def parent(name: str, **fields: Any) -> Manifest:
    """A parentRef; pass ``sectionName``, ``port``, ``namespace`` as needed."""
    return {"name": name, **fields}


def backend(name: str, port: int = 6000, **fields: Any) -> Manifest:
    """A backendRef; pass ``weight``, ``namespace`` as needed."""
    return {"name": name, "port": port, **fields}


def tcproute(
    name: str,
    parents: Iterable[Manifest],
    backends: Iterable[Manifest],
    *,
    namespace: str | None = None,
    version: str = "v1",
    created: str | None = None,
) -> Manifest:
    """A TCPRoute with one rule."""
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "TCPRoute",
        "metadata": metadata(name, namespace, created),
        "spec": {"parentRefs": list(parents), "rules": [{"backendRefs": list(backends)}]},
    }


def service(
    name: str, port: int = 6000, *, namespace: str | None = None, target_port: int | str | None = None
) -> Manifest:
    """A Service with one port."""
    row: Manifest = {"name": "main", "protocol": "TCP", "port": port}
    if target_port is not None:
        row["targetPort"] = target_port
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name, namespace, None),
        "spec": {"ports": [row]},
    }


def slice_of(
    service_name: str,
    addresses: Sequence[tuple[str, int]],
    *,
    namespace: str | None = None,
    name: str | None = None,
    conditions: Mapping[str, bool] | None = None,
) -> list[Manifest]:
    """EndpointSlices of a Service's port ``main``: one for each address family and target port that occurs."""
    kinds = sorted({(":" in address, port) for address, port in addresses})
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata(f"{name or service_name}-{port}{'-v6' if v6 else ''}", namespace, None)
            | {"labels": {"kubernetes.io/service-name": service_name}},
            "addressType": "IPv6" if v6 else "IPv4",
            "ports": [{"name": "main", "protocol": "TCP", "port": port}],
            "endpoints": [
                {"addresses": [address], "conditions": dict(conditions or {"ready": True})}
                for address, endpoint_port in addresses
                if (":" in address, endpoint_port) == (v6, port)
            ],
        }
        for v6, port in kinds
    ]


def grant(
    name: str,
    *,
    namespace: str,
    from_namespace: str,
    from_kind: str = "TCPRoute",
    to_name: str | None = None,
) -> Manifest:
    """A ReferenceGrant that lets routes of one namespace refer to Services of another."""
    to: Manifest = {"group": "", "kind": "Service"}
    if to_name is not None:
        to["name"] = to_name
    return {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": metadata(name, namespace, None),
        "spec": {"from": [{"group": GROUP, "kind": from_kind, "namespace": from_namespace}], "to": [to]},
    }


def metadata(name: str, namespace: str | None, created: str | None) -> Manifest:
    """An object's metadata; ``created`` is its creation timestamp, which decides its age."""
    fields: Manifest = {"name": name}
    if namespace is not None:
        fields["namespace"] = namespace
    if created is not None:
        fields["creationTimestamp"] = created
    return fields


def flat(documents: Iterable[Manifest | list[Manifest]]) -> list[Manifest]:
    """Documents, with the lists among them opened."""
    return [document for entry in documents for document in (entry if isinstance(entry, list) else [entry])]


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step, as careful editors and ``mv`` do."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def replace_in(path: Path, before: str, after: str) -> None:
    """Replace a text in a file, as an editor does that writes into the file itself."""
    path.write_text(path.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")


def write(path: Path, *documents: Manifest | list[Manifest]) -> None:
    """Replace a file by these documents in one step."""
    write_text(path, yaml.safe_dump_all(flat(documents), sort_keys=False))
