"""Programmed: the plan met with what the data plane says."""

from __future__ import annotations

from typing import Any

import pytest

from support.generated import generated_service
from support.manifests import (
    PARAMETERS,
    Manifest,
    backend,
    gateway,
    gateway_class,
    listener,
    parameters,
    parent,
    tcproute,
)
from support.resources import World, gateway_key, message, route_key, said, socket_key
from tidegate.plan.infrastructure import Trouble, TroubleReason
from tidegate.plan.outcome import AddressReport, Failed, FailureReason, Live, Outcome, Pending

REFERENCE = {**PARAMETERS, "name": "p"}
TWO = gateway("gw", [listener("a", 80), listener("b", 81)])


def failed(revision: str, reason: FailureReason) -> Failed:
    """A failure that says why."""
    return Failed(revision=revision, reason=reason, message=f"because of {reason.value}")


@pytest.mark.parametrize(
    ("outcome", "expected", "waiting"),
    [
        (lambda revision: Live(revision=revision), "True/Programmed", False),
        (lambda revision: Live(revision=f"not {revision}"), "False/Pending", True),
        (lambda _: None, "False/Pending", True),
        (lambda revision: Pending(revision=revision), "False/Pending", True),
        (lambda revision: Pending(revision=revision, message="Envoy is down"), "False/Pending", False),
        (lambda revision: Pending(revision=f"not {revision}", message="Envoy is down"), "False/Pending", True),
        (lambda revision: failed(revision, FailureReason.PORT_UNAVAILABLE), "False/PortUnavailable", False),
        (lambda revision: failed(revision, FailureReason.INVALID), "False/Invalid", False),
        (lambda revision: failed(f"not {revision}", FailureReason.INVALID), "False/Pending", True),
    ],
)
def test_one_socket(outcome: Any, expected: str, waiting: bool) -> None:
    """Only Live at the planned revision is programmed; outcomes of another revision are waited out."""
    world = World(TWO)
    world.obey()
    world.report({socket_key(80): outcome(world.socket(80).revision)})
    assert said(world.listener("gw", "a"), "Programmed") == expected
    assert said(world.listener("gw", "b"), "Programmed") == "True/Programmed"
    assert said(world.gateway("gw"), "Programmed") == "True/Programmed"
    assert world.verdicts[gateway_key("gw")].waiting is waiting
    assert message(world.listener("gw", "a"), "Programmed")


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ((FailureReason.PORT_UNAVAILABLE, None), "True/Programmed"),
        ((FailureReason.PORT_UNAVAILABLE, FailureReason.PORT_UNAVAILABLE), "False/Invalid"),
        ((FailureReason.PORT_UNAVAILABLE, FailureReason.INVALID), "False/Invalid"),
    ],
)
def test_gateway_works_while_one_listener_does(reasons: tuple[FailureReason | None, ...], expected: str) -> None:
    """The Gateway fails only with its last listener, and then says why each did."""
    world = World(TWO)
    world.obey()
    world.report(
        {
            socket_key(port): failed(world.socket(port).revision, reason)
            for port, reason in zip((80, 81), reasons, strict=True)
            if reason is not None
        }
    )
    assert said(world.gateway("gw"), "Programmed") == expected


def test_nothing_said_yet_is_pending() -> None:
    """Before the data plane has said anything, the Gateway has no address, and everybody waits."""
    world = World(TWO, tcproute("route", [parent("gw")], [backend("web")]))
    assert said(world.gateway("gw"), "Programmed") == "False/AddressNotAssigned"
    assert world.gateway("gw").addresses == ()
    assert world.verdicts[gateway_key("gw")].waiting
    assert world.verdicts[route_key("route")].waiting


def static(*values: str) -> Manifest:
    """A Gateway with these addresses."""
    return gateway("gw", [listener("tcp", 80)], addresses=[{"value": value} for value in values])


def test_an_address_that_is_not_usable_is_the_gateways_fault() -> None:
    """The Gateway is accepted, not programmed, and publishes the rest; its listener serves there."""
    world = World(static("192.0.2.1", "198.51.100.9"))
    world.obey(except_for=[socket_key(80, "198.51.100.9")])
    revision = world.socket(80, "198.51.100.9").revision
    world.report({socket_key(80, "198.51.100.9"): failed(revision, FailureReason.ADDRESS_NOT_USABLE)})
    status = world.gateway("gw")
    assert said(status, "Accepted") == "True/Accepted"
    assert said(status, "Programmed") == "False/AddressNotUsable"
    assert "198.51.100.9" in message(status, "Programmed")
    assert [one.value for one in status.addresses] == ["192.0.2.1"]
    assert said(world.listener("gw", "tcp"), "Programmed") == "True/Programmed"
    world.apply(static("192.0.2.1"))
    world.obey()
    assert said(world.gateway("gw"), "Programmed") == "True/Programmed"
    assert [one.value for one in world.gateway("gw").addresses] == ["192.0.2.1"]


