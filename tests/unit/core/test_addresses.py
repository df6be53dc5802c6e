"""The addresses of a Gateway in a cluster, from the Service in front of it; those of a host are in ``programmed``."""

from __future__ import annotations

from typing import Any

import pytest

from support.generated import generated_service
from support.manifests import Manifest, gateway, gateway_class, listener, service
from support.resources import World, gateway_key, message, said
from tidegate.names import MANAGED_BY_LABEL, MANAGER

NAME = "gw-tidegate"
TCP = listener("tcp", 80)


def world(*documents: Manifest, addresses: Any = ()) -> World:
    """A Gateway whose listeners are live, that asks for these addresses."""
    found = World(gateway_class(), gateway("gw", [TCP], addresses=list(addresses)), *documents, cluster=True)
    found.obey()
    return found


def published(found: World) -> list[str]:
    """The addresses in the status, with their types."""
    return [f"{one.type} {one.value}" for one in found.gateway("gw").addresses]


def programmed(found: World) -> str:
    """The Gateway's Programmed condition."""
    return said(found.gateway("gw"), "Programmed")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (generated_service(NAME, ingress=["203.0.113.7"]), ["IPAddress 203.0.113.7"]),
        (generated_service(NAME, ingress=["lb.example.com"]), ["Hostname lb.example.com"]),
        (
            generated_service(NAME, ingress=["2001:DB8::0:7", "lb.example.com", "2001:db8::7"]),
            ["IPAddress 2001:db8::7", "Hostname lb.example.com"],
        ),
        (generated_service(NAME, kind="ClusterIP", clusterIP="10.96.0.7"), ["IPAddress 10.96.0.7"]),
        (
            generated_service(NAME, kind="NodePort", clusterIP="10.96.0.7", clusterIPs=["10.96.0.7", "fd00::7"]),
            ["IPAddress 10.96.0.7", "IPAddress fd00::7"],
        ),
        (generated_service(NAME, ingress=["1.2.3", "UPPER"]), []),
        (generated_service(NAME, ingress=[f"192.0.2.{n}" for n in range(20)]), 16),
    ],
)
def test_addresses_are_what_the_cluster_assigned(document: Manifest, expected: Any) -> None:
    """A load balancer's addresses and names, else the Service's own, as the API takes them in a status."""
    found = world(document)
    assert published(found) == expected if isinstance(expected, list) else len(published(found)) == expected
    assert programmed(found) == ("True/Programmed" if expected else "False/AddressNotAssigned")


@pytest.mark.parametrize(
    ("document", "says", "waiting"),
    [
        (None, "Service default/gw-tidegate is not there yet", True),
        (generated_service(NAME), "of type LoadBalancer has no address yet; where nothing provides load bal", True),
        (generated_service(NAME) | {"status": None}, "of type LoadBalancer has no address yet", True),
        (generated_service(NAME, kind="ClusterIP"), "of type ClusterIP has no address yet", True),
        (generated_service(NAME, kind="ClusterIP", clusterIP="None"), "has no address yet", True),
        (service(NAME), "Service default/gw-tidegate is not tidegate's", False),
    ],
)
def test_no_address_yet(document: Manifest | None, says: str, waiting: bool) -> None:
    """The Gateway is not programmed, however ready its proxies are, and the message says what is lacking."""
    found = world(*([document] if document is not None else []))
    assert programmed(found) == "False/AddressNotAssigned"
    assert says in message(found.gateway("gw"), "Programmed")
    assert published(found) == []
    assert found.verdicts[gateway_key("gw")].waiting is waiting
    reachable = document is not None and "tidegate's" not in says
    assert said(found.listener("gw", "tcp"), "Programmed") == ("True/Programmed" if reachable else "False/Pending")


