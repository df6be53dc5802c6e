"""The Pods of a data plane: an Envoy that needs no privilege, and is not ended while it carries connections.

What is left out, and why:

* no listener port: ports come and go without a new Pod, and a container needs no declared port to listen;
* no liveness probe: to restart a proxy closes every connection that it carries, and a probe that is late on a busy
  node is no reason for that. A hanging Envoy is ended by its own watchdog, and one that ended is restarted. With no
  liveness probe to hold back there is nothing for a startup probe to do;
* nothing that depends on the number of replicas: to scale replaces no Pod.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from tidegate.fleet.metadata import labels, selector
from tidegate.plan.infrastructure import Infrastructure, ProxyContainer

CONFIGURATION_DIGEST: Final = "tidegate.dev/configuration-digest"
"""The template's annotation that replaces the Pods when the files change that a proxy reads once, when it starts.

Certificates are not among them: a proxy watches those.
"""

COMMAND: Final = "tidegate"
"""The entry point of the image, for commands that are run beside it."""

USER: Final = 65532
"""Nobody in particular, by a number, so that the kubelet can tell that it is not root."""

END_MARGIN: Final = 15
"""Seconds that a Pod has to end in after its drain time."""

_STATUS: Final = "status"
_RUN_SIZE: Final = "64Mi"
_READABLE_BY_GROUP: Final = 0o440
# Without any request, a Pod is the first to be evicted and the last to get time on a busy node.
_LEAST_RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "128Mi"}}


def template(infrastructure: Infrastructure, container: ProxyContainer, image: str) -> dict[str, Any]:
    """The template of a Deployment's Pods."""
    parameters = infrastructure.parameters
    spec: dict[str, Any] = {
        "serviceAccountName": infrastructure.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": parameters.drain_time + END_MARGIN,
        "securityContext": _pod_security(host_network=parameters.host_network),
        "containers": [_container(infrastructure, container, parameters.image or image)],
        "volumes": _volumes(infrastructure.name),
        "topologySpreadConstraints": [_spread_over_zones(infrastructure)],
        "affinity": _apart_from_each_other(infrastructure),
    }
    if parameters.host_network:
        spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    if parameters.node_selector:
        spec["nodeSelector"] = dict(parameters.node_selector)
    if parameters.tolerations:
        spec["tolerations"] = [dict(toleration) for toleration in parameters.tolerations]
    return {"metadata": _metadata(infrastructure, container), "spec": spec}


def _metadata(infrastructure: Infrastructure, container: ProxyContainer) -> dict[str, Any]:
    scraping = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(container.status_port),
        "prometheus.io/path": "/stats/prometheus",
    }
    return {
        "labels": labels(infrastructure),
        "annotations": {**scraping, **infrastructure.annotations, CONFIGURATION_DIGEST: _digest(container)},
    }


def _digest(container: ProxyContainer) -> str:
    content = "\0".join(f"{name}\0{text}" for name, text in sorted(container.files.items()))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _container(infrastructure: Infrastructure, container: ProxyContainer, image: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "name": "proxy",
        "image": image,
        "args": list(container.arguments),
        "env": [_from_status("POD_NAME", "metadata.name"), _from_status("POD_IPS", "status.podIPs")],
        "ports": [{"name": _STATUS, "containerPort": container.status_port, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": _STATUS},
            "periodSeconds": 2,
            "failureThreshold": 3,
        },
        "resources": dict(infrastructure.parameters.resources) or _LEAST_RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "configuration", "mountPath": container.configuration_directory, "readOnly": True},
            {"name": "certificates", "mountPath": container.certificates_directory, "readOnly": True},
            {"name": "run", "mountPath": container.run_directory},
        ],
    }
    if container.drain_arguments:
        spec["lifecycle"] = {"preStop": {"exec": {"command": [COMMAND, *container.drain_arguments]}}}
    return spec


def _from_status(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _pod_security(*, host_network: bool) -> dict[str, Any]:
    """What Pod Security's level ``restricted`` asks for. Ports below 1024 are the Pod's own to open.

    In the node's network they are the node's, and no Pod can change that.
    """
    security: dict[str, Any] = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if not host_network:
        security["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return security


def _volumes(name: str) -> list[dict[str, Any]]:
    """Whole directories, not single files of them: only those are brought up to date while the Pod runs."""
    return [
        {"name": "configuration", "configMap": {"name": name}},
        {"name": "certificates", "secret": {"secretName": name, "defaultMode": _READABLE_BY_GROUP}},
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": _RUN_SIZE}},
    ]


def _spread_over_zones(infrastructure: Infrastructure) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(infrastructure)},
        # Pods that a rolling update is about to remove do not count.
        "matchLabelKeys": ["pod-template-hash"],
    }


def _apart_from_each_other(infrastructure: Infrastructure) -> dict[str, Any]:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": selector(infrastructure)}}
    preferred = {"weight": 100, "podAffinityTerm": term}
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}}
