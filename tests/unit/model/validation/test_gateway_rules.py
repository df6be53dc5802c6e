"""Every limit and rule of GatewayClass, Gateway and ReferenceGrant, with valid and invalid neighbours."""

from __future__ import annotations

from typing import Any

import pytest

from support.documents import ABSENT, GATEWAY, GATEWAY_CLASS, REFERENCE_GRANT, TLS_GATEWAY, edited
from support.verdicts import problem_paths, problem_texts

BASES = {
    "class": GATEWAY_CLASS,
    "gateway": GATEWAY,
    "tls-gateway": TLS_GATEWAY,
    "grant": REFERENCE_GRANT,
}
CERTIFICATE = {"name": "cert"}
CA = {"group": "", "kind": "ConfigMap", "name": "ca"}
VALIDATION = "spec.tls.frontend.default.validation"


def listener(name: str, port: int, protocol: str, **more: object) -> dict[str, object]:
    """A listener document."""
    return {"name": name, "port": port, "protocol": protocol, **more}


def tls(**fields: object) -> list[dict[str, object]]:
    """One TLS listener with these ``tls`` fields."""
    return [listener("tls", 443, "TLS", tls=fields)]


VALID: list[tuple[str, str, str, Any]] = [
    ("description-64", "class", "spec.description", "ü" * 64),
    ("parameters-with-namespace", "class", "spec.parametersRef", {**CA, "namespace": "infra"}),
    ("parameters-without-namespace", "class", "spec.parametersRef", CA),
    ("listeners-64", "gateway", "spec.listeners", [listener(f"l{n}", n, "TCP") for n in range(1, 65)]),
    (
        "custom-protocol-skips-rules",
        "gateway",
        "spec.listeners.0",
        listener("a", 1, "a.b/C", hostname="x", tls={"options": {"a": "b"}}),
    ),
    ("https-without-tls", "gateway", "spec.listeners.0", listener("a", 1, "HTTPS")),
    (
        "https-terminate",
        "gateway",
        "spec.listeners.0",
        listener("a", 1, "HTTPS", tls={"certificateRefs": [CERTIFICATE]}),
    ),
    ("http-hostname", "gateway", "spec.listeners.0", listener("a", 1, "HTTP", hostname="*.example.com")),
    ("tls-passthrough-without-certificate", "gateway", "spec.listeners", tls(mode="Passthrough")),
    ("tls-options-instead-of-certificate", "gateway", "spec.listeners", tls(options={"any key at all": ""})),
    ("certificates-64", "gateway", "spec.listeners", tls(certificateRefs=[CERTIFICATE] * 64)),
    ("options-16", "gateway", "spec.listeners", tls(options={str(n): "v" * 4096 for n in range(16)})),
    ("tls-null-for-tcp", "gateway", "spec.listeners.0.tls", None),
    ("tcp-and-udp-on-one-port", "gateway", "spec.listeners.1", listener("b", 8080, "UDP")),
    ("tcp-and-http-on-one-port", "gateway", "spec.listeners.1", listener("b", 8080, "HTTP")),
    (
        "hostname-and-no-hostname",
        "gateway",
        "spec.listeners",
        [listener("a", 80, "HTTP"), listener("b", 80, "HTTP", hostname="a")],
    ),
    ("kinds-8", "gateway", "spec.listeners.0.allowedRoutes.kinds", [{"kind": "TCPRoute"}] * 8),
    ("kinds-empty", "gateway", "spec.listeners.0.allowedRoutes.kinds", []),
    ("allowed-routes-empty", "gateway", "spec.listeners.0.allowedRoutes", {}),
    ("selector-without-from-selector", "gateway", "spec.listeners.0.allowedRoutes.namespaces.selector", {}),
    ("from-selector-without-selector", "gateway", "spec.listeners.0.allowedRoutes.namespaces.from", "Selector"),
    (
        "selector-with-any-operator",
        "gateway",
        "spec.listeners.0.allowedRoutes.namespaces.selector",
        {"matchExpressions": [{"key": "", "operator": "Bogus"}]},
    ),
    (
        "selector-with-odd-labels",
        "gateway",
        "spec.listeners.0.allowedRoutes.namespaces.selector",
        {"matchLabels": {"not a key": "not a value!"}},
    ),
    ("addresses-16", "gateway", "spec.addresses", [{"value": f"10.0.0.{n}"} for n in range(16)]),
    ("address-without-value", "gateway", "spec.addresses", [{}, {"type": "IPAddress"}, {"type": "Hostname"}]),
    ("address-ipv6", "gateway", "spec.addresses", [{"value": "2001:db8::1"}]),
    ("address-ipv4-in-ipv6", "gateway", "spec.addresses", [{"value": "::ffff:10.0.0.1"}]),
    ("address-equal-but-spelled-differently", "gateway", "spec.addresses", [{"value": "::1"}, {"value": "0::1"}]),
    ("address-wildcard-hostname", "gateway", "spec.addresses", [{"type": "Hostname", "value": "*.example.com"}]),
    (
        "address-same-value-of-two-types",
        "gateway",
        "spec.addresses",
        [{"value": "1.2.3.4"}, {"type": "Hostname", "value": "1.2.3.4"}],
    ),
    ("address-custom-type-duplicates", "gateway", "spec.addresses", [{"type": "a.b/c", "value": "x y"}] * 2),
    ("address-named-duplicates", "gateway", "spec.addresses", [{"type": "NamedAddress", "value": ""}] * 2),
    ("infrastructure-empty", "gateway", "spec.infrastructure", {}),
    ("infrastructure-labels-8", "gateway", "spec.infrastructure.labels", {f"k{n}": "" for n in range(8)}),
    (
        "infrastructure-annotations-16",
        "gateway",
        "spec.infrastructure.annotations",
        {f"k{n}": "any thing" for n in range(16)},
    ),
    ("infrastructure-key-prefix-252", "gateway", "spec.infrastructure.labels", {f"{'a' * 252}/b": ""}),
    ("allowed-listeners-empty", "gateway", "spec.allowedListeners", {}),
    ("allowed-listeners-none", "gateway", "spec.allowedListeners.namespaces.from", "None"),
    ("gateway-tls-empty", "gateway", "spec.tls", {"backend": {}}),
    ("frontend-default-empty", "gateway", "spec.tls.frontend", {"default": {}}),
    ("ca-refs-16", "tls-gateway", f"{VALIDATION}.caCertificateRefs", [CA] * 16),
    ("ca-mode", "tls-gateway", f"{VALIDATION}.mode", "AllowInsecureFallback"),
    ("per-port-64", "tls-gateway", "spec.tls.frontend.perPort", [{"port": n, "tls": {}} for n in range(1, 65)]),
    ("from-16", "grant", "spec.from", [{"group": "", "kind": "K", "namespace": "n"}] * 16),
    ("to-16-with-names", "grant", "spec.to", [{"group": "", "kind": "Service", "name": "n"}] * 16),
]

