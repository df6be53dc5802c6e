"""From a backendRef to endpoints, or to the reason why not."""

from __future__ import annotations

from typing import Any

import pytest

from support.manifests import Manifest, backend, gateway, listener, metadata, parent, service, slice_of, tcproute
from support.resources import World, message, said
from tidegate.names import PoolKey
from tidegate.plan.types import Pool

WEB = PoolKey("default", "web", 6000, "TCP")


def world(*documents: Manifest | list[Manifest], refs: list[Manifest] | None = None) -> World:
    """A Gateway, a route with these backendRefs (Service ``web`` unless given), and more objects."""
    return World(
        gateway("gw", [listener("tcp", 80)]), tcproute("route", [parent("gw")], refs or [backend("web")]), *documents
    )


def ported(name: str, *ports: tuple[str, int, str], **spec: Any) -> Manifest:
    """A Service with ports of name, number and protocol."""
    document = service(name)
    rows = [{"name": port_name, "port": port, "protocol": protocol} for port_name, port, protocol in ports]
    document["spec"] = {"ports": rows, **spec}
    return document


def endpoint_slice(
    name: str, *endpoints: Manifest, ports: list[Manifest] | None = None, family: str = "IPv4"
) -> Manifest:
    """A slice of Service ``web`` with port ``main`` 30, unless given."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(name, None, None) | {"labels": {"kubernetes.io/service-name": "web"}},
        "addressType": family,
        "ports": [{"name": "main", "port": 30}] if ports is None else ports,
        "endpoints": list(endpoints),
    }


def at(*addresses: str, **conditions: bool) -> Manifest:
    """An endpoint."""
    return {"addresses": list(addresses), "conditions": conditions}


def pool(found: World, key: PoolKey = WEB) -> tuple[list[str], int]:
    """The usable endpoints of a pool, and how many are known."""
    value = found.plan[key]
    assert isinstance(value, Pool)
    return [f"{one.address}:{one.port}" for one in value.endpoints], value.total


EXTERNAL = ported("web", ("main", 6000, "TCP"), type="ExternalName", externalName="example.com")


@pytest.mark.parametrize(
    ("documents", "ref", "expected"),
    [
        ([service("web")], backend("web"), "True/ResolvedRefs"),
        ([ported("web", ("main", 6000, "TCP"), clusterIP="None")], backend("web"), "True/ResolvedRefs"),
        ([ported("web", ("u", 6000, "UDP"), ("t", 6000, "TCP"))], backend("web"), "True/ResolvedRefs"),
        ([], backend("web"), "False/BackendNotFound"),
        ([service("web", namespace="other")], backend("web"), "False/BackendNotFound"),
        ([service("web")], backend("web", 6001), "False/BackendNotFound"),
        ([ported("web", clusterIP="None")], backend("web"), "False/BackendNotFound"),
        ([ported("web", ("u", 6000, "UDP"))], backend("web"), "False/UnsupportedProtocol"),
        ([ported("web", ("s", 6000, "SCTP"))], backend("web"), "False/UnsupportedProtocol"),
        ([EXTERNAL], backend("web"), "False/InvalidKind"),
        ([EXTERNAL], backend("web", 6001), "False/InvalidKind"),
        ([service("web")], {"name": "web", "group": "example.com", "kind": "Service"}, "False/InvalidKind"),
        ([service("web")], {"name": "web", "kind": "Pod"}, "False/InvalidKind"),
        ([service("web")], {"name": "x", "kind": "Pod", "namespace": "far"}, "False/InvalidKind"),
        ([service("web", namespace="far")], backend("web", namespace="far"), "False/RefNotPermitted"),
        ([], backend("web", namespace="far"), "False/RefNotPermitted"),
    ],
)
def test_reference(documents: list[Manifest], ref: Manifest, expected: str) -> None:
    """Kind, then grant, then existence, then port; the route stays accepted whatever comes out."""
    (status,) = world(*documents, refs=[ref]).parents("route")
    assert said(status, "ResolvedRefs") == expected
    assert said(status, "Accepted") == "True/Accepted"


def test_a_missing_grant_does_not_tell_whether_the_target_exists() -> None:
    """The message is the same for a Service that exists and for one that does not."""
    far = [backend("web", namespace="far")]
    there, missing = world(service("web", namespace="far"), refs=far), world(refs=far)
    assert message(there.parents("route")[0], "ResolvedRefs") == message(missing.parents("route")[0], "ResolvedRefs")


@pytest.mark.parametrize(
    ("slices", "endpoints", "total"),
    [
        ([], [], 0),
        ([endpoint_slice("s", at("10.0.0.1"))], ["10.0.0.1:30"], 1),
        ([endpoint_slice("s", at("10.0.0.1", ready=False))], [], 1),
        ([endpoint_slice("s", at("10.0.0.1", ready=True, serving=False))], ["10.0.0.1:30"], 1),
        ([endpoint_slice("s", at("10.0.0.1", ready=False, serving=True))], [], 1),
        ([endpoint_slice("s", at("10.0.0.1", ready=False, terminating=True))], [], 1),
        ([endpoint_slice("s", at("10.0.0.1", ready=False, serving=True, terminating=True))], ["10.0.0.1:30"], 1),
        (
            [endpoint_slice("s", at("10.0.0.1", ready=False, serving=True, terminating=True), at("10.0.0.2"))],
            ["10.0.0.2:30"],
            2,
        ),
        ([endpoint_slice("s", at("10.0.0.1")), endpoint_slice("t", at("10.0.0.1"))], ["10.0.0.1:30"], 1),
        ([endpoint_slice("s", at("10.0.0.2", "10.0.0.1"))], ["10.0.0.1:30", "10.0.0.2:30"], 2),
        ([endpoint_slice("s", at("2001:DB8::0:1"), family="IPv6")], ["2001:db8::1:30"], 1),
        ([endpoint_slice("s", at("host.example"), family="FQDN")], [], 0),
        ([endpoint_slice("s", at("10.0.0.1"), ports=[{"name": "main"}])], [], 0),
        ([endpoint_slice("s", at("10.0.0.1"), ports=[])], [], 0),
        ([endpoint_slice("s", at("10.0.0.1"), ports=[{"name": "other", "port": 30}])], [], 0),
        ([endpoint_slice("s", at("10.0.0.1"), ports=[{"name": "main", "port": 30, "protocol": "UDP"}])], [], 0),
        (
            [
                endpoint_slice("s", at("10.0.0.1")),
                endpoint_slice("t", at("10.0.0.1"), ports=[{"name": "main", "port": 31}]),
            ],
            ["10.0.0.1:30", "10.0.0.1:31"],
            2,
        ),
    ],
)
def test_endpoints(slices: list[Manifest], endpoints: list[str], total: int) -> None:
    """Ready ones of all slices, once; else those that serve while they terminate; ports by name and protocol."""
    found = world(service("web"), *slices)
    assert pool(found) == (endpoints, total)
    assert said(found.parents("route")[0], "ResolvedRefs") == "True/ResolvedRefs"


def test_an_unnamed_port_matches_an_unnamed_one() -> None:
    """A Service of one port needs no name; the slice's port has none, too."""
    found = world(
        ported("web", ("", 6000, "TCP")), endpoint_slice("s", at("10.0.0.1"), ports=[{"name": "", "port": 7}])
    )
    assert pool(found)[0] == ["10.0.0.1:7"]


def test_the_slice_decides_the_target_port() -> None:
    """The Service's targetPort is not looked at."""
    found = world(service("web", target_port=9999), slice_of("web", [("10.0.0.1", 30)]))
    assert pool(found)[0] == ["10.0.0.1:30"]


def test_churn_touches_only_the_pool() -> None:
    """Endpoints that come and go change neither targets nor sockets nor statuses."""
    found = world(service("web"), endpoint_slice("s", at("10.0.0.1")))
    change = found.apply(endpoint_slice("s", at("10.0.0.2")))
    assert list(change.plan) == [WEB]
    assert not change.verdicts


def test_a_service_that_goes_takes_its_pool_along() -> None:
    """Without the Service the share is refused, and the pool is withdrawn."""
    found = world(service("web"), endpoint_slice("s", at("10.0.0.1")))
    change = found.remove(service("web"))
    assert change.plan[WEB] is None
    assert said(found.parents("route")[0], "ResolvedRefs") == "False/BackendNotFound"
