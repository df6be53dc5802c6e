"""Parameters of a data plane: whose they are, how they are laid over each other, and what a reference may name."""

from __future__ import annotations

from typing import Any

import pytest

from support.manifests import PARAMETERS, Manifest, gateway, gateway_class, listener, parameters
from support.resources import World, class_key, gateway_key, message, said
from tidegate.core.parameters import CLASS_PARAMETERS, GATEWAY_PARAMETERS
from tidegate.core.rejection import Rejection
from tidegate.plan.infrastructure import Parameters, ServiceType

TCP = listener("tcp", 8080)
OF_CLASS = {"parametersRef": {**PARAMETERS, "name": "of-class", "namespace": "infra"}}
OF_GATEWAY = {"infrastructure": {"parametersRef": {**PARAMETERS, "name": "own"}}}


def world(of_class: Manifest | None, own: Manifest | None, **config: Any) -> World:
    """A class and a Gateway, each with these parameters, or without a reference."""
    documents = [gateway_class(**(OF_CLASS if of_class is not None else {}))]
    documents.append(gateway("gw", [TCP], **(OF_GATEWAY if own is not None else {})))
    if of_class is not None:
        documents.append(parameters("of-class", namespace="infra", **of_class))
    if own is not None:
        documents.append(parameters("own", **own))
    return World(*documents, **config)


def chosen(of_class: Manifest | None, own: Manifest | None) -> Parameters:
    """The parameters of the Gateway's data plane."""
    return world(of_class, own, cluster=True).data_plane("gw").parameters


def test_without_references_there_are_defaults() -> None:
    """Nobody has to write parameters."""
    assert chosen(None, None) == Parameters()
    assert chosen({}, {}) == Parameters()


