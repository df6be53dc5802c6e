"""The controller's Deployment, Service and disruption budget."""

from __future__ import annotations

from typing import Any

from tidegate.installation.options import ADMIN_PORT, XDS_PORT, Options
from tidegate.installation.workload import SELECTOR, deployment, disruption_budget, service

METADATA = {"name": "x", "namespace": "y", "labels": SELECTOR | {"app.kubernetes.io/version": "1"}}


def pod(**options: Any) -> dict[str, Any]:
    """The specification of the Deployment's Pods."""
    spec: dict[str, Any] = deployment(METADATA, Options(**options))["spec"]["template"]["spec"]
    return spec


def test_selectors_select_the_pods_and_outlive_versions() -> None:
    """Deployment, Service and budget select by labels that no upgrade changes, and the Pods carry them."""
    found = deployment(METADATA, Options())["spec"]
    selectors = [
        found["selector"]["matchLabels"],
        service(METADATA)["spec"]["selector"],
        disruption_budget(METADATA)["spec"]["selector"]["matchLabels"],
    ]
    assert selectors == [SELECTOR] * 3
    assert SELECTOR.items() <= found["template"]["metadata"]["labels"].items()


def test_pod_meets_the_restricted_standard() -> None:
    """Non-root, no privileges to gain, no capabilities, the runtime's seccomp profile, a root that is read only."""
    spec = pod()
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_ports_of_the_service_lead_to_the_container() -> None:
    """Proxies find xDS, monitoring the metrics, and the probes ask the port that the controller is told to open."""
    (container,) = pod()["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"xds": XDS_PORT, "admin": ADMIN_PORT}
    assert {port["name"]: ports[port["targetPort"]] for port in service(METADATA)["spec"]["ports"]} == {
        "xds": XDS_PORT,
        "metrics": ADMIN_PORT,
    }
    assert {container[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")} == {"admin"}
    assert f"--xds-port={XDS_PORT}" in container["args"]
    assert not any(argument.startswith("--admin") for argument in container["args"]), "it follows the Pod"


def test_placement_is_as_chosen_and_absent_otherwise() -> None:
    """Node selector, tolerations, affinity and pull secrets are the Pod's own fields."""
    chosen = pod(
        node_selector={"a": "b"},
        tolerations=({"key": "edge", "operator": "Exists"},),
        affinity={"nodeAffinity": {}},
        pull_secrets=("registry",),
    )
    assert chosen["nodeSelector"] == {"a": "b"}
    assert chosen["tolerations"] == [{"key": "edge", "operator": "Exists"}]
    assert chosen["affinity"] == {"nodeAffinity": {}}
    assert chosen["imagePullSecrets"] == [{"name": "registry"}]
    assert not {"tolerations", "affinity", "imagePullSecrets"} & pod().keys()


def test_proxies_get_the_image_that_was_chosen() -> None:
    """The controller is told what to run for Gateways whose parameters name no image."""
    (container,) = pod(image="a/b:1", proxy_image="a/c:2")["containers"]
    assert container["image"] == "a/b:1"
    assert "--proxy-image=a/c:2" in container["args"]


def test_one_replica_can_be_drained() -> None:
    """A budget that asks for one available Pod would keep a node with the only replica for ever."""
    assert disruption_budget(METADATA)["spec"]["maxUnavailable"] == 1
