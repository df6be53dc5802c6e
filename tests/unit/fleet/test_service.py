"""The Service follows listeners and addresses, and has only fields that its type may have."""

from typing import Any

import pytest

from support.infrastructures import infrastructure
from tidegate.fleet.service import NO_LISTENER, service_spec


def spec(service_type: str = "LoadBalancer", **differences: Any) -> dict[str, Any]:
    parameters = differences.pop("parameters", {})
    return service_spec(infrastructure(**differences, parameters={"service_type": service_type, **parameters}))


def test_each_listener_is_a_port() -> None:
    """A Service port leads to the same port of the Pods."""
    assert spec(ports={"postgres": 5432, "web": 80})["ports"] == [
        {"name": "postgres", "port": 5432, "targetPort": 5432, "protocol": "TCP"},
        {"name": "web", "port": 80, "targetPort": 80, "protocol": "TCP"},
    ]


def test_gateway_without_listener_keeps_its_service() -> None:
    """A Service needs a port, and its addresses should outlast a mistake in the only listener."""
    (port,) = spec(ports={})["ports"]
    assert port["name"] == NO_LISTENER.name


@pytest.mark.parametrize(
    ("service_type", "fields"),
    [
        ("LoadBalancer", {"externalTrafficPolicy", "loadBalancerClass"}),
        ("NodePort", {"externalTrafficPolicy"}),
        ("ClusterIP", set()),
    ],
)
def test_only_fields_that_fit_the_type(service_type: str, fields: set[str]) -> None:
    """The API server refuses a load balancer's class, or a policy for outside traffic, on other types."""
    made = spec(service_type, parameters={"external_traffic_policy": "Local", "load_balancer_class": "a/b"})
    assert made.keys() & {"externalTrafficPolicy", "loadBalancerClass"} == fields


def test_load_balancer_is_asked_for_the_first_address() -> None:
    """``loadBalancerIP`` takes one address."""
    made = spec(addresses=("192.0.2.7", "192.0.2.8"))
    assert made["loadBalancerIP"] == "192.0.2.7"
    assert "clusterIP" not in made


@pytest.mark.parametrize(
    ("addresses", "chosen"),
    [
        (("10.96.0.80",), ["10.96.0.80"]),
        (("10.96.0.80", "10.96.0.81"), ["10.96.0.80"]),
        (("fd00::80", "10.96.0.80"), ["fd00::80", "10.96.0.80"]),
    ],
)
@pytest.mark.parametrize("service_type", ["ClusterIP", "NodePort"])
def test_addresses_in_the_cluster(service_type: str, addresses: tuple[str, ...], chosen: list[str]) -> None:
    """One per IP family, and the first is the Service's first; a single one leaves room for the other family's."""
    made = spec(service_type, addresses=addresses)
    assert (made["clusterIP"], made.get("clusterIPs")) == (chosen[0], chosen if len(chosen) > 1 else None)
    assert "loadBalancerIP" not in made


def test_nothing_is_asked_for_without_addresses() -> None:
    """Any address will do."""
    assert not spec().keys() & {"loadBalancerIP", "clusterIP", "clusterIPs", "externalIPs"}