def test_a_listener_on_two_addresses_serves_on_both_or_says_why_not() -> None:
    """A failure is told at once, even while the outcome of the other address is still to come."""
    world = World(static("192.0.2.1", "192.0.2.2"))
    first, second = (socket_key(80, address) for address in ("192.0.2.1", "192.0.2.2"))
    revision = world.socket(80, "192.0.2.1").revision
    world.report({first: Live(revision=revision)})
    assert said(world.listener("gw", "tcp"), "Programmed") == "False/Pending"
    world.report({first: None, second: failed(world.socket(80, "192.0.2.2").revision, FailureReason.PORT_UNAVAILABLE)})
    assert said(world.listener("gw", "tcp"), "Programmed") == "False/PortUnavailable"
    assert not world.verdicts[gateway_key("gw")].waiting


def test_a_gateway_with_a_bad_address_still_waits_for_the_good_one() -> None:
    """What is wrong with one address does not make the status of the other final."""
    world = World(static("192.0.2.1", "198.51.100.9"))
    bad = socket_key(80, "198.51.100.9")
    world.report({bad: failed(world.socket(80, "198.51.100.9").revision, FailureReason.ADDRESS_NOT_USABLE)})
    assert said(world.gateway("gw"), "Programmed") == "False/AddressNotUsable"
    assert world.verdicts[gateway_key("gw")].waiting


def test_no_usable_address_at_all() -> None:
    """With its only address not usable, the listener is not programmed either, and nothing is published."""
    world = World(static("198.51.100.9"))
    key = socket_key(80, "198.51.100.9")
    world.report({key: failed(world.socket(80, "198.51.100.9").revision, FailureReason.ADDRESS_NOT_USABLE)})
    assert said(world.gateway("gw"), "Programmed") == "False/AddressNotUsable"
    assert world.gateway("gw").addresses == ()
    assert said(world.listener("gw", "tcp"), "Programmed") == "False/Invalid"


def test_wildcard_addresses_are_those_of_the_scope() -> None:
    """The data plane says them, best first; at most 16 are published; none: it says why."""
    world = World(TWO)
    many = tuple(f"192.0.2.{number}" for number in range(1, 30))
    world.obey(addresses=many)
    assert [one.value for one in world.gateway("gw").addresses] == list(many[:16])
    world.decision.set_report(AddressReport(scope="standalone", addresses=(), message="no interface is up"))
    world.decide()
    assert said(world.gateway("gw"), "Programmed") == "False/AddressNotAssigned"
    assert message(world.gateway("gw"), "Programmed") == "no interface is up"


def test_a_socket_that_another_gateway_holds() -> None:
    """The younger claimant is accepted, but not programmed; it takes over without a gap when the older goes."""
    older = gateway("older", [listener("tcp", 80)], created="2026-01-01T00:00:01Z")
    younger = gateway("younger", [listener("web", 80)], created="2026-01-01T00:00:02Z")
    foreign = gateway("foreign", [listener("x", 80)], created="2026-01-01T00:00:03Z", namespace="tenant")
    world = World(younger, foreign, older)
    world.obey()
    assert said(world.listener("younger", "web"), "Accepted") == "True/Accepted"
    assert said(world.listener("younger", "web"), "Programmed") == "False/PortUnavailable"
    assert "default/older" in message(world.listener("younger", "web"), "Programmed")
    assert said(world.gateway("younger"), "Programmed") == "False/Invalid"
    hidden = message(world.listener("foreign", "x", "tenant"), "Programmed")
    assert "older" not in hidden.replace("an older Gateway", "")
    assert "default" not in hidden
    change = world.remove(older)
    assert None not in [change.plan.get(key, "untouched") for key in (socket_key(80),)]
    world.obey()
    assert said(world.listener("younger", "web"), "Programmed") == "True/Programmed"


def test_with_scopes_of_their_own_gateways_never_compete() -> None:
    """A data plane per Gateway: both hold their port."""
    gateways = [gateway(name, [listener("tcp", 80)]) for name in ("one", "two")]
    services = [generated_service(f"{name}-tidegate") for name in ("one", "two")]
    world = World(*gateways, *services, scope_per_gateway=True)
    world.obey()
    assert [said(world.listener(name, "tcp"), "Programmed") for name in ("one", "two")] == ["True/Programmed"] * 2


