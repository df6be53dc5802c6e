"""Whether clients reach the proxies of a Gateway, by the Service in front of them."""

from __future__ import annotations

from typing import Any

import pytest

from support.generated import generated_service, proxies
from support.manifests import gateway, gateway_class, listener, service
from support.resources import World, gateway_key, message, said
from tidegate.core.infrastructure import infrastructure_name
from tidegate.names import GATEWAY_NAME_LABEL

NAME = "gw-tidegate"
TWO = gateway("gw", [listener("a", 80), listener("b", 81)])
ADDRESS = {"ingress": ["203.0.113.7"]}
PORT_80 = {"name": "tcp-80", "port": 80, "protocol": "TCP", "targetPort": 80}
PORT_81 = {"name": "tcp-81", "port": 81, "protocol": "TCP", "targetPort": 81}


def world(*ports: dict[str, Any]) -> World:
    """A Gateway whose proxies serve both listeners, with a Service of these ports."""
    found = World(gateway_class(), TWO, generated_service(NAME, ports=list(ports), **ADDRESS), cluster=True)
    found.obey()
    return found


def listeners(found: World) -> list[str]:
    """Programmed of each listener."""
    return [said(found.listener("gw", name), "Programmed") for name in ("a", "b")]


@pytest.mark.parametrize(
    ("second", "reached"),
    [
        (PORT_81, True),
        ({"name": "tcp-81", "port": 81}, True),
        ({**PORT_81, "targetPort": 8081}, False),
        ({**PORT_81, "targetPort": "named"}, False),
        ({**PORT_81, "protocol": "UDP"}, False),
        ({**PORT_81, "port": 8081}, False),
    ],
)
def test_a_listener_is_programmed_once_the_service_leads_there(second: dict[str, Any], reached: bool) -> None:
    """Proxies that serve it are not enough. The others go on, and what is lacking is said after a moment."""
    found = world(PORT_80, second)
    assert listeners(found) == ["True/Programmed", "True/Programmed" if reached else "False/Pending"]
    assert said(found.gateway("gw"), "Programmed") == "True/Programmed"
    assert found.verdicts[gateway_key("gw")].waiting is not reached
    if not reached:
        expected = "Service default/gw-tidegate does not lead TCP port 81 to the proxies yet"
        assert message(found.listener("gw", "b"), "Programmed") == expected


def test_a_port_that_is_taken_away_and_put_back() -> None:
    """Programmed says what holds at any time; without any port, the Gateway is not either."""
    found = world(PORT_80, PORT_81)
    assert listeners(found) == ["True/Programmed"] * 2
    found.apply(generated_service(NAME, ports=[{"name": "x", "port": 9}], **ADDRESS))
    assert listeners(found) == ["False/Pending"] * 2
    assert said(found.gateway("gw"), "Programmed") == "False/Pending"
    found.apply(generated_service(NAME, ports=[PORT_80, PORT_81], **ADDRESS))
    assert listeners(found) == ["True/Programmed"] * 2


def test_a_service_of_somebody_else_leads_nowhere() -> None:
    """Whatever its ports are; nobody waits for it."""
    found = World(gateway_class(), TWO, service(NAME, 80), cluster=True)
    found.obey()
    assert listeners(found) == ["False/Pending"] * 2
    assert "is not tidegate's" in message(found.listener("gw", "a"), "Programmed")
    assert not found.verdicts[gateway_key("gw")].waiting


def test_on_a_host_nothing_stands_in_between() -> None:
    """Standalone listeners need no Service."""
    found = World(TWO)
    found.obey()
    assert listeners(found) == ["True/Programmed"] * 2


def test_a_service_that_goes_leads_nowhere_any_more() -> None:
    """Something holds it by a finalizer, a load balancer for example: it is made anew when that lets go of it."""
    found = world(PORT_80, PORT_81)
    going = generated_service(NAME, ports=[PORT_80, PORT_81], **ADDRESS)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found.apply(going)
    assert listeners(found) == ["False/Pending"] * 2
    assert said(found.gateway("gw"), "Programmed") == "False/AddressNotAssigned"
    assert found.gateway("gw").addresses == ()
    assert "is being deleted" in message(found.gateway("gw"), "Programmed")
    assert found.verdicts[gateway_key("gw")].waiting
    found.apply(generated_service(NAME, ports=[PORT_80, PORT_81], **ADDRESS))
    assert listeners(found) == ["True/Programmed"] * 2


def test_of_two_gateways_that_come_to_one_name_only_the_holder_has_what_is_there() -> None:
    """A class can be named like the hash by which another name was told apart: not the address, not the proxies."""
    name = infrastructure_name("x", "a-b")
    digest = name.rpartition("-")[2]
    front = generated_service(name, ports=[PORT_80], **ADDRESS)
    front["metadata"]["labels"][GATEWAY_NAME_LABEL] = "x"
    found = World(
        gateway_class("a-b"), gateway("x", [listener("a", 80)], class_name="a-b"),
        gateway_class(digest), gateway("x-a-b", [listener("a", 80)], class_name=digest),
        front, proxies(name, "10.0.0.1"), cluster=True,
    )  # fmt: skip
    found.obey()
    assert [one.value for one in found.gateway("x").addresses] == ["203.0.113.7"]
    assert said(found.gateway("x"), "Programmed") == "True/Programmed"
    assert found.gateway("x-a-b").addresses == ()
    assert said(found.gateway("x-a-b"), "Programmed") == "False/AddressNotAssigned"
    assert "is that of another Gateway" in message(found.listener("x-a-b", "a"), "Programmed")
    assert found.ready == {"default/x": frozenset({"10.0.0.1"}), "default/x-a-b": frozenset()}
