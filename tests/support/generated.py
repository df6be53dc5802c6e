"""What a cluster makes of a Gateway's infrastructure: the Service with its addresses, the slices with its proxies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from support.manifests import Manifest, metadata
from tidegate.names import MANAGED_BY_LABEL, MANAGER


def generated_service(
    name: str, *, kind: str = "LoadBalancer", namespace: str = "default", ingress: Iterable[str] = (), **spec: Any
) -> Manifest:
    """The Service in front of a data plane; ``ingress`` are the load balancer's addresses and host names."""
    entries = [{"ip" if entry[0].isdigit() or ":" in entry else "hostname": entry} for entry in ingress]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name, namespace, None) | {"labels": {MANAGED_BY_LABEL: MANAGER}},
        "spec": {"type": kind, "ports": [{"name": "tcp-80", "port": 80}], **spec},
        "status": {"loadBalancer": {"ingress": entries}},
    }


def proxies(
    service: str, *addresses: str, namespace: str = "default", slice_name: str = "a", **fields: Any
) -> Manifest:
    """An EndpointSlice of a data plane's Service, with the conditions in ``fields`` for all of its proxies."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(f"{service}-{slice_name}", namespace, None)
        | {"labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv6" if any(":" in address for address in addresses) else "IPv4",
        "ports": [{"name": "tcp-80", "port": 80}],
        "endpoints": [{"addresses": [address], "conditions": fields or {"ready": True}} for address in addresses],
    }
