"""YAML texts of small objects, and deadlines, for tests of what reads files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from tidegate.model.kinds import Resource
from tidegate.names import CORE_GROUP, DISCOVERY_GROUP, GATEWAY_GROUP, ObjectKey
from tidegate.sources.base import Batch

DEADLINE_S = 10.0
"""No wait of a test is longer."""

BROKEN = "kind: [unclosed\n"
"""A document that is no YAML."""


def route(name: str, *, port: object = 6000, service: str = "web", section: str = "foo", extra: str = "") -> str:
    """A TCPRoute with one backend; ``extra`` is put in as lines of their own at the end."""
    return (
        f"apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata:\n  name: {name}\nspec:\n"
        f"  parentRefs:\n  - name: gw\n    sectionName: {section}\n"
        f"  rules:\n  - backendRefs:\n    - name: {service}\n      port: {port}\n{extra}"
    )


def service(name: str, *, ports: str = "[{port: 6000}]") -> str:
    """A Service with the given ports."""
    return f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  ports: {ports}\n"


def endpoint_slice(name: str, *, of: str, port_name: str = "", port: int = 7000, address: str = "10.0.0.1") -> str:
    """An EndpointSlice of a Service with one endpoint."""
    return (
        f"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}\n"
        f"  labels: {{kubernetes.io/service-name: {of}}}\naddressType: IPv4\n"
        f"endpoints: [{{addresses: [{address}]}}]\nports: [{{name: '{port_name}', port: {port}}}]\n"
    )


def file_of(documents: Iterable[str]) -> str:
    """The documents as one file."""
    return "---\n".join(documents)


def route_key(name: str) -> ObjectKey:
    """The identity of a TCPRoute of the default namespace."""
    return ObjectKey(GATEWAY_GROUP, "TCPRoute", "default", name)


def service_key(name: str, namespace: str = "default") -> ObjectKey:
    """The identity of a Service."""
    return ObjectKey(CORE_GROUP, "Service", namespace, name)


def slice_key(name: str) -> ObjectKey:
    """The identity of an EndpointSlice of the default namespace."""
    return ObjectKey(DISCOVERY_GROUP, "EndpointSlice", "default", name)


def names(batch: Batch) -> dict[str, Resource | None]:
    """What a batch changes, by the object's name."""
    return {change.key.name: change.resource for change in batch.changes}


async def next_of(batches: AsyncIterator[Batch]) -> Batch:
    """The next batch, which has to come before the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        return await anext(batches)