def test_everything_can_be_set() -> None:
    """Each field finds its place, spelled as a Pod's specification has it."""
    own = {
        "replicas": 3,
        "service": {"type": "LoadBalancer", "loadBalancerClass": "example.com/lb", "externalTrafficPolicy": "Local"},
        "pod": {
            "image": "registry.example.com/tidegate:1",
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}},
            "nodeSelector": {"edge": "yes"},
            "tolerations": [{"key": "edge", "operator": "Exists", "tolerationSeconds": 0}],
            "hostNetwork": True,
        },
        "drainSeconds": 0,
        "accessLog": "json",
    }
    assert chosen(None, own) == Parameters(
        replicas=3,
        service_type=ServiceType.LOAD_BALANCER,
        load_balancer_class="example.com/lb",
        external_traffic_policy="Local",
        image="registry.example.com/tidegate:1",
        resources={"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}},
        node_selector={"edge": "yes"},
        tolerations=({"key": "edge", "operator": "Exists", "tolerationSeconds": 0},),
        host_network=True,
        drain_time=0,
        access_log="json",
    )


def test_a_gateways_parameters_lie_over_its_classs_field_by_field() -> None:
    """What the Gateway leaves open is as in its class; lists and maps are taken whole, empty ones not at all."""
    of_class = {
        "replicas": 2,
        "service": {"type": "NodePort", "externalTrafficPolicy": "Local"},
        "pod": {
            "hostNetwork": True,
            "nodeSelector": {"edge": "yes", "zone": "a"},
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}},
            "tolerations": [{"operator": "Exists"}],
        },
        "drainSeconds": 30,
    }
    own = {
        "service": {"externalTrafficPolicy": "Cluster"},
        "pod": {
            "hostNetwork": False,
            "nodeSelector": {"zone": "b"},
            "resources": {"requests": {"memory": "32Mi"}},
            "tolerations": [],
        },
        "drainSeconds": 0,
    }
    assert chosen(of_class, own) == Parameters(
        replicas=2,
        service_type=ServiceType.NODE_PORT,
        external_traffic_policy="Cluster",
        node_selector={"zone": "b"},
        resources={"requests": {"memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        tolerations=({"operator": "Exists"},),
        drain_time=0,
    )


@pytest.mark.parametrize(
    ("kind", "load_balancer_class", "policy"),
    [("LoadBalancer", "example.com/lb", "Local"), ("NodePort", None, "Local"), ("ClusterIP", None, None)],
)
def test_what_has_no_meaning_for_a_type_of_service_is_left_out(
    kind: str, load_balancer_class: str | None, policy: str | None
) -> None:
    """A Gateway that chooses another type than its class is not asked to take back what belongs to that type."""
    of_class = {"service": {"loadBalancerClass": "example.com/lb", "externalTrafficPolicy": "Local"}}
    found = chosen(of_class, {"service": {"type": kind}})
    assert (found.service_type.value, found.load_balancer_class) == (kind, load_balancer_class)
    assert found.external_traffic_policy == policy


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        (
            {"group": "", "kind": "ConfigMap", "namespace": "infra"},
            "names core/ConfigMap; supported: tidegate.dev/Gatew",
        ),
        ({"group": "x.io", "kind": "GatewayParameters"}, "names x.io/GatewayParameters; supported"),
        ({**PARAMETERS}, "names GatewayParameters of-class without a namespace"),
        (
            {**PARAMETERS, "namespace": "elsewhere"},
            "GatewayParameters elsewhere/of-class, which parametersRef names, d",
        ),
    ],
)
@pytest.mark.parametrize("cluster", [True, False])
def test_a_class_whose_reference_names_no_parameters(reference: Manifest, says: str, cluster: bool) -> None:
    """The class is not accepted, for the reason that its message gives, in a cluster and elsewhere."""
    broken = gateway_class(parametersRef={"name": "of-class", **reference})
    found = World(broken, parameters("of-class", namespace="infra"), cluster=cluster)
    assert said(found.gateway_class("tidegate"), "Accepted") == "False/InvalidParameters"
    assert says in message(found.gateway_class("tidegate"), "Accepted")


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ({"group": "invalid.io", "kind": "InvalidParameters"}, "names invalid.io/InvalidParameters; supported"),
        ({**PARAMETERS}, "GatewayParameters default/own, which parametersRef names, does not exist"),
    ],
)
@pytest.mark.parametrize("cluster", [True, False])
def test_a_gateway_whose_reference_names_no_parameters(reference: Manifest, says: str, cluster: bool) -> None:
    """The Gateway is not accepted until they are there; those of another namespace are not meant."""
    broken = gateway("gw", [TCP], infrastructure={"parametersRef": {"name": "own", **reference}})
    found = World(gateway_class(), broken, parameters("own", namespace="other"), cluster=cluster)
    assert said(found.gateway("gw"), "Accepted") == "False/InvalidParameters"
    assert says in message(found.gateway("gw"), "Accepted")
    found.apply(parameters("own"))
    assert said(found.gateway("gw"), "Accepted").startswith("True") == (reference["group"] == PARAMETERS["group"])


def test_parameters_of_ours_are_fine_without_a_cluster() -> None:
    """The same YAML works everywhere: what the parameters say about Pods has no effect there."""
    found = world({"replicas": 2}, {"pod": {"hostNetwork": True}})
    assert said(found.gateway_class("tidegate"), "Accepted") == "True/Accepted"
    found.obey()
    assert said(found.gateway("gw"), "Programmed") == "True/Programmed"
    assert found.infrastructure == {}


def test_a_change_of_a_classs_parameters_reaches_its_gateways_only() -> None:
    """A Gateway of another class has what it had."""
    found = world({"replicas": 2}, None, cluster=True)
    found.apply(gateway_class("plain"), gateway("other", [TCP], class_name="plain"))
    change = found.apply(parameters("of-class", namespace="infra", replicas=5))
    assert set(change.infrastructure) == {gateway_key("gw")}
    assert found.data_plane("gw").parameters.replicas == 5


def test_a_foreign_class_has_no_parameters() -> None:
    """What another controller's class refers to is none of our business."""
    foreign = gateway_class("theirs", controller="example.com/other", **OF_CLASS)
    graph = World(foreign, gateway("gw", [TCP], class_name="theirs"), cluster=True).decision.graph
    assert graph.get(CLASS_PARAMETERS, class_key("theirs")) is None
    assert not isinstance(graph.get(GATEWAY_PARAMETERS, gateway_key("gw")), Rejection)
