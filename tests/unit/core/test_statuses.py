"""Statuses: which conditions there are, whose generation they carry, and who gets none."""

from __future__ import annotations

from typing import Any

import pytest

from support.manifests import GROUP, Manifest, backend, gateway, listener, parent, service, tcproute
from support.resources import World, message, on_one_port, route_key, said, typed
from tidegate.names import CONTROLLER_NAME


def aged(document: Manifest, generation: int) -> Manifest:
    """The same object at another generation."""
    return {**document, "metadata": {**document["metadata"], "generation": generation}}


CLASS = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "tidegate"},
    "spec": {"controllerName": CONTROLLER_NAME},
}
GATEWAY = gateway("gw", [listener("tcp", 80), listener("http", 81, protocol="HTTP")])
ROUTE = tcproute("route", [parent("gw")], [backend("web")])


def types(holder: Any) -> list[str]:
    """The condition types of a status."""
    return [one.type for one in holder.conditions]


def test_conditions_that_are_always_there() -> None:
    """Each status has its positive conditions, whether True or False, and no negative one."""
    world = World(CLASS, GATEWAY, ROUTE)
    assert types(world.gateway_class("tidegate")) == ["Accepted", "SupportedVersion"]
    assert types(world.gateway("gw")) == ["Accepted", "Programmed"]
    for name in ("tcp", "http"):
        assert types(world.listener("gw", name)) == ["Accepted", "Programmed", "ResolvedRefs"]
    assert types(world.parents("route")[0]) == ["Accepted", "ResolvedRefs"]


def test_generation_is_that_of_the_object_with_the_status() -> None:
    """A new generation refreshes every condition of that object, and of no other."""
    world = World(aged(CLASS, 3), aged(GATEWAY, 4), aged(ROUTE, 5))
    world.apply(aged(GATEWAY, 9))
    status = world.gateway("gw")
    groups: list[list[Any]] = [
        [world.gateway_class("tidegate")],
        [status, *status.listeners],
        [*world.parents("route")],
    ]
    seen = [{one.observed_generation for holder in group for one in holder.conditions} for group in groups]
    assert seen == [{3}, {9}, {5}]


def test_class_status() -> None:
    """Every class of ours is accepted, with its features in order."""
    status = World(CLASS).gateway_class("tidegate")
    assert [said(status, kind) for kind in types(status)] == ["True/Accepted", "True/SupportedVersion"]
    features = [feature.name for feature in status.supported_features]
    assert features == sorted(features)
    assert {"Gateway", "TCPRoute", "ReferenceGrant"} <= set(features)
    in_cluster = [feature.name for feature in World(CLASS, cluster=True).gateway_class("tidegate").supported_features]
    assert in_cluster == sorted([*features, "GatewayInfrastructurePropagation"])


def test_listeners_stand_in_the_order_of_the_spec() -> None:
    """One entry per listener, none left over after a removal."""
    world = World(gateway("gw", [listener("b", 80), listener("a", 81)]))
    assert [one.name for one in world.gateway("gw").listeners] == ["b", "a"]
    world.apply(gateway("gw", [listener("a", 81)]))
    assert [one.name for one in world.gateway("gw").listeners] == ["a"]


def test_a_listener_that_is_not_accepted() -> None:
    """Accepted says the reason, Programmed Invalid, references resolve, no kinds, no routes."""
    one = World(GATEWAY, ROUTE).listener("gw", "http")
    assert said(one, "Accepted") == "False/UnsupportedProtocol"
    assert said(one, "Programmed") == "False/Invalid"
    assert said(one, "ResolvedRefs") == "True/ResolvedRefs"
    assert (one.supported_kinds, one.attached_routes) == ((), 0)


def test_listeners_that_clash() -> None:
    """Accepted, Programmed and Conflicted give the same reason; routes do not attach, and it ends with the clash."""
    world = World(ROUTE)
    world.set(on_one_port(typed(gateway("gw", [listener("a", 80), listener("b", 81)])), 80))
    for name in ("a", "b"):
        one = world.listener("gw", name)
        assert said(one, "Accepted") == said(one, "Programmed") == "False/ProtocolConflict"
        assert said(one, "Conflicted") == "True/ProtocolConflict"
        assert (one.supported_kinds, one.attached_routes) == ((), 0)
    assert said(world.gateway("gw"), "Accepted") == "False/ListenersNotValid"
    assert said(world.parents("route")[0], "Accepted") == "False/NotAllowedByListeners"
    world.apply(gateway("gw", [listener("a", 80), listener("b", 81)]))
    assert said(world.listener("gw", "a"), "Conflicted") == "absent"


