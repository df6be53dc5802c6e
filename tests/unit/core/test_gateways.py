"""Which Gateways are ours, and what each as a whole is worth."""

from __future__ import annotations

from typing import Any

import pytest

from support.manifests import Manifest, backend, gateway, gateway_class, listener, parent, tcproute
from support.resources import World, class_key, gateway_key, message, said
from tidegate.core.gateways import DECISIONS, STANDING, ClassNotAccepted, NotOurs, Ours, Standing
from tidegate.core.incremental import Unit
from tidegate.names import ObjectKey
from tidegate.plan.types import Socket

PARAMETERS = {"group": "", "kind": "ConfigMap", "name": "settings"}


def standing_of(world: World) -> Standing | None:
    """What Gateway ``gw`` is to us."""
    table: Unit[ObjectKey, Any] = STANDING
    found: Standing | None = world.decision.graph.get(table, gateway_key("gw"))
    return found


def test_a_missing_class_is_ours_or_nobodys() -> None:
    """Standalone, a class without an object is taken as ours, and the status says so; in a cluster it is not."""
    adopted = World(gateway("gw", [listener("tcp", 80)]))
    standing = standing_of(adopted)
    assert isinstance(standing, Ours)
    assert message(adopted.gateway("gw"), "Accepted") == standing.note != ""
    strict = World(gateway("gw", [listener("tcp", 80)]), adopt_missing_classes=False)
    assert isinstance(standing_of(strict), NotOurs)
    assert not strict.plan
    assert not strict.verdicts


def test_our_class_and_a_foreign_one() -> None:
    """The controller name decides, whatever the class is called; it may be another one than the usual."""
    documents = (
        gateway_class("mine"),
        gateway_class("theirs", controller="example.com/other"),
        gateway("ours", [listener("tcp", 80)], class_name="mine"),
        gateway("foreign", [listener("tcp", 81)], class_name="theirs"),
    )
    world = World(*documents)
    assert set(world.verdicts) == {gateway_key("ours"), class_key("mine")}
    swapped = World(*documents, controller_name="example.com/other")
    assert set(swapped.verdicts) == {gateway_key("foreign"), class_key("theirs")}


def test_a_class_that_becomes_foreign_takes_everything_along() -> None:
    """Sockets and statuses of its Gateways and their routes are withdrawn, and come back with it."""
    world = World(
        gateway_class(), gateway("gw", [listener("tcp", 80)]), tcproute("route", [parent("gw")], [backend("web")])
    )
    before = (dict(world.plan), dict(world.verdicts))
    world.apply(gateway_class(controller="example.com/other"))
    assert (world.plan, world.verdicts) == ({}, {})
    world.apply(gateway_class())
    assert (world.plan, world.verdicts) == before


def test_a_class_with_parameters_makes_its_gateways_wait() -> None:
    """The class says InvalidParameters; Gateway and routes are Pending; nothing is served."""
    world = World(
        gateway_class(parametersRef=PARAMETERS),
        gateway("gw", [listener("tcp", 80)]),
        tcproute("route", [parent("gw")], [backend("web")]),
    )
    assert isinstance(standing_of(world), ClassNotAccepted)
    assert said(world.gateway_class("tidegate"), "Accepted") == "False/InvalidParameters"
    assert [said(world.gateway("gw"), kind) for kind in ("Accepted", "Programmed")] == ["Unknown/Pending"] * 2
    assert said(world.parents("route")[0], "Accepted") == "Unknown/Pending"
    assert not [value for value in world.plan.values() if isinstance(value, Socket)]


INFRASTRUCTURE = {"parametersRef": {"group": "invalid.io", "kind": "InvalidParameters", "name": "x"}}
ODD_ADDRESS = {"type": "test/fake", "value": "x"}
HTTP = listener("http", 80, protocol="HTTP")
TCP = listener("tcp", 81)


