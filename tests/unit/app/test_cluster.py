"""What commands see of a cluster, and what files would change there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.manifests import backend, gateway, listener, parent, service, slice_of, tcproute, write
from support.snapshots import condition, gateway_status, served_class, stored, taken
from tidegate.app.cluster import ClusterCheck, check_of, state_of
from tidegate.model.diagnostics import Severity
from tidegate.names import CONTROLLER_NAME, ObjectKey
from tidegate.sources.files import FilesSource
from tidegate.sources.kubernetes_snapshot import Snapshot

GATEWAY = gateway("g", [listener("foo", 8080)])
ROUTE = tcproute("r", [parent("g")], [backend("svc")])
BACKENDS = [service("svc"), *slice_of("svc", [("10.1.0.7", 7000), ("10.1.0.8", 7000)])]


def served(**programmed: Any) -> Snapshot:
    """A cluster with a Gateway that serves a route."""
    status = gateway_status("foo", addresses=["192.0.2.7"], **programmed)
    return taken(served_class(), {**GATEWAY, "status": status}, ROUTE, *BACKENDS)


def test_listeners_are_as_their_status_says() -> None:
    """State and addresses are what the controller wrote; route and backends what the objects say."""
    (view,) = state_of(served()).listeners
    assert (view.gateway, view.listener, view.state, view.addresses) == ("default/g", "foo", "Live", ("192.0.2.7",))
    assert view.route == "default/r"
    assert [(one.name, one.endpoints, one.total) for one in view.backends] == [("default/svc:6000", 2, 2)]
    assert state_of(served()).cluster


def test_what_is_not_programmed_says_why() -> None:
    """The message is the controller's own."""
    found = state_of(served(holds=False, reason="Pending", message="no proxy is ready"))
    (view,) = found.listeners
    assert (view.state, view.message) == ("Pending", "no proxy is ready")


def test_status_of_an_older_generation_says_nothing_about_the_newest() -> None:
    """A Gateway that the controller has not looked at since its last change is not shown as Live."""
    status = gateway_status("foo", generation=1)
    changed = {**GATEWAY, "metadata": {"name": "g", "generation": 2}, "status": status}
    (view,) = state_of(taken(served_class(), changed)).listeners
    assert view.state == "Pending"


def test_what_others_say_is_left_out() -> None:
    """Statuses of other controllers' Gateways and entries are theirs; hints would take them for ours."""
    foreign = served_class("other", controller="example.com/other")
    entries = [
        {"parentRef": {"name": "g"}, "controllerName": name, "conditions": [condition("Accepted")]}
        for name in ("example.com/other", CONTROLLER_NAME)
    ]
    elsewhere = {**gateway("h", [listener("x", 1)], class_name="other"), "status": gateway_status("x")}
    objects = state_of(taken(served_class(), foreign, elsewhere, {**ROUTE, "status": {"parents": entries}})).objects
    by_name = {item["metadata"]["name"]: item for item in objects}
    assert "status" not in by_name["h"]
    assert [entry["controllerName"] for entry in by_name["r"]["status"]["parents"]] == [CONTROLLER_NAME]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "no GatewayClass has the controller tidegate.dev/gateway-controller"),
        ([served_class(accepted=False)], "no GatewayClass is accepted: does the controller run?"),
        ([served_class("a", accepted=False), served_class("b")], ""),
    ],
)
def test_controller_that_does_not_run_is_told(classes: list[dict[str, Any]], message: str) -> None:
    """Its classes tell whether anybody serves them."""
    instance = state_of(taken(*classes)).instance
    assert (instance.message, instance.ready) == (message, not message)


def test_cluster_without_the_gateway_api_is_told() -> None:
    """Who forgot the CRDs is told so, and not that there is no class; what is optional is not missed."""
    message = state_of(taken(absent=["TCPRoute", "ReferenceGrant"])).instance.message
    assert message.startswith("the cluster does not serve TCPRoute: install the CustomResourceDefinitions")
    assert state_of(taken(served_class(), absent=["ReferenceGrant"])).instance.message == ""


