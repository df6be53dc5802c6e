"""What a Gateway's data plane is made of, as manifests. Pure: the same values always give the same objects.

In: the infrastructure that the decision planned, the container that the data plane wants to run, and the proxies'
credentials. Out: every object with exactly the fields that are ours, ready for server-side apply; whatever others
add stays theirs. The Pods are in `pod`, the Service in `service`, whose the objects are in `metadata`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from tidegate.fleet import kinds
from tidegate.fleet.credentials import Credentials, to_secret
from tidegate.fleet.kinds import GeneratedKind, Manifest
from tidegate.fleet.metadata import DIGEST, metadata, selector
from tidegate.fleet.pod import template
from tidegate.fleet.secretdata import encoded
from tidegate.fleet.service import service_spec
from tidegate.names import ACCESS_LOG_LABEL
from tidegate.plan.infrastructure import Infrastructure, ProxyContainer

_HISTORY = 3


def manifests(
    infrastructure: Infrastructure, container: ProxyContainer, credentials: Credentials, *, image: str, controller: str
) -> tuple[Manifest, ...]:
    """All objects of a Gateway's data plane, in the order in which they are created.

    ``image`` is the controller's own, for Gateways that choose none; ``controller`` is the name of the controller.
    """
    several = infrastructure.parameters.replicas > 1
    contents: dict[GeneratedKind, dict[str, Any]] = {
        # Proxies never speak to the API server.
        kinds.SERVICE_ACCOUNT: {"automountServiceAccountToken": False},
        kinds.CONFIG_MAP: {"data": dict(container.files)},
        kinds.SECRET: _secret(credentials),
        kinds.DEPLOYMENT: {"spec": _deployment(infrastructure, container, image)},
        kinds.SERVICE: {"spec": service_spec(infrastructure)},
        **({kinds.DISRUPTION_BUDGET: {"spec": _budget(infrastructure)}} if several else {}),
    }
    return tuple(_manifest(kind, infrastructure, controller, content) for kind, content in contents.items())


def _manifest(
    kind: GeneratedKind, infrastructure: Infrastructure, controller: str, content: dict[str, Any]
) -> Manifest:
    about = metadata(infrastructure, controller)
    if kind is kinds.SERVICE and infrastructure.parameters.access_log != "off":
        # Every replica sees the Service's labels, and remembers by them what was asked for.
        about["labels"][ACCESS_LOG_LABEL] = infrastructure.parameters.access_log
    body = {"apiVersion": kind.resource.api_version, "kind": kind.name, "metadata": about, **content}
    digest = hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()[:16]
    about["annotations"][DIGEST] = digest
    return Manifest(kind=kind, key=kind.key(about["namespace"], about["name"]), body=body, digest=digest)


def _secret(credentials: Credentials) -> dict[str, Any]:
    return {"type": "kubernetes.io/tls", "data": encoded(to_secret(credentials))}


def _deployment(infrastructure: Infrastructure, container: ProxyContainer, image: str) -> dict[str, Any]:
    return {
        "replicas": infrastructure.parameters.replicas,
        "revisionHistoryLimit": _HISTORY,
        "selector": {"matchLabels": selector(infrastructure)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": _rolling(infrastructure)},
        "template": template(infrastructure, container, image),
    }


def _rolling(infrastructure: Infrastructure) -> dict[str, int]:
    """A new Pod first, then an old one goes. In the node's network the old one has to leave its ports first."""
    if infrastructure.parameters.host_network:
        return {"maxSurge": 0, "maxUnavailable": 1}
    return {"maxSurge": 1, "maxUnavailable": 0}


def _budget(infrastructure: Infrastructure) -> dict[str, Any]:
    """One Pod at a time may be evicted; one that is not ready serves nobody, and may always."""
    return {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector(infrastructure)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
