"""Hints about where connections go, for real decisions."""

from __future__ import annotations

from pathlib import Path

import yaml

from support.checking import checked
from support.manifests import Manifest, backend, gateway, grant, listener, parent, service, slice_of, tcproute
from support.snapshots import condition, gateway_status, served_class, taken
from tidegate.app.cluster import state_of
from tidegate.cli.hints.collect import hints_about
from tidegate.cli.hints.inventory import Hint
from tidegate.names import CONTROLLER_NAME

GATEWAY = gateway("g", [listener("foo", 8080)])


def hints(
    folder: Path, reference: Manifest, *documents: Manifest | list[Manifest], backends: tuple[str, ...] = ()
) -> list[Hint]:
    route = tcproute("r", [parent("g")], [reference])
    return list(hints_about(checked(folder, GATEWAY, route, *documents, backends=backends).state))


def messages(*arguments: object) -> list[str]:
    return [hint.message for hint in hints(*arguments)]  # type: ignore[arg-type]


def test_a_missing_service_is_guessed_and_shown_how_to_give(tmp_path: Path) -> None:
    """The nearest name, and the flag that would say where it runs."""
    assert messages(tmp_path, backend("my-fo"), service("my-foo")) == [
        (
            "there is no Service my-fo in namespace default; did you mean my-foo? "
            "To say where it runs: '--backend my-fo:6000=127.0.0.1:7001'"
        )
    ]


def test_a_service_elsewhere_is_found(tmp_path: Path) -> None:
    """The namespace field is what is missing."""
    (message,) = messages(tmp_path, backend("svc"), service("svc", namespace="apps"))
    assert "but one in apps: add 'namespace: apps' to the backendRef, and a ReferenceGrant there" in message


def test_a_missing_grant_can_be_pasted(tmp_path: Path) -> None:
    """The YAML of the hint, added to the input, resolves the reference."""
    reference, there = backend("svc", namespace="apps"), service("svc", namespace="apps")
    (hint,) = hints(tmp_path, reference, there)
    pasted = yaml.safe_load(hint.paste)
    assert (pasted["kind"], pasted["metadata"]["namespace"]) == ("ReferenceGrant", "apps")
    left = hints(tmp_path, reference, there, pasted, slice_of("svc", [("127.0.0.1", 7001)], namespace="apps"))
    assert left == []


def test_a_grant_for_something_else_does_not_count(tmp_path: Path) -> None:
    """A grant of another namespace, kind or name still leaves the hint."""
    others = [
        grant("a", namespace="apps", from_namespace="other"),
        grant("b", namespace="apps", from_namespace="default", from_kind="UDPRoute"),
        grant("c", namespace="apps", from_namespace="default", to_name="another"),
        grant("d", namespace="default", from_namespace="default"),
    ]
    (hint,) = hints(tmp_path, backend("svc", namespace="apps"), service("svc", namespace="apps"), others)
    assert "ReferenceGrant" in hint.paste


def test_a_port_that_the_service_has_not_lists_those_it_has(tmp_path: Path) -> None:
    """The port is probably a typing error, or the target port."""
    assert messages(tmp_path, backend("svc", 7000), service("svc", 6000)) == [
        "Service default/svc has no port 7000; its ports are 6000"
    ]


def test_a_service_that_runs_nowhere_is_told_how_to_say_it(tmp_path: Path) -> None:
    """A Service document alone has no endpoints: the three ways to give them are named."""
    (hint,) = hints(tmp_path, backend("svc", namespace="default"), service("svc"))
    assert hint.object == "Service default/svc"
    assert "--backend svc:6000=127.0.0.1:7001" in hint.message
    assert "--dns" in hint.message
    assert "kubernetes.io/service-name: svc" in hint.message


def test_a_share_that_fails_does_not_hide_another(tmp_path: Path) -> None:
    """Each reference gets the hint that fits it."""
    route = tcproute("r", [parent("g")], [backend("svc"), backend("far", namespace="apps")])
    state = checked(tmp_path, GATEWAY, route, service("svc"), service("far", namespace="apps")).state
    assert [hint.object for hint in hints_about(state)] == ["TCPRoute default/r", "Service default/svc"]


def test_endpoints_that_are_not_ready_need_no_hint(tmp_path: Path) -> None:
    """Who has EndpointSlices knows what they are doing."""
    slices = slice_of("svc", [("127.0.0.1", 7001)], conditions={"ready": False})
    assert hints(tmp_path, backend("svc"), service("svc"), slices) == []


def test_an_external_name_is_told_what_to_do_instead(tmp_path: Path) -> None:
    """Saying where it runs would not help, since the type is what stands in the way."""
    external = service("svc")
    external["spec"] |= {"type": "ExternalName", "externalName": "db.example.com"}
    (message,) = messages(tmp_path, backend("svc"), external)
    assert "make it a plain Service (remove 'type: ExternalName'), or delete its document and use" in message
    assert "'--backend svc:6000=127.0.0.1:7001' or '--dns'" in message


def test_a_port_of_another_protocol_needs_no_endpoints(tmp_path: Path) -> None:
    """Where a UDP port runs does not matter to a TCPRoute."""
    udp = service("svc")
    udp["spec"]["ports"][0]["protocol"] = "UDP"
    assert hints(tmp_path, backend("svc"), udp) == []


def test_a_flag_whose_name_does_not_resolve_is_not_advised_again(tmp_path: Path) -> None:
    """Who gave ``--backend`` is told what is wrong with it, not to give it."""
    found = hints(tmp_path, backend("svc"), backends=("svc:6000=tidegate.invalid:7001",))
    assert [(hint.object, hint.message) for hint in found] == [
        (
            "Service default/svc",
            (
                "the name of its host does not resolve: correct it, or give the address, as in "
                "'--backend svc:6000=127.0.0.1:7001'"
            ),
        )
    ]


def test_in_a_cluster_no_flag_of_an_instance_is_advised() -> None:
    """There, Services and Pods say where something runs."""
    foreign = {**service("other"), "spec": {"type": "ExternalName", "externalName": "example.com"}}
    there = taken(
        served_class(),
        served_gateway(),
        *(served_route(name, resolved=name == "svc") for name in ("nope", "svc", "other")),
        service("svc"),
        foreign,
    )
    found = [hint.message for hint in hints_about(state_of(there))]
    assert found == [
        "there is no Service nope in namespace default",
        (
            "nothing says where it runs: its selector finds no Pods, or it has none and lacks an EndpointSlice with "
            "the label kubernetes.io/service-name: svc"
        ),
        (
            "Service default/other has the type ExternalName, which is not supported: make it a plain Service (remove "
            "'type: ExternalName')"
        ),
    ]


def served_gateway() -> Manifest:
    """A Gateway of a cluster, with the status that its controller wrote."""
    return {**gateway("g", [listener("foo", 8080)]), "status": gateway_status("foo")}


def served_route(service_name: str, *, resolved: bool) -> Manifest:
    """A route of a cluster, which is named after its backend, with its status."""
    conditions = [condition("Accepted"), condition("ResolvedRefs", holds=resolved)]
    entry = {"parentRef": parent("g"), "controllerName": CONTROLLER_NAME, "conditions": conditions}
    return {**tcproute(service_name, [parent("g")], [backend(service_name)]), "status": {"parents": [entry]}}
