"""Every check of metadata, Namespace, Service and EndpointSlice, with valid and invalid neighbours."""

from __future__ import annotations

from typing import Any

import pytest

from support.documents import ABSENT, ENDPOINT_SLICE, NAMESPACE, SERVICE, TCP_ROUTE, edited
from support.verdicts import problem_paths, problem_texts
from tidegate.model.corev1 import Service
from tidegate.model.decode import Decoded, decode

BASES = {"route": TCP_ROUTE, "namespace": NAMESPACE, "service": SERVICE, "slice": ENDPOINT_SLICE}
PORTS = "spec.ports"
FIRST = "spec.ports.0"


def port(number: int, **more: object) -> dict[str, object]:
    """A port document."""
    return {"port": number, **more}


VALID: list[tuple[str, str, str, Any]] = [
    ("name-subdomain", "route", "metadata.name", "a.b-c.9"),
    ("name-253", "route", "metadata.name", "a" * 253),
    ("label-with-prefix", "route", "metadata.labels", {"example.com/Role_x": "A.b"}),
    ("label-value-empty", "route", "metadata.labels", {"a": ""}),
    ("annotation-key-upper-prefix", "route", "metadata.annotations", {"Example.com/a": "any\nthing"}),
    ("annotations-256-KiB", "route", "metadata.annotations", {"a": "x" * (256 * 1024 - 1)}),
    ("namespace-63", "namespace", "metadata.name", "n" * 63),
    ("namespace-spec", "namespace", "spec", {"finalizers": ["kubernetes"]}),
    ("service-name-starts-with-digit", "service", "metadata.name", "9svc"),
    ("service-one-port-without-name", "service", PORTS, [port(80)]),
    (
        "service-three-ports",
        "service",
        PORTS,
        [port(80, name="a"), port(80, name="b", protocol="UDP"), port(81, name="c")],
    ),
    ("service-headless-without-ports", "service", "spec", {"clusterIP": "None"}),
    ("service-external-name", "service", "spec", {"type": "ExternalName", "externalName": "db.example.com"}),
    ("service-external-name-with-final-dot", "service", "spec", {"type": "ExternalName", "externalName": "db."}),
    ("service-type", "service", "spec.type", "LoadBalancer"),
    ("service-type-empty", "service", "spec.type", ""),
    ("service-status", "service", "status", {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}),
    ("service-status-empty", "service", "status", {}),
    ("service-status-null", "service", "status", {"loadBalancer": None}),
    ("service-cluster-ips", "service", "spec.clusterIPs", ["10.96.0.1", "fd00::1"]),
    ("service-protocol-empty", "service", f"{FIRST}.protocol", ""),
    ("service-protocol-sctp", "service", f"{FIRST}.protocol", "SCTP"),
    ("service-target-name", "service", f"{FIRST}.targetPort", "http-8080"),
    ("service-target-0", "service", f"{FIRST}.targetPort", 0),
    ("service-target-empty", "service", f"{FIRST}.targetPort", ""),
    ("service-target-integral-float", "service", f"{FIRST}.targetPort", 8080.0),
    ("service-app-protocol", "service", f"{FIRST}.appProtocol", "kubernetes.io/ws"),
    ("slice-ipv6", "slice", "addressType", "IPv6"),
    ("slice-loopback", "slice", "endpoints.0.addresses", ["127.0.0.1"]),
    ("slice-addresses-100", "slice", "endpoints.0.addresses", [f"10.0.1.{n}" for n in range(100)]),
    ("slice-endpoints-1000", "slice", "endpoints", [{"addresses": ["10.0.0.1"]}] * 1000),
    ("slice-no-endpoints", "slice", "endpoints", ABSENT),
    ("slice-no-ports", "slice", "ports", ABSENT),
    ("slice-port-of-any-number", "slice", "ports.0.port", ABSENT),
    ("slice-unnamed-port", "slice", "ports.0.name", ABSENT),
    ("slice-named-and-unnamed-port", "slice", "ports.1", port(1)),
    ("slice-conditions-null", "slice", "endpoints.0.conditions", {"ready": None, "serving": True}),
]

