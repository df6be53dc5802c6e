"""Rules over several fields of metadata and of Kubernetes' own kinds, as the API server checks them.

Source: ``apimachinery/pkg/api/validation/objectmeta.go``, ``pkg/apis/core/validation`` and
``pkg/apis/discovery/validation`` of Kubernetes. Only what tidegate reads is checked. One difference on
purpose: an EndpointSlice may have loopback addresses.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.model.corev1 import EndpointPort, EndpointSlice, Namespace, Service, ServicePort, ServiceSpec
from tidegate.model.kinds import Resource
from tidegate.model.meta import ObjectMeta
from tidegate.model.validation.formats import endpoint_address_problem, is_dns_label, is_dns_subdomain
from tidegate.model.validation.problems import FieldProblem, quoted
from tidegate.model.validation.rules import Items, RuleSet, unique

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all keys and values of ``metadata.annotations`` together."""

_HEADLESS = "None"


def annotations_small(meta: ObjectMeta) -> Iterator[FieldProblem]:
    """All annotations together have at most 256 KiB."""
    if not meta.annotations:
        return
    size = sum(len(part.encode(errors="replace")) for entry in meta.annotations.items() for part in entry)
    if size > ANNOTATIONS_LIMIT:
        yield FieldProblem(("annotations",), f"must have at most {ANNOTATIONS_LIMIT} bytes in all, found {size}")


def without_namespace(resource: Resource) -> Iterator[FieldProblem]:
    """A cluster-scoped object is in no namespace."""
    if resource.metadata.namespace:
        yield FieldProblem(("metadata", "namespace"), f"must not be set: a {resource.KIND} is in no namespace")


def name_is_label(resource: Resource) -> Iterator[FieldProblem]:
    """The name is an RFC 1123 label. (Services: current releases no longer demand a letter first.)"""
    name = resource.metadata.name
    if not is_dns_label(name):
        yield FieldProblem(
            ("metadata", "name"),
            f"of a {resource.KIND} must be at most 63 characters without dots, found {quoted(name)}",
        )


def service_has_ports(spec: ServiceSpec) -> Iterator[FieldProblem]:
    """Only headless and ExternalName Services may be without ports."""
    if not spec.ports and spec.type != "ExternalName" and spec.cluster_ip != _HEADLESS:
        yield FieldProblem(("ports",), "is required (unless clusterIP is None or type is ExternalName)")


def external_name_given(spec: ServiceSpec) -> Iterator[FieldProblem]:
    """A Service of type ExternalName has a DNS name, perhaps with a final dot."""
    if spec.type != "ExternalName":
        return
    name = (spec.external_name or "").removesuffix(".")
    if not name:
        yield FieldProblem(("externalName",), "is required for type ExternalName")
    elif not is_dns_subdomain(name):
        yield FieldProblem(("externalName",), f"must be a DNS name in lower case, found {quoted(name)}")


def service_ports_named(ports: Items) -> Iterator[FieldProblem]:
    """With several ports, each has a name."""
    if not ports or ports[-1][0] == 0:
        return
    for index, port in ports:
        if not port.name:
            yield FieldProblem((index, "name"), "is required when a Service has several ports")


def port_names_unique(ports: Items) -> Iterator[FieldProblem]:
    """Ports that have a name have different ones."""

    def message(port: ServicePort, earlier: int) -> FieldProblem:
        return FieldProblem(("name",), f"must be unique: ports[{earlier}] is named {quoted(port.name)} too")

    yield from unique(ports, lambda port: port.name or None, message)


def service_ports_distinct(ports: Items) -> Iterator[FieldProblem]:
    """Port and protocol together are unique."""

    def message(port: ServicePort, earlier: int) -> FieldProblem:
        return FieldProblem(("port",), f"must be unique: ports[{earlier}] is {port.protocol} {port.port} too")

    yield from unique(ports, lambda port: (port.protocol, port.port), message)


def endpoint_port_names_unique(ports: Items) -> Iterator[FieldProblem]:
    """In an EndpointSlice the empty name counts as a name."""

    def message(port: EndpointPort, earlier: int) -> FieldProblem:
        named = f"is named {quoted(port.name)} too" if port.name else "has no name either"
        return FieldProblem(("name",), f"must be unique: ports[{earlier}] {named}")

    yield from unique(ports, lambda port: port.name, message)


def addresses_fit_type(endpoints: EndpointSlice) -> Iterator[FieldProblem]:
    """Every address is of the slice's ``addressType``, and one that can be dialled."""
    for index, endpoint in enumerate(endpoints.endpoints):
        for position, address in enumerate(endpoint.addresses):
            wrong = endpoint_address_problem(endpoints.address_type, address)
            if wrong:
                keys = ("endpoints", index, "addresses", position)
                yield FieldProblem(keys, f"{wrong}; found {quoted(address)}")


METADATA_RULES = RuleSet(structs={ObjectMeta: (annotations_small,)})

CORE_RULES = RuleSet(
    structs={
        Namespace: (name_is_label,),
        Service: (name_is_label,),
        ServiceSpec: (service_has_ports, external_name_given),
        EndpointSlice: (addresses_fit_type,),
    },
    lists={
        (ServiceSpec, "ports"): (service_ports_named, port_names_unique, service_ports_distinct),
        (EndpointSlice, "ports"): (endpoint_port_names_unique,),
    },
)