def test_an_address_and_programmed_come_together() -> None:
    """There is no status that says Programmed without an address."""
    found = world()
    found.apply(generated_service(NAME, ingress=["203.0.113.7"]))
    assert (programmed(found), published(found)) == ("True/Programmed", ["IPAddress 203.0.113.7"])
    found.apply(generated_service(NAME))
    assert (programmed(found), published(found)) == ("False/AddressNotAssigned", [])


@pytest.mark.parametrize(
    ("asked", "expected", "unusable"),
    [
        ([{"value": "203.0.113.7"}], ["203.0.113.7"], None),
        ([{"value": "203.0.113.9"}, {"value": "203.0.113.7"}], ["203.0.113.9", "203.0.113.7"], None),
        ([{"value": "198.51.100.1"}, {"value": "203.0.113.7"}], ["203.0.113.7"], "198.51.100.1"),
        ([{"value": "198.51.100.1"}], [], "198.51.100.1"),
        ([{}], ["203.0.113.7", "203.0.113.9"], None),
        ([{"value": "203.0.113.9"}, {}], ["203.0.113.9", "203.0.113.7"], None),
        ([{"value": "198.51.100.1"}, {}], ["203.0.113.7", "203.0.113.9"], "198.51.100.1"),
    ],
)
def test_addresses_that_are_asked_for(asked: list[Manifest], expected: list[str], unusable: str | None) -> None:
    """Exactly those that are there, in the order of the spec; an entry without a value takes all others."""
    found = world(generated_service(NAME, ingress=["203.0.113.7", "lb.example.com", "203.0.113.9"]), addresses=asked)
    assert published(found) == [f"IPAddress {value}" for value in expected]
    assert said(found.gateway("gw"), "Accepted") == "True/Accepted"
    assert programmed(found) == ("False/AddressNotUsable" if unusable else "True/Programmed")
    if unusable:
        assert message(found.gateway("gw"), "Programmed").startswith(f"not assigned: {unusable}; Service default/gw-t")
        assert not found.verdicts[gateway_key("gw")].waiting


def test_an_address_that_is_asked_for_may_still_come() -> None:
    """Before the Service has any address, it is worth waiting a moment."""
    found = world(generated_service(NAME), addresses=[{"value": "203.0.113.7"}])
    assert programmed(found) == "False/AddressNotUsable"
    assert "not assigned: 203.0.113.7; Service default/gw-tidegate of type" in message(
        found.gateway("gw"), "Programmed"
    )
    assert found.verdicts[gateway_key("gw")].waiting


def test_any_ip_address_is_no_host_name() -> None:
    """A load balancer that only has a name has nothing for who asks for an address of type IPAddress."""
    found = world(generated_service(NAME, ingress=["lb.example.com"]), addresses=[{"type": "IPAddress"}])
    assert programmed(found) == "False/AddressNotAssigned"
    assert "has no IP address, but lb.example.com" in message(found.gateway("gw"), "Programmed")
    assert not found.verdicts[gateway_key("gw")].waiting


@pytest.mark.parametrize(
    "broken",
    [
        gateway("gw", [TCP], addresses=[{"type": "Hostname", "value": "a.example"}]),
        gateway_class(parametersRef={"group": "", "kind": "ConfigMap", "name": "x"}),
    ],
)
def test_a_data_plane_that_goes_on_keeps_its_address(broken: Manifest) -> None:
    """Who follows status.addresses, such as DNS, finds it there as long as it serves."""
    found = world(generated_service(NAME, ingress=["203.0.113.7"]))
    found.apply(broken)
    assert published(found) == ["IPAddress 203.0.113.7"]
    assert not programmed(found).startswith("True")


def test_the_label_decides_whose_a_service_is() -> None:
    """A Service that somebody else made under this name is not in front of our proxies."""
    foreign = generated_service(NAME, ingress=["203.0.113.7"])
    foreign["metadata"]["labels"] = {MANAGED_BY_LABEL: f"not {MANAGER}".replace(" ", "-")}
    assert published(world(foreign)) == []