@pytest.mark.parametrize("outcome", [None, Live(revision="old")])
def test_a_change_makes_its_route_wait(outcome: Outcome | None) -> None:
    """The route that is served waits for the socket's outcome, the one that is not does not."""
    world = World(
        gateway("gw", [listener("tcp", 80)]),
        tcproute("first", [parent("gw")], [backend("web")]),
        tcproute("second", [parent("gw")], [backend("web")]),
    )
    world.report({socket_key(80): outcome})
    waits = [world.verdicts[route_key(name)].waiting for name in ("first", "second")]
    assert waits == [True, False]
    world.obey()
    assert not world.verdicts[route_key("first")].waiting


def test_a_port_that_a_node_keeps_for_itself() -> None:
    """The listener says PortUnavailable on both conditions; its Gateway works, and the Service leaves the port out."""
    on_nodes = gateway("gw", [listener("web", 80), listener("alt", 8080)], infrastructure={"parametersRef": REFERENCE})
    world = World(
        gateway_class(),
        on_nodes,
        parameters("p", pod={"hostNetwork": True}),
        tcproute("route", [parent("gw", sectionName="web")], [backend("db")]),
        generated_service("gw-tidegate", ingress=["203.0.113.7"], ports=[{"name": "tcp-8080", "port": 8080}]),
        cluster=True,
    )
    world.obey()
    web = world.listener("gw", "web")
    assert [said(web, kind) for kind in ("Accepted", "Programmed")] == ["False/PortUnavailable"] * 2
    assert web.attached_routes == 1
    assert said(world.parents("route")[0], "Accepted") == "True/Accepted"
    assert said(world.gateway("gw"), "Accepted") == "True/ListenersNotValid"
    assert said(world.gateway("gw"), "Programmed") == "True/Programmed"
    assert [port.port for port in world.data_plane("gw").ports] == [8080]
    world.apply(parameters("p", pod={"hostNetwork": False}))
    assert [port.port for port in world.data_plane("gw").ports] == [80, 8080]
    assert said(world.listener("gw", "web"), "Accepted") == "True/Accepted"


@pytest.mark.parametrize(
    ("trouble", "without_address", "without_proxies"),
    [
        (TroubleReason.NO_RESOURCES, "False/NoResources", "False/NoResources"),
        (TroubleReason.REFUSED, "False/Invalid", "False/Invalid"),
        (TroubleReason.OTHER, "False/AddressNotAssigned", "False/Pending"),
    ],
)
def test_trouble_with_its_own_objects(trouble: TroubleReason, without_address: str, without_proxies: str) -> None:
    """It is the cause where nothing is served, and worth a note where something is."""
    world = World(gateway_class(), gateway("gw", [listener("tcp", 80)]), cluster=True)

    def hear(told: Trouble | None) -> str:
        world.decision.set_trouble(gateway_key("gw"), told)
        world.decide()
        return said(world.gateway("gw"), "Programmed")

    told = Trouble(reason=trouble, message="the words of the API server")
    assert hear(told) == without_address
    assert message(world.gateway("gw"), "Programmed").endswith("; the words of the API server")
    world.apply(generated_service("gw-tidegate", ingress=["203.0.113.7"]))
    assert said(world.gateway("gw"), "Programmed") == without_proxies
    assert message(world.gateway("gw"), "Programmed").endswith("; the words of the API server")
    world.obey()
    assert said(world.gateway("gw"), "Programmed") == "True/Programmed"
    assert message(world.gateway("gw"), "Programmed").endswith("not as it should be: the words of the API server")
    assert hear(None) == "True/Programmed"
    assert "words" not in message(world.gateway("gw"), "Programmed")


def test_an_address_that_is_not_to_be_had_is_told_in_the_words_of_the_api_server() -> None:
    """The reason stays: it is the address."""
    document = gateway("gw", [listener("tcp", 80)], addresses=[{"value": "192.0.2.9"}])
    world = World(gateway_class(), document, cluster=True)
    told = Trouble(reason=TroubleReason.REFUSED, message="not in the range")
    world.decision.set_trouble(gateway_key("gw"), told)
    world.decide()
    assert said(world.gateway("gw"), "Programmed") == "False/AddressNotUsable"
    assert message(world.gateway("gw"), "Programmed").endswith("not in the range")
