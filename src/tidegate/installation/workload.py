"""The controller's Deployment, how its Pods are reached, and how many may be missing."""

from __future__ import annotations

from typing import Any

from tidegate.installation.options import ADMIN_PORT, NAME, USER_ID, XDS_PORT, Options

SELECTOR = {"app.kubernetes.io/name": "tidegate", "app.kubernetes.io/component": "controller"}
"""The labels that select the controller's Pods; a Deployment's selector can never change."""

_TEMPORARY = "tmp"


def deployment(metadata: dict[str, Any], options: Options) -> dict[str, Any]:
    """The controller. A new replica serves before an old one ends, so that proxies always have one to turn to."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": options.replicas,
            "selector": {"matchLabels": SELECTOR},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": _pod(options)},
        },
    }


def _pod(options: Options) -> dict[str, Any]:
    placement = {
        "nodeSelector": dict(options.node_selector),
        "tolerations": [dict(item) for item in options.tolerations],
        "affinity": dict(options.affinity),
        "imagePullSecrets": [{"name": name} for name in options.pull_secrets],
    }
    return {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": True,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(options)],
        "volumes": [{"name": _TEMPORARY, "emptyDir": {"sizeLimit": "64Mi"}}],
        "topologySpreadConstraints": [
            _spread("topology.kubernetes.io/zone"),
            _spread("kubernetes.io/hostname"),
        ],
    } | {name: value for name, value in placement.items() if value}


def _container(options: Options) -> dict[str, Any]:
    container = {
        "name": "controller",
        "image": options.controller_image,
        "imagePullPolicy": options.pull_policy,
        "args": [
            "controller",
            "--namespace=$(POD_NAMESPACE)",
            f"--xds-port={XDS_PORT}",
            f"--xds-service={NAME}",
            f"--lease-name={NAME}",
            f"--proxy-image={options.data_plane_image}",
        ],
        "env": [
            _from_pod("POD_NAME", "metadata.name"),
            _from_pod("POD_NAMESPACE", "metadata.namespace"),
            _from_pod("POD_IP", "status.podIP"),
        ],
        "ports": [
            {"name": "xds", "containerPort": XDS_PORT, "protocol": "TCP"},
            {"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": _probe("/readyz", period=5, failures=2),
        "livenessProbe": _probe("/healthz", period=10, failures=6),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": _TEMPORARY, "mountPath": "/tmp"}],  # noqa: S108  A volume of the Pod's own.
    }
    return container | ({"resources": dict(options.resources)} if options.resources else {})


def _from_pod(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "admin"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _spread(topology_key: str) -> dict[str, Any]:
    """Replicas of one version apart where the cluster has room for that, and nowhere else than together if not."""
    return {
        "maxSkew": 1,
        "topologyKey": topology_key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": SELECTOR},
        "matchLabelKeys": ["pod-template-hash"],
    }


def service(metadata: dict[str, Any]) -> dict[str, Any]:
    """Where proxies find the controller, and monitoring its metrics."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": SELECTOR,
            "ports": [
                {"name": "xds", "port": XDS_PORT, "protocol": "TCP", "targetPort": "xds"},
                {"name": "metrics", "port": ADMIN_PORT, "protocol": "TCP", "targetPort": "admin"},
            ],
        },
    }


def disruption_budget(metadata: dict[str, Any]) -> dict[str, Any]:
    """One replica at a time may be evicted; with a single one too, for else no node could ever be drained."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": SELECTOR}},
    }