INVALID: list[tuple[str, str, str, Any, str]] = [
    ("spec-missing", "class", "spec", ABSENT, "spec"),
    ("controller-missing", "class", "spec.controllerName", ABSENT, "spec.controllerName"),
    ("controller-without-path", "class", "spec.controllerName", "example.com", "spec.controllerName"),
    ("description-65", "class", "spec.description", "x" * 65, "spec.description"),
    ("parameters-without-group", "class", "spec.parametersRef", {"kind": "K", "name": "n"}, "spec.parametersRef.group"),
    ("parameters-empty-name", "class", "spec.parametersRef", {**CA, "name": ""}, "spec.parametersRef.name"),
    (
        "parameters-empty-namespace",
        "class",
        "spec.parametersRef",
        {**CA, "namespace": ""},
        "spec.parametersRef.namespace",
    ),
    ("class-name-missing", "gateway", "spec.gatewayClassName", ABSENT, "spec.gatewayClassName"),
    ("class-name-empty", "gateway", "spec.gatewayClassName", "", "spec.gatewayClassName"),
    ("listeners-missing", "gateway", "spec.listeners", ABSENT, "spec.listeners"),
    ("listeners-empty", "gateway", "spec.listeners", [], "spec.listeners"),
    (
        "listeners-65",
        "gateway",
        "spec.listeners",
        [listener(f"l{n}", n, "TCP") for n in range(1, 66)],
        "spec.listeners",
    ),
    ("listeners-no-list", "gateway", "spec.listeners", {"a": 1}, "spec.listeners"),
    ("listener-no-mapping", "gateway", "spec.listeners.0", "foo", "spec.listeners[0]"),
    ("listener-name-missing", "gateway", "spec.listeners.0.name", ABSENT, "spec.listeners[0].name"),
    ("listener-name-upper", "gateway", "spec.listeners.0.name", "Foo", "spec.listeners[0].name"),
    ("listener-port-0", "gateway", "spec.listeners.0.port", 0, "spec.listeners[0].port"),
    ("listener-port-65536", "gateway", "spec.listeners.0.port", 65536, "spec.listeners[0].port"),
    ("listener-protocol-missing", "gateway", "spec.listeners.0.protocol", ABSENT, "spec.listeners[0].protocol"),
    (
        "listener-protocol-hyphen-after-slash",
        "gateway",
        "spec.listeners.0.protocol",
        "a.com/b-c",
        "spec.listeners[0].protocol",
    ),
    ("tls-for-tcp", "gateway", "spec.listeners.0.tls", {"mode": "Passthrough"}, "spec.listeners[0].tls"),
    (
        "tls-for-udp",
        "gateway",
        "spec.listeners.0",
        listener("a", 1, "UDP", tls={"mode": "Passthrough"}),
        "spec.listeners[0].tls",
    ),
    (
        "tls-for-http",
        "gateway",
        "spec.listeners.0",
        listener("a", 1, "HTTP", tls={"mode": "Passthrough"}),
        "spec.listeners[0].tls",
    ),
    (
        "https-passthrough",
        "gateway",
        "spec.listeners.0",
        listener("a", 1, "HTTPS", tls={"mode": "Passthrough"}),
        "spec.listeners[0].tls.mode",
    ),
    ("tls-without-tls", "gateway", "spec.listeners.0", listener("a", 1, "TLS"), "spec.listeners[0].tls"),
    ("tls-empty", "gateway", "spec.listeners", tls(), "spec.listeners[0].tls.certificateRefs"),
    ("tls-mode-unknown", "gateway", "spec.listeners", tls(mode="Mixed"), "spec.listeners[0].tls.mode"),
    ("tls-mode-empty", "gateway", "spec.listeners", tls(mode=""), "spec.listeners[0].tls.mode"),
    (
        "certificates-65",
        "gateway",
        "spec.listeners",
        tls(certificateRefs=[CERTIFICATE] * 65),
        "spec.listeners[0].tls.certificateRefs",
    ),
    (
        "certificate-without-name",
        "gateway",
        "spec.listeners",
        tls(certificateRefs=[{}]),
        "spec.listeners[0].tls.certificateRefs[0].name",
    ),
    (
        "options-17",
        "gateway",
        "spec.listeners",
        tls(options={str(n): "" for n in range(17)}),
        "spec.listeners[0].tls.options",
    ),
    (
        "option-value-4097",
        "gateway",
        "spec.listeners",
        tls(options={"a": "v" * 4097}),
        "spec.listeners[0].tls.options.a",
    ),
    ("hostname-for-tcp", "gateway", "spec.listeners.0.hostname", "example.com", "spec.listeners[0].hostname"),
    (
        "hostname-for-udp",
        "gateway",
        "spec.listeners.0",
        listener("a", 1, "UDP", hostname="a"),
        "spec.listeners[0].hostname",
    ),
    ("hostname-empty", "gateway", "spec.listeners.0.hostname", "", "spec.listeners[0].hostname"),
    ("names-twice", "gateway", "spec.listeners.1.name", "foo", "spec.listeners[1].name"),
    ("two-tcp-on-one-port", "gateway", "spec.listeners.1.port", 8080, "spec.listeners[1]"),
    (
        "same-hostname-twice",
        "gateway",
        "spec.listeners",
        [listener(n, 80, "HTTP", hostname="a") for n in "ab"],
        "spec.listeners[1]",
    ),
    (
        "kinds-9",
        "gateway",
        "spec.listeners.0.allowedRoutes.kinds",
        [{"kind": "K"}] * 9,
        "spec.listeners[0].allowedRoutes.kinds",
    ),
    (
        "kind-missing",
        "gateway",
        "spec.listeners.0.allowedRoutes.kinds",
        [{}],
        "spec.listeners[0].allowedRoutes.kinds[0].kind",
    ),
    (
        "from-none",
        "gateway",
        "spec.listeners.0.allowedRoutes.namespaces.from",
        "None",
        "spec.listeners[0].allowedRoutes.namespaces.from",
    ),
    (
        "selector-expression-without-operator",
        "gateway",
        "spec.listeners.0.allowedRoutes.namespaces.selector",
        {"matchExpressions": [{"key": "a"}]},
        "spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0].operator",
    ),
    ("addresses-17", "gateway", "spec.addresses", [{"value": f"10.0.0.{n}"} for n in range(17)], "spec.addresses"),
    ("address-empty", "gateway", "spec.addresses", [{"value": ""}], "spec.addresses[0].value"),
    ("address-name-as-ip", "gateway", "spec.addresses", [{"value": "example.com"}], "spec.addresses[0].value"),
    ("address-leading-zero", "gateway", "spec.addresses", [{"value": "010.0.0.1"}], "spec.addresses[0].value"),
    ("address-zone", "gateway", "spec.addresses", [{"value": "fe80::1%eth0"}], "spec.addresses[0].value"),
    (
        "address-hostname-empty",
        "gateway",
        "spec.addresses",
        [{"type": "Hostname", "value": ""}],
        "spec.addresses[0].value",
    ),
    (
        "address-hostname-upper",
        "gateway",
        "spec.addresses",
        [{"type": "Hostname", "value": "A.com"}],
        "spec.addresses[0].value",
    ),
    (
        "address-value-254",
        "gateway",
        "spec.addresses",
        [{"type": "a/b", "value": "x" * 254}],
        "spec.addresses[0].value",
    ),
    ("address-type-empty", "gateway", "spec.addresses", [{"type": ""}], "spec.addresses[0].type"),
    ("address-twice", "gateway", "spec.addresses", [{"value": "1.2.3.4"}] * 2, "spec.addresses[1].value"),
    (
        "hostname-address-twice",
        "gateway",
        "spec.addresses",
        [{"type": "Hostname", "value": "a"}] * 2,
        "spec.addresses[1].value",
    ),
    (
        "infrastructure-labels-9",
        "gateway",
        "spec.infrastructure.labels",
        {f"k{n}": "" for n in range(9)},
        "spec.infrastructure.labels",
    ),
    (
        "infrastructure-annotations-17",
        "gateway",
        "spec.infrastructure.annotations",
        {f"k{n}": "" for n in range(17)},
        "spec.infrastructure.annotations",
    ),
    (
        "infrastructure-label-value",
        "gateway",
        "spec.infrastructure.labels",
        {"a": "b c"},
        "spec.infrastructure.labels.a",
    ),
    (
        "infrastructure-key",
        "gateway",
        "spec.infrastructure.annotations",
        {"a b": ""},
        "spec.infrastructure.annotations['a b']",
    ),
    (
        "infrastructure-parameters-kind",
        "gateway",
        "spec.infrastructure.parametersRef",
        {**CA, "kind": "9"},
        "spec.infrastructure.parametersRef.kind",
    ),
    (
        "allowed-listeners-from",
        "gateway",
        "spec.allowedListeners.namespaces.from",
        "Any",
        "spec.allowedListeners.namespaces.from",
    ),
    (
        "client-certificate-name",
        "gateway",
        "spec.tls",
        {"backend": {"clientCertificateRef": {}}},
        "spec.tls.backend.clientCertificateRef.name",
    ),
    ("frontend-without-default", "gateway", "spec.tls", {"frontend": {}}, "spec.tls.frontend.default"),
    ("ca-refs-missing", "tls-gateway", VALIDATION, {}, f"{VALIDATION}.caCertificateRefs"),
    ("ca-refs-0", "tls-gateway", f"{VALIDATION}.caCertificateRefs", [], f"{VALIDATION}.caCertificateRefs"),
    ("ca-refs-17", "tls-gateway", f"{VALIDATION}.caCertificateRefs", [CA] * 17, f"{VALIDATION}.caCertificateRefs"),
    ("ca-mode-unknown", "tls-gateway", f"{VALIDATION}.mode", "None", f"{VALIDATION}.mode"),
    (
        "per-port-65",
        "tls-gateway",
        "spec.tls.frontend.perPort",
        [{"port": n, "tls": {}} for n in range(1, 66)],
        "spec.tls.frontend.perPort",
    ),
    (
        "per-port-without-tls",
        "tls-gateway",
        "spec.tls.frontend.perPort",
        [{"port": 1}],
        "spec.tls.frontend.perPort[0].tls",
    ),
    (
        "per-port-twice",
        "tls-gateway",
        "spec.tls.frontend.perPort",
        [{"port": 1, "tls": {}}] * 2,
        "spec.tls.frontend.perPort[1].port",
    ),
    ("grant-spec-missing", "grant", "spec", ABSENT, "spec"),
    ("from-empty", "grant", "spec.from", [], "spec.from"),
    ("from-17", "grant", "spec.from", [{"group": "", "kind": "K", "namespace": "n"}] * 17, "spec.from"),
    ("from-without-namespace", "grant", "spec.from.0.namespace", ABSENT, "spec.from[0].namespace"),
    ("from-without-group", "grant", "spec.from.0.group", ABSENT, "spec.from[0].group"),
    ("to-missing", "grant", "spec.to", ABSENT, "spec.to"),
    ("to-17", "grant", "spec.to", [{"group": "", "kind": "K"}] * 17, "spec.to"),
    ("to-name-empty", "grant", "spec.to.0.name", "", "spec.to[0].name"),
]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize(("base", "path", "value"), [pytest.param(*case, id=name) for name, *case in VALID])
def test_valid(base: str, path: str, value: object, version: str) -> None:
    """The CRD accepts this object, in v1 and in v1beta1."""
    document = {**edited(BASES[base], path, value), "apiVersion": f"gateway.networking.k8s.io/{version}"}
    assert problem_texts(document) == []


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize(("base", "path", "value", "where"), [pytest.param(*case, id=name) for name, *case in INVALID])
def test_invalid(base: str, path: str, value: object, where: str, version: str) -> None:
    """The CRD rejects this object, for this field and no other, in v1 and in v1beta1."""
    document = {**edited(BASES[base], path, value), "apiVersion": f"gateway.networking.k8s.io/{version}"}
    assert problem_paths(document) == [where]


def test_duplicates_name_the_earlier_one() -> None:
    """The messages say with which listener the clash is."""
    document = edited(GATEWAY, "spec.listeners.2", {"name": "bar", "port": 8080, "protocol": "TCP"})
    assert problem_texts(document) == [
        "spec.listeners[2].name: must be unique: listeners[1] is named 'bar' too",
        "spec.listeners[2]: must differ from listeners[0], which also has port 8080, protocol TCP and no hostname",
    ]
