"""Which listeners a parentRef attaches to, and which route serves a listener."""

from __future__ import annotations

from typing import Any

import pytest

from support.manifests import GROUP, Manifest, backend, gateway, listener, metadata, parent, tcproute
from support.resources import World, listener_key, message, route_key, said
from tidegate.core.attachment import ATTACHMENTS, SERVING, Attached, ParentKey

BACKENDS = [backend("web")]


def namespace(name: str, **labels: str) -> Manifest:
    """A Namespace with labels."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(name, None, None) | {"labels": labels}}


def attached(world: World, route: str = "route", position: int = 0, namespace: str = "default") -> list[str]:
    """The listeners that a parentRef attaches to."""
    found = world.decision.graph.get(ATTACHMENTS, ParentKey(route_key(route, namespace), position))
    return [key.listener for key in found.listeners] if isinstance(found, Attached) else []


@pytest.mark.parametrize(
    ("reference", "listeners", "accepted"),
    [
        ({}, ["a", "b"], "True/Accepted"),
        ({"sectionName": "b"}, ["b"], "True/Accepted"),
        ({"port": 80}, ["a"], "True/Accepted"),
        ({"sectionName": "a", "port": 80}, ["a"], "True/Accepted"),
        ({"sectionName": "a", "port": 81}, [], "False/NoMatchingParent"),
        ({"sectionName": "z"}, [], "False/NoMatchingParent"),
        ({"port": 99}, [], "False/NoMatchingParent"),
        ({"port": 82}, [], "False/NotAllowedByListeners"),
        ({"sectionName": "http"}, [], "False/NotAllowedByListeners"),
        ({"namespace": "default", "group": GROUP, "kind": "Gateway"}, ["a", "b"], "True/Accepted"),
        ({"kind": "ListenerSet"}, [], None),
        ({"kind": "Service", "group": ""}, [], None),
        ({"namespace": "other"}, [], None),
        ({"name": "missing"}, [], None),
    ],
)
def test_parent_reference(reference: Manifest, listeners: list[str], accepted: str | None) -> None:
    """Name and port must both fit, if given; a parent that is not ours gets no entry."""
    world = World(
        gateway("gw", [listener("a", 80), listener("b", 81), listener("http", 82, protocol="HTTP")]),
        tcproute("route", [parent(**{"name": "gw"} | reference)], BACKENDS),
    )
    assert attached(world) == listeners
    assert [said(one, "Accepted") for one in world.parents("route")] == ([accepted] if accepted else [])
    assert all(message(one, "Accepted") for one in world.parents("route"))


@pytest.mark.parametrize(
    ("allowed", "routes"),
    [
        ({}, {"infra"}),
        ({"from": "Same"}, {"infra"}),
        ({"from": "All"}, {"infra", "red", "blue", "unlisted"}),
        ({"from": "Selector"}, set()),
        ({"from": "Selector", "selector": {}}, {"infra", "red", "blue", "unlisted"}),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "x"}}}, {"red"}),
        ({"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "unlisted"}}}, {"unlisted"}),
        ({"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "red"}}}, {"red"}),
        ({"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "Eh"}]}}, set()),
    ],
)
def test_allowed_namespaces(allowed: Manifest, routes: set[str]) -> None:
    """Same means the Gateway's namespace; selectors see the labels, and the name of every namespace."""
    world = World(
        gateway("gw", [listener("tcp", 80, allowedRoutes={"namespaces": allowed})], namespace="infra"),
        namespace("red", team="x"),
        namespace("blue", team="y"),
        *(
            tcproute("route", [parent("gw", namespace="infra")], BACKENDS, namespace=name)
            for name in ("infra", "red", "blue", "unlisted")
        ),
    )
    found = {name for name in ("infra", "red", "blue", "unlisted") if attached(world, namespace=name)}
    assert found == routes
    assert world.listener("gw", "tcp", "infra").attached_routes == len(routes)


