"""Words for hints."""

from __future__ import annotations

from support.manifests import gateway, service, tcproute
from tidegate.cli.hints.inventory import Hint, Inventory, did_you_mean, listing, nearest


def test_the_nearest_name_is_a_guess_or_nothing() -> None:
    """A typing error finds its word; something else finds none."""
    assert nearest("my-fo-service", ["my-bar-service", "my-foo-service"]) == "my-foo-service"
    assert nearest("x", ["my-foo-service"]) is None


def test_without_a_guess_there_is_a_list() -> None:
    """What there is helps too."""
    assert did_you_mean("fo", ["foo"]) == "did you mean foo?"
    assert did_you_mean("x", ["foo", "bar"]) == "there is foo and bar"
    assert did_you_mean("x", []) == ""


def test_long_lists_are_cut() -> None:
    """The rest is counted."""
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing(list(range(9))) == "0, 1, 2, 3, 4, 5 and 3 more"


def test_objects_are_found_by_kind_namespace_and_name() -> None:
    """Kinds of other groups with the same name are not mixed up."""
    foreign = {"apiVersion": "x.example/v1", "kind": "Service", "metadata": {"name": "s", "namespace": "a"}}
    inventory = Inventory([service("s", namespace="b"), foreign, gateway("g", [], namespace="a")])
    assert inventory.find("Service", "a", "s") is None
    assert inventory.namespaces_with("Service", "s") == ["b"]
    assert inventory.names("Gateway", "a") == ["g"]
    assert inventory.of_kind("EndpointSlice") == []


def test_every_kind_of_route_is_a_route() -> None:
    """Route kinds that come later are found without a change."""
    other = tcproute("u", [], []) | {"kind": "UDPRoute"}
    inventory = Inventory([tcproute("t", [], []), gateway("g", []), other])
    assert [route["metadata"]["name"] for route in inventory.routes()] == ["t", "u"]


def test_text_to_paste_is_indented() -> None:
    """A hint without one is a line."""
    assert Hint(object="A b", message="c").text == "hint: A b: c"
    assert Hint(object="A b", message="c", paste="d\ne\n").text == "hint: A b: c\n    d\n    e"
