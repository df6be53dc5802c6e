"""What a cluster has to provide for each Gateway, and what of it stays when a Gateway is not accepted any more."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.generated import generated_service
from support.manifests import PARAMETERS, backend, gateway, gateway_class, listener, parameters, parent, tcproute
from support.resources import World, gateway_key, said, socket_key, typed
from tidegate.core.infrastructure import infrastructure_name, service_of
from tidegate.names import ACCESS_LOG_LABEL, CORE_GROUP, MANAGED_BY_LABEL, MANAGER, ObjectKey
from tidegate.plan.infrastructure import Infrastructure, InfrastructurePort, KeptInfrastructure, Parameters
from tidegate.plan.types import Target

TCP = listener("tcp", 8080)
MISSING = {"parametersRef": {**PARAMETERS, "name": "p"}}
KEPT = KeptInfrastructure(gateway=gateway_key("gw"), name="gw-tidegate")


def test_everything_that_a_gateway_says_about_it() -> None:
    """Identity, labels and annotations, asked addresses in order, and a port for each listener that is accepted."""
    document = gateway(
        "gw",
        [listener("b", 443), listener("a", 80), listener("odd", 81, protocol="ODD")],
        infrastructure={"labels": {"a": "b"}, "annotations": {"c": "d"}},
        addresses=[{"value": "192.0.2.9"}, {"type": "IPAddress"}, {"value": "192.0.2.1"}],
    )
    document["metadata"]["uid"] = "1-2-3"
    found = World(gateway_class(), document, cluster=True).data_plane("gw")
    assert found == Infrastructure(
        gateway=gateway_key("gw"),
        uid="1-2-3",
        class_name="tidegate",
        name="gw-tidegate",
        labels={"a": "b"},
        annotations={"c": "d"},
        ports=(
            InfrastructurePort(name="tcp-80", port=80, protocol="TCP"),
            InfrastructurePort(name="tcp-443", port=443, protocol="TCP"),
        ),
        addresses=("192.0.2.9", "192.0.2.1"),
        parameters=Parameters(),
    )
    assert found.scope == KEPT.scope == "default/gw"


def test_without_a_cluster_there_is_nothing_to_provide() -> None:
    """Where all Gateways share one data plane, nobody runs Pods."""
    world = World(gateway_class(), gateway("gw", [TCP]))
    assert (world.infrastructure, world.ready) == ({}, {})


def test_a_renamed_listener_changes_nothing() -> None:
    """Ports of the Service are named after themselves."""
    world = World(gateway_class(), gateway("gw", [TCP]), cluster=True)
    assert not world.apply(gateway("gw", [listener("other", 8080)])).infrastructure
    assert world.apply(gateway("gw", [listener("other", 8081)])).infrastructure


def test_routes_and_endpoints_are_no_part_of_it() -> None:
    """What changes often reaches proxies by their configuration alone."""
    world = World(gateway_class(), gateway("gw", [TCP]), cluster=True)
    assert not world.apply(tcproute("route", [parent("gw")], [backend("web")])).infrastructure


def test_a_gateway_that_leaves_takes_it_along() -> None:
    """Deleted, or given to a class of another controller: there is nothing to provide any more."""
    world = World(gateway_class(), gateway("gw", [TCP]), cluster=True)
    assert world.apply(gateway("gw", [TCP], class_name="theirs")).infrastructure == {gateway_key("gw"): None}
    assert set(world.apply(gateway("gw", [TCP])).infrastructure) == {gateway_key("gw")}
    assert world.remove(gateway("gw", [TCP])).infrastructure == {gateway_key("gw"): None}


def test_a_new_gateway_under_an_old_name_is_another_one() -> None:
    """The generated objects get the new owner."""
    old, new = gateway("gw", [TCP]), gateway("gw", [TCP])
    old["metadata"]["uid"], new["metadata"]["uid"] = "1", "2"
    world = World(gateway_class(), old, cluster=True)
    world.apply(new)
    assert world.data_plane("gw").uid == "2"


@pytest.mark.parametrize(
    "broken",
    [
        gateway("gw", [TCP], infrastructure=MISSING),
        gateway("gw", [TCP], addresses=[{"type": "Hostname", "value": "a.example"}]),
        gateway_class(parametersRef={**PARAMETERS, "name": "p", "namespace": "infra"}),
    ],
    ids=["own parameters", "address type", "class parameters"],
)
def test_what_is_not_accepted_any_more_goes_on(broken: Any) -> None:
    """The data plane stays as it is and serves what it can, routes that change included; nothing says Programmed."""
    route = tcproute("route", [parent("gw")], [backend("web")])
    world = World(gateway_class(), gateway("gw", [TCP]), route, cluster=True)
    world.obey()
    before = dict(world.plan)
    world.apply(broken)
    assert world.infrastructure == {gateway_key("gw"): KEPT}
    assert world.plan == before
    assert not said(world.gateway("gw"), "Accepted").startswith("True")
    assert not said(world.gateway("gw"), "Programmed").startswith("True")
    assert not world.verdicts[gateway_key("gw")].waiting
    for entry in world.gateway("gw").listeners:
        assert said(entry, "Programmed") == "False/Invalid"
    world.apply(tcproute("route", [parent("gw")], [backend("web"), backend("other")]))
    (target,) = [value for value in world.plan.values() if isinstance(value, Target)]
    assert len(target.backends) == 2


def test_no_accepted_listener_keeps_it_too() -> None:
    """A typing error in the only listener does not give the Gateway's address away."""
    world = World(gateway_class(), gateway("gw", [TCP]), cluster=True)
    world.apply(gateway("gw", [listener("tcp", 8080, protocol="TPC")]))
    assert world.infrastructure == {gateway_key("gw"): KEPT}


