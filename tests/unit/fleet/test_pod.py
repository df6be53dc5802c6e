"""Pods change exactly when they have to, and ask for no privilege."""

from typing import Any

import msgspec
import pytest

from support.infrastructures import CONTAINER, IMAGE, infrastructure
from tidegate.fleet.pod import END_MARGIN, template
from tidegate.plan.infrastructure import ProxyContainer


def pod(container: ProxyContainer = CONTAINER, **differences: Any) -> dict[str, Any]:
    return template(infrastructure(**differences), container, IMAGE)


PLAIN = pod()


@pytest.mark.parametrize(
    "differences",
    [
        {"ports": {"postgres": 5432, "web": 80}},
        {"ports": {}},
        {"addresses": ("10.0.0.1",)},
        {"parameters": {"replicas": 7}},
        {"parameters": {"service_type": "NodePort", "external_traffic_policy": "Local"}},
        {"uid": "another"},
    ],
)
def test_no_pod_is_replaced_for(differences: dict[str, Any]) -> None:
    """Listeners, addresses, scale and the Service are no business of the Pods."""
    assert pod(**differences) == PLAIN


@pytest.mark.parametrize(
    "differences",
    [
        {"labels": {"team": "payments"}},
        {"annotations": {"example.com/note": "x"}},
        {"parameters": {"image": "registry.example/other:1.0"}},
        {"parameters": {"drain_time": 61}},
    ],
)
def test_pods_are_replaced_for(differences: dict[str, Any]) -> None:
    """Propagated labels and annotations, and what a Pod is, make new Pods."""
    assert pod(**differences) != PLAIN


def test_changed_configuration_replaces_pods() -> None:
    """A proxy reads its files once; the order in which they are given is no change."""
    two = msgspec.structs.replace(CONTAINER, files={"a": "1", "b": "2"})
    assert pod(two) == pod(msgspec.structs.replace(CONTAINER, files={"b": "2", "a": "1"}))
    assert pod(two) != pod(msgspec.structs.replace(CONTAINER, files={"a": "1", "b": "3"}))
    assert pod(two) != pod(msgspec.structs.replace(CONTAINER, files={"a": "2", "b": "1"}))


def test_pod_ends_after_its_drain_time() -> None:
    """A Pod that ends has its whole drain time, and some seconds to end in."""
    spec = pod(parameters={"drain_time": 600})["spec"]
    assert spec["terminationGracePeriodSeconds"] == 600 + END_MARGIN
    assert spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["tidegate", *CONTAINER.drain_arguments]


def test_container_that_drains_itself_has_no_hook() -> None:
    """Where the data plane has no command to drain with, there is no hook."""
    (container,) = pod(msgspec.structs.replace(CONTAINER, drain_arguments=()))["spec"]["containers"]
    assert "lifecycle" not in container


def test_users_may_choose_who_scrapes() -> None:
    """Annotations for scraping are defaults."""
    annotations = pod(annotations={"prometheus.io/scrape": "false"})["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "false"
    assert annotations["prometheus.io/port"] == str(CONTAINER.status_port)


def test_every_mounted_volume_is_there() -> None:
    """What the container mounts is declared, and what is declared is mounted."""
    spec = PLAIN["spec"]
    assert {mount["name"] for mount in spec["containers"][0]["volumeMounts"]} == {
        one["name"] for one in spec["volumes"]
    }


def test_host_network_asks_for_no_sysctl() -> None:
    """The API server refuses a Pod in the node's network that sets sysctls of the network."""
    spec = pod(parameters={"host_network": True})["spec"]
    assert spec["hostNetwork"] is True
    assert "sysctls" not in spec["securityContext"]