INVALID: list[tuple[str, str, str, Any, str]] = [
    ("name-empty", "route", "metadata.name", "", "metadata.name"),
    ("name-upper", "route", "metadata.name", "A", "metadata.name"),
    ("name-254", "route", "metadata.name", "a" * 254, "metadata.name"),
    ("name-underscore", "slice", "metadata.name", "a_b", "metadata.name"),
    ("namespace-with-dot", "route", "metadata.namespace", "a.b", "metadata.namespace"),
    ("namespace-64", "route", "metadata.namespace", "a" * 64, "metadata.namespace"),
    ("namespace-number", "route", "metadata.namespace", 5, "metadata.namespace"),
    ("label-key", "route", "metadata.labels", {"-a": ""}, "metadata.labels['-a']"),
    ("label-value", "route", "metadata.labels", {"a": "b c"}, "metadata.labels.a"),
    ("label-bool", "route", "metadata.labels", {"a": True}, "metadata.labels.a"),
    ("labels-list", "route", "metadata.labels", ["a"], "metadata.labels"),
    ("annotation-number", "route", "metadata.annotations", {"a": 1}, "metadata.annotations.a"),
    ("annotation-key", "route", "metadata.annotations", {"a/b/c": ""}, "metadata.annotations['a/b/c']"),
    ("annotations-over-256-KiB", "route", "metadata.annotations", {"a": "x" * (256 * 1024)}, "metadata.annotations"),
    ("annotations-count-bytes", "route", "metadata.annotations", {"a": "ü" * (128 * 1024)}, "metadata.annotations"),
    ("generation-text", "route", "metadata.generation", "1", "metadata.generation"),
    ("namespace-name-with-dot", "namespace", "metadata.name", "a.b", "metadata.name"),
    ("namespace-name-64", "namespace", "metadata.name", "n" * 64, "metadata.name"),
    ("namespace-label", "namespace", "metadata.labels", {"a": "!"}, "metadata.labels.a"),
    ("service-name-with-dot", "service", "metadata.name", "a.b", "metadata.name"),
    ("service-name-64", "service", "metadata.name", "a" * 64, "metadata.name"),
    ("service-without-spec", "service", "spec", ABSENT, "spec.ports"),
    ("service-without-ports", "service", PORTS, [], "spec.ports"),
    ("service-port-0", "service", f"{FIRST}.port", 0, "spec.ports[0].port"),
    ("service-port-missing", "service", f"{FIRST}.port", ABSENT, "spec.ports[0].port"),
    ("service-port-name-dot", "service", f"{FIRST}.name", "a.b", "spec.ports[0].name"),
    ("service-several-ports-one-unnamed", "service", PORTS, [port(1, name="a"), port(2)], "spec.ports[1].name"),
    ("service-names-twice", "service", PORTS, [port(1, name="a"), port(2, name="a")], "spec.ports[1].name"),
    ("service-port-twice", "service", PORTS, [port(1, name="a"), port(1, name="b")], "spec.ports[1].port"),
    ("service-status-text", "service", "status", "ready", "status"),
    ("service-protocol", "service", f"{FIRST}.protocol", "tcp", "spec.ports[0].protocol"),
    ("service-type-unknown", "service", "spec.type", "Cluster", "spec.type"),
    ("service-target-65536", "service", f"{FIRST}.targetPort", 65536, "spec.ports[0].targetPort"),
    ("service-target-quoted-number", "service", f"{FIRST}.targetPort", "8080", "spec.ports[0].targetPort"),
    ("service-target-bad-name", "service", f"{FIRST}.targetPort", "Http", "spec.ports[0].targetPort"),
    ("service-target-bool", "service", f"{FIRST}.targetPort", False, "spec.ports[0].targetPort"),
    ("service-app-protocol", "service", f"{FIRST}.appProtocol", "a b", "spec.ports[0].appProtocol"),
    ("service-external-name-missing", "service", "spec", {"type": "ExternalName"}, "spec.externalName"),
    (
        "service-external-name-dot",
        "service",
        "spec",
        {"type": "ExternalName", "externalName": "."},
        "spec.externalName",
    ),
    (
        "service-external-name-upper",
        "service",
        "spec",
        {"type": "ExternalName", "externalName": "A.b"},
        "spec.externalName",
    ),
    ("slice-type-missing", "slice", "addressType", ABSENT, "addressType"),
    ("slice-type-lower", "slice", "addressType", "ipv4", "addressType"),
    ("slice-addresses-missing", "slice", "endpoints.1", {}, "endpoints[1].addresses"),
    ("slice-addresses-0", "slice", "endpoints.1.addresses", [], "endpoints[1].addresses"),
    ("slice-addresses-101", "slice", "endpoints.1.addresses", ["10.0.0.1"] * 101, "endpoints[1].addresses"),
    ("slice-address-wrong-family", "slice", "endpoints.1.addresses", ["10.0.0.1", "::1"], "endpoints[1].addresses[1]"),
    ("slice-address-name", "slice", "endpoints.1.addresses", ["localhost"], "endpoints[1].addresses[0]"),
    ("slice-address-unspecified", "slice", "endpoints.1.addresses", ["0.0.0.0"], "endpoints[1].addresses[0]"),
    ("slice-address-link-local", "slice", "endpoints.1.addresses", ["169.254.1.1"], "endpoints[1].addresses[0]"),
    (
        "slice-address-link-local-multicast",
        "slice",
        "endpoints.1.addresses",
        ["224.0.0.7"],
        "endpoints[1].addresses[0]",
    ),
    ("slice-address-number", "slice", "endpoints.1.addresses", [10], "endpoints[1].addresses[0]"),
    ("slice-endpoints-1001", "slice", "endpoints", [{"addresses": ["10.0.0.1"]}] * 1001, "endpoints"),
    ("slice-port-65536", "slice", "ports.0.port", 65536, "ports[0].port"),
    ("slice-port-name", "slice", "ports.0.name", "A", "ports[0].name"),
    ("slice-port-names-twice", "slice", "ports.1", port(1, name="main"), "ports[1].name"),
    ("slice-two-unnamed-ports", "slice", "ports", [port(1), port(2)], "ports[1].name"),
    ("slice-port-protocol", "slice", "ports.0.protocol", "ICMP", "ports[0].protocol"),
    ("slice-condition-text", "slice", "endpoints.0.conditions.ready", "true", "endpoints[0].conditions.ready"),
]


