"""Valid API documents, as a YAML parser returns them, and ways to change one field of them."""

from __future__ import annotations

import copy
from typing import Any, Final

Document = dict[str, Any]
Keys = tuple[str | int, ...]

ABSENT: Final = object()
"""As a new value: remove the field."""

GATEWAY_CLASS: Document = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "tide"},
    "spec": {"controllerName": "tidegate.dev/gateway-controller"},
}

GATEWAY: Document = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "gw", "namespace": "infra"},
    "spec": {
        "gatewayClassName": "tide",
        "listeners": [
            {"name": "foo", "port": 8080, "protocol": "TCP"},
            {"name": "bar", "port": 8090, "protocol": "TCP"},
        ],
    },
}

TLS_GATEWAY: Document = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "gw", "namespace": "infra"},
    "spec": {
        "gatewayClassName": "tide",
        "listeners": [
            {
                "name": "tls",
                "port": 443,
                "protocol": "TLS",
                "hostname": "example.com",
                "tls": {"mode": "Terminate", "certificateRefs": [{"name": "cert"}]},
            }
        ],
        "addresses": [{"value": "192.0.2.1"}],
        "infrastructure": {
            "labels": {"example.com/role": "edge"},
            "annotations": {"example.com/note": "anything at all"},
            "parametersRef": {"group": "tidegate.dev", "kind": "GatewayParameters", "name": "p"},
        },
        "allowedListeners": {"namespaces": {"from": "Same"}},
        "tls": {
            "backend": {"clientCertificateRef": {"name": "client"}},
            "frontend": {
                "default": {"validation": {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}},
                "perPort": [{"port": 443, "tls": {}}],
            },
        },
    },
}

GATEWAY_PARAMETERS: Document = {
    "apiVersion": "tidegate.dev/v1alpha1",
    "kind": "GatewayParameters",
    "metadata": {"name": "p", "namespace": "infra"},
    "spec": {
        "replicas": 2,
        "service": {"type": "LoadBalancer", "loadBalancerClass": "example.com/lb", "externalTrafficPolicy": "Local"},
        "pod": {
            "image": "registry.example.com/tidegate:1",
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": 1}},
            "nodeSelector": {"example.com/edge": "yes"},
            "tolerations": [
                {"key": "edge", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60}
            ],
            "hostNetwork": False,
        },
        "drainSeconds": 30,
        "accessLog": "json",
    },
}

TCP_ROUTE: Document = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "TCPRoute",
    "metadata": {"name": "route", "namespace": "apps"},
    "spec": {
        "parentRefs": [{"name": "gw", "sectionName": "foo"}],
        "rules": [{"backendRefs": [{"name": "svc", "port": 6000}]}],
    },
}

TCP_ROUTE_ALPHA: Document = {**TCP_ROUTE, "apiVersion": "gateway.networking.k8s.io/v1alpha2"}

REFERENCE_GRANT: Document = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "ReferenceGrant",
    "metadata": {"name": "grant", "namespace": "backends"},
    "spec": {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "TCPRoute", "namespace": "apps"}],
        "to": [{"group": "", "kind": "Service"}],
    },
}

NAMESPACE: Document = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "apps", "labels": {"kubernetes.io/metadata.name": "apps"}},
}

SERVICE: Document = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "svc", "namespace": "apps"},
    "spec": {"selector": {"app": "x"}, "ports": [{"name": "main", "port": 6000, "targetPort": 8080}]},
}

ENDPOINT_SLICE: Document = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "svc-1", "namespace": "apps", "labels": {"kubernetes.io/service-name": "svc"}},
    "addressType": "IPv4",
    "endpoints": [
        {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "nodeName": "n1"},
        {"addresses": ["10.0.0.2"]},
    ],
    "ports": [{"name": "main", "port": 8080}],
}

EVERY_KIND: tuple[Document, ...] = (
    GATEWAY_CLASS,
    GATEWAY,
    TLS_GATEWAY,
    GATEWAY_PARAMETERS,
    TCP_ROUTE,
    TCP_ROUTE_ALPHA,
    REFERENCE_GRANT,
    NAMESPACE,
    SERVICE,
    ENDPOINT_SLICE,
)


def keys_of(path: str) -> Keys:
    """``spec.listeners.0.port`` as keys: digits are list indexes."""
    return tuple(int(part) if part.isdigit() else part for part in path.split("."))


def edited(document: Document, path: str, value: object) -> Document:
    """A copy with one field set, or removed when ``value`` is ABSENT. Missing mappings are created; an
    index one past the end of a list appends.
    """
    changed = copy.deepcopy(document)
    *parents, last = keys_of(path)
    place: Any = changed
    for key in parents:
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    if value is ABSENT:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return changed