def test_invalid_kinds_leave_a_listener_accepted() -> None:
    """ResolvedRefs is False, Accepted is not."""
    kinds = {"kinds": [{"kind": "Odd"}, {"kind": "TCPRoute"}]}
    one = World(gateway("gw", [listener("tcp", 80, allowedRoutes=kinds)]), ROUTE).listener("gw", "tcp")
    assert said(one, "Accepted") == "True/Accepted"
    assert said(one, "ResolvedRefs") == "False/InvalidRouteKinds"
    assert one.attached_routes == 1


@pytest.mark.parametrize("parents", [[], [parent("missing")], [parent("gw", kind="Service", group="")]])
def test_a_route_without_a_parent_of_ours_has_no_status(parents: list[Manifest]) -> None:
    """Nothing is written for it; a status it had is withdrawn."""
    world = World(GATEWAY, tcproute("route", parents, [backend("web")]))
    assert world.parents("route") == ()
    world.apply(ROUTE)
    assert len(world.parents("route")) == 1
    change = world.apply(tcproute("route", parents, [backend("web")]))
    assert change.verdicts[route_key("route")] is None


def test_parent_is_copied_verbatim() -> None:
    """The entry has exactly the fields that the spec has set, and our controller name."""
    world = World(GATEWAY, tcproute("route", [parent("gw", sectionName="tcp", port=80)], [backend("web")]))
    (status,) = world.parents("route")
    reference = status.parent_ref
    assert (reference.namespace, reference.name, reference.section_name, reference.port) == (None, "gw", "tcp", 80)
    assert status.controller_name == CONTROLLER_NAME


FAR = backend("x", namespace="far")
ODD = {"name": "x", "group": "example.com", "kind": "Bucket", "weight": 0}
MISSING = backend("missing")
UDP = backend("dns", 53)


@pytest.mark.parametrize(
    ("refs", "expected"),
    [
        ([FAR, ODD, MISSING, UDP], "RefNotPermitted"),
        ([UDP, MISSING, ODD], "InvalidKind"),
        ([UDP, MISSING], "BackendNotFound"),
        ([UDP], "UnsupportedProtocol"),
        ([ODD, backend("web")], "InvalidKind"),
    ],
)
def test_the_worst_of_several_reasons(refs: list[Manifest], expected: str) -> None:
    """One reason is chosen by severity, wherever it stands and whatever it weighs; the message has them all."""
    dns = service("dns", 53)
    dns["spec"]["ports"][0]["protocol"] = "UDP"
    (status,) = World(GATEWAY, tcproute("route", [parent("gw")], refs), dns, service("web")).parents("route")
    assert said(status, "ResolvedRefs") == f"False/{expected}"
    assert message(status, "ResolvedRefs").count("; ") >= len([ref for ref in refs if ref["name"] != "web"]) - 1


def test_references_are_resolved_even_when_not_accepted() -> None:
    """Both conditions are always told."""
    (status,) = World(GATEWAY, tcproute("route", [parent("gw", sectionName="z")], [MISSING])).parents("route")
    assert said(status, "Accepted") == "False/NoMatchingParent"
    assert said(status, "ResolvedRefs") == "False/BackendNotFound"


def test_more_than_one_rule() -> None:
    """A leftover of v1alpha2: the first rule is in force, and the status says that others were dropped."""
    document = tcproute("route", [parent("gw")], [backend("web")], version="v1alpha2")
    document["spec"]["rules"] += [{"backendRefs": [MISSING]}, {"backendRefs": [FAR]}]
    (status,) = World(GATEWAY, document, service("web")).parents("route")
    assert said(status, "Accepted") == "True/Accepted"
    assert said(status, "ResolvedRefs") == "True/ResolvedRefs"
    assert said(status, "PartiallyInvalid") == "True/UnsupportedValue"
    assert message(status, "PartiallyInvalid").startswith("Dropped Rule")


def test_a_route_hears_of_its_gateway() -> None:
    """A Gateway that comes, changes and goes moves the status of a route that itself does not change."""
    world = World(ROUTE)
    seen = []
    for listeners in ([listener("tcp", 80)], [listener("http", 80, protocol="HTTP")]):
        world.apply(gateway("gw", listeners))
        seen.append(said(world.parents("route")[0], "Accepted"))
    world.remove(gateway("gw", [listener("tcp", 80)]))
    assert seen == ["True/Accepted", "False/NotAllowedByListeners"]
    assert world.parents("route") == ()
