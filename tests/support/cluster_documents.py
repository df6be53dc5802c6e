"""Valid documents that, together, have every field of their kinds, and documents for rules over several
fields: what `cluster_edits` cannot make of one field alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from support.documents import (
    GATEWAY,
    GATEWAY_CLASS,
    GATEWAY_PARAMETERS,
    REFERENCE_GRANT,
    TCP_ROUTE,
    TLS_GATEWAY,
    Document,
    edited,
)

SELECTOR = {
    "matchLabels": {"example.com/team": "a"},
    "matchExpressions": [{"key": "example.com/role", "operator": "In", "values": ["edge", "core"]}],
}

FULL_GATEWAY_CLASS = edited(
    edited(GATEWAY_CLASS, "spec.description", "Layer 4"),
    "spec.parametersRef",
    {"group": "tidegate.dev", "kind": "GatewayParameters", "namespace": "infra", "name": "defaults"},
)

FULL_GATEWAY: Document = {
    **TLS_GATEWAY,
    "spec": {
        **TLS_GATEWAY["spec"],
        "listeners": [
            {
                "name": "tls",
                "port": 443,
                "protocol": "TLS",
                "hostname": "*.example.com",
                "tls": {
                    "mode": "Terminate",
                    "certificateRefs": [{"group": "", "kind": "Secret", "name": "cert", "namespace": "infra"}],
                    "options": {"example.com/minimum": "1.3"},
                },
                "allowedRoutes": {
                    "namespaces": {"from": "Selector", "selector": SELECTOR},
                    "kinds": [{"group": "gateway.networking.k8s.io", "kind": "TCPRoute"}],
                },
            }
        ],
        "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}],
        "allowedListeners": {"namespaces": {"from": "Selector", "selector": SELECTOR}},
        "tls": {
            "backend": {
                "clientCertificateRef": {"group": "", "kind": "Secret", "name": "client", "namespace": "infra"}
            },
            "frontend": {
                "default": {
                    "validation": {
                        "mode": "AllowValidOnly",
                        "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca", "namespace": "infra"}],
                    }
                },
                "perPort": [
                    {
                        "port": 443,
                        "tls": {
                            "validation": {
                                "mode": "AllowInsecureFallback",
                                "caCertificateRefs": [
                                    {"group": "", "kind": "ConfigMap", "name": "ca", "namespace": "infra"}
                                ],
                            }
                        },
                    }
                ],
            },
        },
    },
}

FULL_TCP_ROUTE: Document = {
    **TCP_ROUTE,
    "spec": {
        "parentRefs": [
            {
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "namespace": "infra",
                "name": "gw",
                "sectionName": "foo",
                "port": 8080,
            }
        ],
        "rules": [
            {
                "name": "only",
                "backendRefs": [
                    {"group": "", "kind": "Service", "namespace": "apps", "name": "svc", "port": 6000, "weight": 3}
                ],
            }
        ],
    },
}

FULL_REFERENCE_GRANT = edited(REFERENCE_GRANT, "spec.to.0.name", "svc")

FULL_DOCUMENTS: tuple[Document, ...] = (
    FULL_GATEWAY_CLASS,
    FULL_GATEWAY,
    edited(FULL_TCP_ROUTE, "spec.parentRefs.1", {"name": "other"}),
    FULL_REFERENCE_GRANT,
    GATEWAY_PARAMETERS,
)
"""One of each kind, in its newest version."""

EXPERIMENTAL_FIELDS: dict[str, dict[str, Any]] = {
    "Gateway": {"spec.defaultScope": "All"},
    "TCPRoute": {"spec.useDefaultGateways": "All"},
}
"""Fields that only the experimental channel has."""

_TLS: tuple[Document | None, ...] = (
    None,
    {},
    {"mode": "Passthrough"},
    {"mode": "Terminate"},
    {"certificateRefs": [{"name": "cert"}]},
    {"mode": "Terminate", "options": {"example.com/a": "b"}},
    {"mode": "Passthrough", "certificateRefs": [{"name": "cert"}]},
)
_PARENTS = (
    {"name": "gw"},
    {"name": "gw", "namespace": "apps"},
    {"name": "gw", "namespace": "infra"},
    {"name": "gw", "sectionName": "a"},
    {"name": "gw", "sectionName": ""},
    {"name": "gw", "sectionName": "b"},
    {"name": "gw", "port": 1},
    {"name": "gw", "port": 2},
    {"name": "gw", "sectionName": "a", "port": 1},
    {"name": "gw", "kind": "Service", "group": ""},
    {"name": "other"},
)
_ADDRESSES: tuple[Document, ...] = (
    {},
    {"value": "192.0.2.1"},
    {"type": "IPAddress", "value": "192.0.2.1"},
    {"value": "2001:db8::1"},
    {"value": "2001:db8:0::1"},
    {"type": "Hostname", "value": "a.example"},
    {"type": "Hostname", "value": "192.0.2.1"},
    {"type": "Hostname"},
    {"type": "example.com/own", "value": "192.0.2.1"},
)
_LISTENERS = (
    {"name": "a", "port": 1, "protocol": "TCP"},
    {"name": "b", "port": 1, "protocol": "TCP"},
    {"name": "c", "port": 1, "protocol": "UDP"},
    {"name": "d", "port": 1, "protocol": "HTTP"},
    {"name": "e", "port": 1, "protocol": "HTTP", "hostname": "a.example"},
    {"name": "f", "port": 1, "protocol": "HTTP", "hostname": "*.example"},
    {"name": "g", "port": 2, "protocol": "TCP"},
)
_BACKENDS = (
    {"name": "svc"},
    {"name": "svc", "port": 1},
    {"name": "svc", "kind": "Service", "group": "example.com"},
    {"name": "svc", "kind": "Other"},
    {"name": "svc", "kind": "Other", "group": "example.com", "port": 1},
)


def combinations() -> Iterator[Document]:
    """Documents for every rule of the CRDs over several fields."""
    for protocol, tls, hostname in itertools.product(
        ("TCP", "UDP", "TLS", "HTTP", "HTTPS", "example.com/own"), _TLS, (None, "a.example")
    ):
        listener = {"name": "a", "port": 1, "protocol": protocol, "tls": tls, "hostname": hostname}
        yield edited(GATEWAY, "spec.listeners", [listener])
    for listeners in itertools.combinations_with_replacement(_LISTENERS, 2):
        yield edited(GATEWAY, "spec.listeners", list(listeners))
    for addresses in itertools.combinations_with_replacement(_ADDRESSES, 2):
        yield edited(GATEWAY, "spec.addresses", list(addresses))
    for parents in itertools.combinations_with_replacement(_PARENTS, 2):
        yield edited(TCP_ROUTE, "spec.parentRefs", list(parents))
    for backends in itertools.combinations_with_replacement(_BACKENDS, 2):
        yield edited(TCP_ROUTE, "spec.rules.0.backendRefs", list(backends))
    for names in ((None, None), ("a", None), ("a", "b"), ("a", "a")):
        rules = [{"name": name, "backendRefs": [{"name": "svc", "port": 1}]} for name in names]
        yield edited(TCP_ROUTE, "spec.rules", rules)