def prepared(base: str, path: str, value: object) -> dict[str, Any]:
    """The changed document; a slice of another family gets addresses of that family."""
    document = edited(BASES[base], path, value)
    if document.get("addressType") == "IPv6":
        document["endpoints"] = [{"addresses": ["2001:db8::1"]}]
    return document


@pytest.mark.parametrize(("base", "path", "value"), [pytest.param(*case, id=name) for name, *case in VALID])
def test_valid(base: str, path: str, value: object) -> None:
    """The API server accepts this object."""
    assert problem_texts(prepared(base, path, value)) == []


@pytest.mark.parametrize(("base", "path", "value", "where"), [pytest.param(*case, id=name) for name, *case in INVALID])
def test_invalid(base: str, path: str, value: object, where: str) -> None:
    """The API server rejects this object, for this field and no other."""
    assert problem_paths(prepared(base, path, value)) == [where]


def test_zero_values_ask_for_defaults() -> None:
    """In Kubernetes' own kinds an empty text or a zero means that the field was left out."""
    document = edited(SERVICE, "spec.ports.0", {"port": 80, "protocol": "", "targetPort": 0})
    result = decode(edited(document, "spec.type", ""))
    assert isinstance(result, Decoded)
    assert isinstance(result.resource, Service)
    (only,) = result.resource.spec.ports
    assert (result.resource.spec.type, only.protocol, only.target_port) == ("ClusterIP", "TCP", None)


def test_indexes_count_broken_entries_too() -> None:
    """A bad address after a broken endpoint is reported at its own index."""
    document = edited(ENDPOINT_SLICE, "endpoints", [{"addresses": "10.0.0.1"}, {"addresses": ["nowhere"]}])
    assert problem_paths(document) == ["endpoints[0].addresses", "endpoints[1].addresses[0]"]
