"""Hints about where routes attach, for real decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.checking import checked
from support.manifests import Manifest, backend, gateway, listener, parent, service, tcproute
from support.snapshots import served_class, taken
from tidegate.app.cluster import state_of
from tidegate.cli.hints.collect import hints_about

SERVICE = [service("svc")]


def hints(folder: Path, *documents: Manifest) -> list[str]:
    """All hints about documents, but for those about where the Service runs."""
    state = checked(folder, *documents, backends=["svc:6000=127.0.0.1:7001"]).state
    return [f"{hint.object}: {hint.message}" for hint in hints_about(state)]


def route(reference: Manifest, **fields: Any) -> Manifest:
    return tcproute("r", [reference], [backend("svc", namespace="default")], **fields)


def test_nothing_to_say_about_what_works(tmp_path: Path) -> None:
    """A route that attaches gets no hint."""
    assert hints(tmp_path, gateway("g", [listener("foo", 8080)]), route(parent("g", sectionName="foo"))) == []


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        (parent("g", sectionName="fo"), "Gateway default/g has no listener fo; did you mean foo?"),
        (parent("g", sectionName="zzz"), "Gateway default/g has no listener zzz; there is foo and bar"),
        (parent("g", port=80), "Gateway default/g has no listener with port 80; its ports are 8080 and 8090"),
        (
            parent("g", sectionName="foo", port=8090),
            "listener foo of Gateway default/g has port 8080, not 8090: leave out 'port', or correct it",
        ),
        (parent("gg"), "there is no Gateway gg in namespace default; did you mean g?"),
        (
            parent("far"),
            "there is no Gateway far in namespace default, but one in edge: add 'namespace: edge' to the parentRef",
        ),
        (parent("g", kind="Service", group=""), "parentRef g is a Service; routes attach to a Gateway"),
    ],
)
def test_a_reference_that_misses_is_told_what_there_is(tmp_path: Path, reference: Manifest, hint: str) -> None:
    """The nearest name, the ports, or the namespace where it is."""
    gateways = [
        gateway("g", [listener("foo", 8080), listener("bar", 8090)]),
        gateway("far", [listener("foo", 9000)], namespace="edge"),
    ]
    assert hints(tmp_path, *gateways, route(reference)) == [f"TCPRoute default/r: {hint}"]


def test_an_invalid_gateway_is_not_called_missing(tmp_path: Path) -> None:
    """What is there and not in force is said to be invalid."""
    assert hints(tmp_path, gateway("g", [listener("foo", 0)]), route(parent("g"))) == [
        "TCPRoute default/r: Gateway default/g is invalid, and so not in force"
    ]


def test_a_route_without_parents_attaches_to_nothing(tmp_path: Path) -> None:
    """The field that is missing is named."""
    (hint,) = hints(tmp_path, tcproute("r", [], [backend("svc")]))
    assert "it has no parentRefs" in hint


def test_a_kind_that_no_listener_takes_is_explained(tmp_path: Path) -> None:
    """Protocols and permitted kinds are shown, and the fields that decide."""
    kinds = {"allowedRoutes": {"kinds": [{"kind": "UDPRoute"}]}}
    found = hints(tmp_path, gateway("g", [listener("foo", 8080, **kinds)]), route(parent("g")))
    assert found == [
        (
            "TCPRoute default/r: no listener of Gateway default/g that it refers to takes a TCPRoute: "
            "foo (TCP, only UDPRoute); check 'protocol' and 'allowedRoutes.kinds' there"
        )
    ]


def test_a_namespace_that_is_not_allowed_is_explained(tmp_path: Path) -> None:
    """The default of Same is told with how to widen it."""
    there = tcproute("r", [parent("g", namespace="edge")], [backend("svc")])
    found = hints(tmp_path, gateway("g", [listener("foo", 8080)], namespace="edge"), there)
    assert found == [
        (
            "TCPRoute default/r: listener foo of Gateway edge/g only takes routes of its own namespace edge, and this "
            "one is in default: set 'allowedRoutes.namespaces.from: All' there, or use Selector"
        )
    ]


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"matchLabels": {"team": "a"}}, "match team=a,"),
        ({"matchExpressions": [{"key": "k", "operator": "In", "values": ["p", "q"]}]}, "match k In p and q,"),
        (None, "match a selector that is missing (it matches nothing),"),
    ],
)
def test_a_selector_that_does_not_match_is_shown(tmp_path: Path, selector: Manifest | None, text: str) -> None:
    """The labels that would be needed are spelled out."""
    namespaces: Manifest = {"from": "Selector"} | ({"selector": selector} if selector else {})
    there = gateway("g", [listener("foo", 8080, allowedRoutes={"namespaces": namespaces})], namespace="edge")
    (hint,) = hints(tmp_path, there, tcproute("r", [parent("g", namespace="edge")], [backend("svc")]))
    assert text in hint
    assert "Namespace default do not" in hint


def gateway_class(name: str, controller: str) -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": controller},
    }


def test_a_class_of_another_controller_is_told(tmp_path: Path) -> None:
    """Gateway and route say whose it is, and the flag that serves it."""
    found = hints(
        tmp_path,
        gateway_class("other", "example.com/x"),
        gateway("g", [listener("foo", 8080)], class_name="other"),
        route(parent("g")),
    )
    expected = (
        "Gateway default/g is not served: its class other belongs to the controller example.com/x; "
        "'--controller-name example.com/x' serves it"
    )
    assert found == [f"Gateway default/g: {expected}", f"TCPRoute default/r: {expected}"]


def test_a_misspelt_class_is_guessed(tmp_path: Path) -> None:
    """A class without an object is ours, but a near name was probably meant."""
    found = hints(
        tmp_path,
        gateway_class("tidegate", "tidegate.dev/gateway-controller"),
        gateway("g", [listener("foo", 8080)], class_name="tidgate"),
    )
    assert found == [
        "Gateway default/g: there is no GatewayClass tidgate, so its settings are the defaults; did you mean tidegate?"
    ]


def test_in_a_cluster_a_class_needs_an_object() -> None:
    """Without one, or with another controller's, nobody here serves the Gateway, and no flag would change that."""
    foreign = served_class("other", controller="example.com/other")
    there = taken(
        served_class("tidegate"),
        foreign,
        gateway("g", [listener("foo", 1)], class_name="tidegat"),
        gateway("h", [listener("foo", 1)], class_name="x"),
        gateway("i", [listener("foo", 1)], class_name="other"),
    )
    assert [hint.message for hint in hints_about(state_of(there))] == [
        "there is no GatewayClass tidegat, so nobody serves it; did you mean tidegate?",
        "there is no GatewayClass x, so nobody serves it",
        "Gateway default/i is not served: its class other belongs to the controller example.com/other",
    ]