def test_invalid_object_of_the_cluster_is_a_problem() -> None:
    """An object that tidegate does not take is said, with the cluster as its place."""
    broken = stored(gateway("g", [listener("foo", 99999)]))
    (problem,) = state_of(taken(served_class(), broken)).problems
    assert (problem.severity, problem.file, problem.object) == ("error", "cluster", "Gateway default/g")


def foresee(folder: Path, there: Snapshot, *documents: Any) -> ClusterCheck:
    """What files with these documents would change."""
    path = folder / "files.yaml"
    write(path, *documents)
    source = FilesSource((str(path),), watch=False)
    return check_of(there, source.load(), source.origin, CONTROLLER_NAME)


def status_of(found: ClusterCheck, kind: str, name: str) -> dict[str, Any]:
    """The foreseen status of an object."""
    (item,) = (item for item in found.result.state.objects if (item["kind"], item["metadata"]["name"]) == (kind, name))
    status: dict[str, Any] = item["status"]
    return status


def test_new_gateway_is_foreseen_as_served(tmp_path: Path) -> None:
    """Its Service and its proxies will be there; which address it gets nobody knows yet."""
    found = foresee(tmp_path, taken(served_class(), *BACKENDS), GATEWAY, ROUTE)
    status = status_of(found, "Gateway", "g")
    assert {item["type"]: item["status"] for item in status["conditions"]}["Programmed"] == "True"
    assert status.get("addresses", []) == []
    assert found.named == {
        ObjectKey("gateway.networking.k8s.io", "Gateway", "default", "g"),
        ObjectKey("gateway.networking.k8s.io", "TCPRoute", "default", "r"),
    }


def test_address_that_is_asked_for_is_foreseen(tmp_path: Path) -> None:
    """A static address counts as assigned."""
    wanted = gateway("g", [listener("foo", 8080)], addresses=[{"value": "192.0.2.9"}])
    status = status_of(foresee(tmp_path, taken(served_class()), wanted), "Gateway", "g")
    assert [one["value"] for one in status["addresses"]] == ["192.0.2.9"]


def test_new_route_is_younger_than_those_of_the_cluster(tmp_path: Path) -> None:
    """Whatever a file says of its age, the route that is there goes on serving."""
    newcomer = tcproute("a", [parent("g")], [backend("svc")], created="2020-01-01T00:00:00Z")
    (view,) = foresee(tmp_path, served(), newcomer).result.state.listeners
    assert (view.route, view.attached_routes) == ("default/r", 2)


def test_changed_object_keeps_its_age_and_counts_up(tmp_path: Path) -> None:
    """A change is the next generation of the same object; the same once more is no change."""
    rival = tcproute("s", [parent("g")], [backend("svc")], created="2026-02-02T00:00:00Z")
    there = taken(served_class(), GATEWAY, ROUTE, rival, *BACKENDS)
    found = foresee(tmp_path, there, tcproute("r", [parent("g")], [backend("svc", weight=5)]), GATEWAY)
    (view,) = found.result.state.listeners
    assert view.route == "default/r"
    generations = {item["metadata"]["name"]: item["metadata"].get("generation") for item in found.result.state.objects}
    assert (generations["r"], generations["g"]) == (2, 1)


def test_gateway_without_a_class_is_not_served(tmp_path: Path) -> None:
    """Unlike on one machine, a class needs an object."""
    found = foresee(tmp_path, taken(), GATEWAY)
    assert found.result.state.listeners == ()


def test_kind_that_is_not_served_is_an_error(tmp_path: Path) -> None:
    """Nothing of that kind could be applied; the place is that in the file."""
    found = foresee(tmp_path, taken(served_class(), absent=["TCPRoute"]), ROUTE)
    (said,) = found.result.diagnostics
    assert said.severity is Severity.ERROR
    assert said.location.file.endswith("files.yaml")
    assert "does not serve TCPRoute" in said.message
