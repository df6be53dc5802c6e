"""Rules over several fields of GatewayClass and Gateway, as the CRDs' CEL rules have them.

Source: Gateway API v1.6, ``config/crd/standard/gateway.networking.k8s.io_gateways.yaml``. The listener
rules also fit ListenerSet: its row names them for its own list of listeners.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.model.gateway import (
    FrontendTLSConfig,
    FrontendTLSPort,
    GatewaySpec,
    GatewaySpecAddress,
    Listener,
    ListenerTLSConfig,
)
from tidegate.model.validation.formats import is_hostname, is_ip
from tidegate.model.validation.problems import FieldProblem, quoted
from tidegate.model.validation.rules import Items, RuleSet, unique

_WITHOUT_TLS = frozenset({"HTTP", "TCP", "UDP"})
_WITHOUT_HOSTNAME = frozenset({"TCP", "UDP"})


def listener_tls_fits_protocol(listener: Listener) -> Iterator[FieldProblem]:
    """No ``tls`` for HTTP, TCP and UDP; Terminate for HTTPS with ``tls``; always ``tls`` for TLS."""
    protocol, tls = listener.protocol, listener.tls
    if protocol in _WITHOUT_TLS and tls is not None:
        yield FieldProblem(("tls",), f"must not be set for protocol {protocol}; use protocol TLS, or remove tls")
    elif protocol == "HTTPS" and tls is not None and tls.mode != "Terminate":
        yield FieldProblem(("tls", "mode"), f"must be Terminate for protocol HTTPS, found {tls.mode}")
    elif protocol == "TLS" and tls is None:
        yield FieldProblem(("tls",), "must be set for protocol TLS, with mode Terminate or Passthrough")


def listener_hostname_fits_protocol(listener: Listener) -> Iterator[FieldProblem]:
    """No ``hostname`` for TCP and UDP."""
    if listener.protocol in _WITHOUT_HOSTNAME and listener.hostname is not None:
        yield FieldProblem(("hostname",), f"must not be set for protocol {listener.protocol}: it has no host names")


def terminate_has_certificate(tls: ListenerTLSConfig) -> Iterator[FieldProblem]:
    """Mode Terminate needs a certificate ref or an option."""
    if tls.mode == "Terminate" and not tls.certificate_refs and not tls.options:
        yield FieldProblem(("certificateRefs",), "is required when mode is Terminate (or set options)")


def listener_names_unique(listeners: Items) -> Iterator[FieldProblem]:
    """A listener's name is its identity in the Gateway."""

    def message(listener: Listener, earlier: int) -> FieldProblem:
        return FieldProblem(("name",), f"must be unique: listeners[{earlier}] is named {quoted(listener.name)} too")

    yield from unique(listeners, lambda listener: listener.name, message)


def listeners_distinct(listeners: Items) -> Iterator[FieldProblem]:
    """Port, protocol and hostname together are unique; two absent hostnames are equal."""

    def message(listener: Listener, earlier: int) -> FieldProblem:
        shared = f"port {listener.port}, protocol {listener.protocol}"
        shared += f" and hostname {listener.hostname}" if listener.hostname is not None else " and no hostname"
        return FieldProblem((), f"must differ from listeners[{earlier}], which also has {shared}")

    yield from unique(listeners, lambda listener: (listener.port, listener.protocol, listener.hostname), message)


def address_fits_type(address: GatewaySpecAddress) -> Iterator[FieldProblem]:
    """A value of type IPAddress is an IP address, one of type Hostname a host name; absent is fine."""
    if address.value is None:
        return
    if address.type == "IPAddress" and not is_ip(address.value):
        yield FieldProblem(
            ("value",),
            f"must be an IPv4 or IPv6 address for type IPAddress, found {quoted(address.value)}"
            " (leave it out for any address)",
        )
    elif address.type == "Hostname" and not is_hostname(address.value):
        yield FieldProblem(
            ("value",), f"must be a host name in lower case for type Hostname, found {quoted(address.value)}"
        )


def addresses_unique(addresses: Items) -> Iterator[FieldProblem]:
    """Values of type IPAddress, and of type Hostname, are unique as text."""

    def identity(address: GatewaySpecAddress) -> tuple[str, str] | None:
        if address.value is None or address.type not in {"IPAddress", "Hostname"}:
            return None
        return address.type, address.value

    def message(_address: GatewaySpecAddress, earlier: int) -> FieldProblem:
        return FieldProblem(("value",), f"must be unique: addresses[{earlier}] is the same")

    yield from unique(addresses, identity, message)


def tls_ports_unique(ports: Items) -> Iterator[FieldProblem]:
    """``spec.tls.frontend.perPort`` has one entry per port."""

    def message(_entry: FrontendTLSPort, earlier: int) -> FieldProblem:
        return FieldProblem(("port",), f"must be unique: perPort[{earlier}] is for the same port")

    yield from unique(ports, lambda entry: entry.port, message)


LISTENER_LIST_RULES = (listener_names_unique, listeners_distinct)

GATEWAY_RULES = RuleSet(
    structs={
        Listener: (listener_tls_fits_protocol, listener_hostname_fits_protocol),
        ListenerTLSConfig: (terminate_has_certificate,),
        GatewaySpecAddress: (address_fits_type,),
    },
    lists={
        (GatewaySpec, "listeners"): LISTENER_LIST_RULES,
        (GatewaySpec, "addresses"): (addresses_unique,),
        (FrontendTLSConfig, "per_port"): (tls_ports_unique,),
    },
)