def test_labels_that_change_attach_and_detach() -> None:
    """A namespace that gets the label brings its routes, and takes them away with it."""
    allowed = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "x"}}}}
    world = World(
        gateway("gw", [listener("tcp", 80, allowedRoutes=allowed)], namespace="infra"),
        tcproute("route", [parent("gw", namespace="infra")], BACKENDS, namespace="red"),
    )
    states = []
    for labels in ({"team": "x"}, {"team": "y"}, {"team": "x"}):
        world.apply(namespace("red", **labels))
        states.append(said(world.parents("route", "red")[0], "Accepted"))
    world.remove(namespace("red"))
    states.append(said(world.parents("route", "red")[0], "Accepted"))
    refused = "False/NotAllowedByListeners"
    assert states == ["True/Accepted", refused, "True/Accepted", refused]


def test_a_namespace_cannot_take_the_name_of_another() -> None:
    """The label of the name is the API server's: one that is written otherwise does not count."""
    label = "kubernetes.io/metadata.name"
    allowed = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {label: "trusted"}}}}
    world = World(
        gateway("gw", [listener("tcp", 80, allowedRoutes=allowed)], namespace="infra"),
        namespace("red", **{label: "trusted"}),
        tcproute("route", [parent("gw", namespace="infra")], BACKENDS, namespace="red"),
    )
    assert said(world.parents("route", "red")[0], "Accepted") == "False/NotAllowedByListeners"


def test_kinds_that_a_listener_does_not_take() -> None:
    """A listener for other kinds refuses the route, and says which it takes."""
    kinds: Any = {"kinds": [{"kind": "UDPRoute"}]}
    world = World(
        gateway("gw", [listener("tcp", 80, allowedRoutes=kinds)]), tcproute("route", [parent("gw")], BACKENDS)
    )
    assert said(world.parents("route")[0], "Accepted") == "False/NotAllowedByListeners"
    assert "TCPRoute" in message(world.parents("route")[0], "Accepted")


def test_two_references_to_one_listener_count_once() -> None:
    """The route's own namespace, spelled out and left out: two entries, one attached route."""
    world = World(
        gateway("gw", [listener("tcp", 80)]),
        tcproute("route", [parent("gw"), parent("gw", namespace="default")], BACKENDS),
    )
    assert [said(one, "Accepted") for one in world.parents("route")] == ["True/Accepted"] * 2
    assert world.listener("gw", "tcp").attached_routes == 1


def test_each_reference_is_judged_on_its_own() -> None:
    """Entries stand in the order of the spec, verbatim, without those that are not ours."""
    world = World(
        gateway("gw", [listener("tcp", 80)]),
        tcproute(
            "route", [parent("gw", sectionName="z"), parent("missing"), parent("gw", namespace="default")], BACKENDS
        ),
    )
    entries = [(one.parent_ref.section_name, said(one, "Accepted")) for one in world.parents("route")]
    assert entries == [("z", "False/NoMatchingParent"), (None, "True/Accepted")]


def test_the_oldest_serves_and_the_next_takes_over() -> None:
    """All are attached; when the oldest goes, the next one serves; a younger newcomer changes nothing."""
    routes = [
        tcproute(name, [parent("gw")], BACKENDS, created=f"2026-01-01T00:00:0{second}Z")
        for name, second in (("young", 3), ("old", 1), ("middle", 2))
    ]
    world = World(gateway("gw", [listener("tcp", 80)]), *routes)
    key = listener_key("gw", "tcp")
    winners = []
    for gone in (None, routes[1], routes[2], routes[0]):
        change = world.remove(gone) if gone is not None else world.decide()
        assert not change.faults
        serving = world.decision.graph.get(SERVING, key)
        assert serving is not None
        winners.append((serving.winner.name if serving.winner else None, serving.attached))
    assert winners == [("old", 3), ("middle", 2), ("young", 1), (None, 0)]
    world.apply(routes[1])
    assert not world.apply(routes[0]).plan


def test_the_loser_is_told_without_names() -> None:
    """A route that an older one supersedes is accepted, and told which listener, not whose route."""
    world = World(
        gateway("gw", [listener("tcp", 80, allowedRoutes={"namespaces": {"from": "All"}})], namespace="infra"),
        tcproute("secret", [parent("gw", namespace="infra")], BACKENDS, namespace="red"),
        tcproute("late", [parent("gw", namespace="infra")], BACKENDS, namespace="blue"),
    )
    (status,) = world.parents("late", "blue")
    assert said(status, "Accepted") == "True/Accepted"
    assert message(status, "Accepted") == "attached to tcp; an older route serves tcp"