@pytest.mark.parametrize(
    ("listeners", "fields", "expected"),
    [
        ([TCP], {}, "True/Accepted"),
        ([TCP, HTTP], {}, "True/ListenersNotValid"),
        ([HTTP], {}, "False/ListenersNotValid"),
        ([TCP], {"addresses": [ODD_ADDRESS]}, "False/UnsupportedAddress"),
        ([TCP], {"addresses": [{"value": "192.0.2.1"}, ODD_ADDRESS]}, "False/UnsupportedAddress"),
        ([TCP], {"addresses": [{"type": "Hostname", "value": "a.example"}]}, "False/UnsupportedAddress"),
        ([HTTP], {"addresses": [ODD_ADDRESS]}, "False/UnsupportedAddress"),
        ([TCP], {"infrastructure": INFRASTRUCTURE}, "False/InvalidParameters"),
        ([HTTP], {"infrastructure": INFRASTRUCTURE, "addresses": [ODD_ADDRESS]}, "False/InvalidParameters"),
    ],
)
def test_accepted(listeners: list[Manifest], fields: dict[str, Any], expected: str) -> None:
    """Parameters come before addresses, and those before listeners; what is not accepted has no socket."""
    world = World(gateway("gw", listeners, **fields))
    assert said(world.gateway("gw"), "Accepted") == expected
    assert bool(world.plan) == expected.startswith("True")
    if not expected.startswith("True"):
        assert said(world.gateway("gw"), "Programmed") == "False/Invalid"


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([], ("*",)),
        ([{"type": "IPAddress"}], ("*",)),
        ([{"value": "0.0.0.0"}], ("*",)),
        ([{"value": "::"}, {"value": "0.0.0.0"}, {}], ("*",)),
        ([{"value": "192.0.2.7"}, {"value": "2001:DB8::0:1"}], ("192.0.2.7", "2001:db8::1")),
        ([{"value": "192.0.2.7"}, {}], ("192.0.2.7", "*")),
    ],
)
def test_addresses(addresses: list[Manifest], expected: tuple[str, ...]) -> None:
    """Sockets are bound where the spec asks, in canonical form, once; nothing asked means everywhere."""
    decision = World(gateway("gw", [TCP], addresses=addresses)).decision.graph.get(DECISIONS, gateway_key("gw"))
    assert decision is not None
    assert decision.addresses == expected


def test_with_a_data_plane_per_gateway_sockets_are_wildcards() -> None:
    """The Service in front of it carries the addresses."""
    world = World(gateway_class(), gateway("gw", [TCP], addresses=[{"value": "192.0.2.7"}]), cluster=True)
    assert [key.address for key in world.plan if hasattr(key, "address")] == ["*"]


def test_in_a_cluster_a_class_that_is_not_accepted_any_more_stops_nothing() -> None:
    """Its Gateways and their routes wait, as everywhere; what serves already goes on as it was."""
    world = World(
        gateway_class(),
        gateway("gw", [TCP]),
        tcproute("route", [parent("gw")], [backend("web")]),
        tcproute("stray", [parent("gw", port=1)], [backend("web")]),
        cluster=True,
    )
    before = dict(world.plan)
    world.apply(gateway_class(parametersRef=PARAMETERS))
    assert isinstance(standing_of(world), ClassNotAccepted)
    assert [said(world.gateway("gw"), kind) for kind in ("Accepted", "Programmed")] == ["Unknown/Pending"] * 2
    for route in ("route", "stray"):
        assert said(world.parents(route)[0], "Accepted") == "Unknown/Pending"
    assert world.plan == before


def test_classes_in_use() -> None:
    """A class of ours is in use while some Gateway names it, whatever that Gateway is worth."""
    world = World(gateway_class("mine"), gateway_class("theirs", controller="example.com/other"))
    assert world.classes_in_use == {class_key("mine"): False}
    odd, other = gateway("odd", [HTTP], class_name="mine"), gateway("other", [TCP], class_name="mine")
    assert world.apply(odd).classes_in_use == {class_key("mine"): True}
    assert world.apply(other, gateway("foreign", [TCP], class_name="theirs")).classes_in_use == {}
    assert world.remove(odd).classes_in_use == {}
    assert world.apply(gateway("other", [TCP], class_name="theirs")).classes_in_use == {class_key("mine"): False}
    assert world.remove(gateway_class("mine")).classes_in_use == {class_key("mine"): None}