def test_parameters_that_come_back_end_it() -> None:
    """Once everything resolves, the objects are brought up to date."""
    world = World(gateway_class(), gateway("gw", [TCP], infrastructure=MISSING), cluster=True)
    assert world.infrastructure == {gateway_key("gw"): KEPT}
    world.apply(parameters("p", replicas=2))
    assert world.data_plane("gw").parameters.replicas == 2


def test_gateways_never_meet_on_a_port() -> None:
    """Each has sockets of its own, whatever the ports of others are."""
    ports = [{"name": "tcp-8080", "port": 8080}]
    services = [generated_service(f"{name}-tidegate", ports=ports) for name in ("one", "two")]
    world = World(gateway_class(), gateway("one", [TCP]), gateway("two", [TCP]), *services, cluster=True)
    world.obey()
    for name in ("one", "two"):
        assert socket_key(8080, scope=f"default/{name}") in world.plan
        assert said(world.listener(name, "tcp"), "Programmed") == "True/Programmed"


NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")


@pytest.mark.parametrize(
    ("gateway_name", "class_name", "expected"),
    [
        ("gw", "tidegate", r"gw-tidegate"),
        ("my-tcp-gateway", "tidegate", r"my-tcp-gateway-tidegate"),
        ("g" * 54, "tidegate", r"g{54}-tidegate"),
        ("g" * 55, "tidegate", r"g{54}-[0-9a-f]{8}"),
        ("gw", "a-class", r"gw-a-class-[0-9a-f]{8}"),
        ("gw.v1", "tidegate", r"gw-v1-tidegate-[0-9a-f]{8}"),
        ("gw", "tidegate.dev", r"gw-tidegate-dev-[0-9a-f]{8}"),
        ("3rd", "tidegate", r"gw-3rd-tidegate-[0-9a-f]{8}"),
        ("g" * 53 + ".x", "tidegate", r"g{53}-[0-9a-f]{8}"),
    ],
)
def test_names(gateway_name: str, class_name: str, expected: str) -> None:
    """``<gateway>-<class>`` where a Service can be called that and nobody else could be meant, else with a hash."""
    assert re.fullmatch(expected, infrastructure_name(gateway_name, class_name))


LABELS = st.from_regex(r"[ab1]([-ab]{0,3}[ab1])?", fullmatch=True)
NAMES = st.tuples(
    st.lists(LABELS, min_size=1, max_size=3).map(".".join) | st.sampled_from(["a" * 60, "a" * 61, "a" * 253]), LABELS
)


@given(NAMES, NAMES)
def test_names_are_valid_and_never_the_same(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Any two Gateways of a namespace have different names, all of which a Service may have."""
    names = [infrastructure_name(*pair) for pair in (one, other)]
    assert all(len(name) <= 63 and NAME.match(name) for name in names)
    assert (names[0] == names[1]) == (one == other)


def test_the_service_of_a_gateway() -> None:
    """It has the name of all generated objects, in the Gateway's namespace."""
    resource: Any = typed(gateway("gw", [TCP], namespace="infra"))
    assert service_of(resource) == ObjectKey(CORE_GROUP, "Service", "infra", "gw-tidegate")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({MANAGED_BY_LABEL: MANAGER, ACCESS_LOG_LABEL: "json"}, "json"),
        ({MANAGED_BY_LABEL: MANAGER}, "off"),
        ({ACCESS_LOG_LABEL: "json"}, "off"),
    ],
)
def test_what_is_kept_logs_as_its_service_says(labels: dict[str, str], expected: str) -> None:
    """A controller that never saw the parameters knows from what their last version led to, if that is ours."""
    front = generated_service("gw-tidegate")
    front["metadata"]["labels"] = labels
    world = World(gateway_class(), gateway("gw", [TCP], infrastructure=MISSING), front, cluster=True)
    kept = world.infrastructure[gateway_key("gw")]
    assert isinstance(kept, KeptInfrastructure)
    assert kept.access_log == expected
