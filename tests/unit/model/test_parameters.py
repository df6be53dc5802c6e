"""Every limit of GatewayParameters, with valid and invalid neighbours."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from support.documents import ABSENT, GATEWAY_PARAMETERS, edited
from support.verdicts import problem_paths, problem_texts
from tidegate.model.decode import Decoded, decode
from tidegate.model.parameters import GatewayParameters, GatewayParametersSpec

POD = "spec.pod"
REQUESTS = f"{POD}.resources.requests"
TOLERATION = f"{POD}.tolerations.0"

VALID: list[tuple[str, str, Any]] = [
    ("nothing-set", "spec", {}),
    ("replicas-1", "spec.replicas", 1),
    ("replicas-100", "spec.replicas", 100),
    ("service-empty", "spec.service", {}),
    ("service-cluster-ip", "spec.service.type", "ClusterIP"),
    ("pod-null", POD, None),
    ("image-1024", f"{POD}.image", "i" * 1024),
    ("quantity-digits-as-text", REQUESTS, {"cpu": "1"}),
    ("quantity-number", REQUESTS, {"cpu": 2, "memory": 1_000_000}),
    ("quantity-integral-float", REQUESTS, {"cpu": 2.0}),
    ("quantity-fraction", REQUESTS, {"cpu": "0.5", "memory": ".5Gi"}),
    ("quantity-exponent", REQUESTS, {"memory": "1e3"}),
    ("entries-64", REQUESTS, {f"example.com/r{n}": 1 for n in range(64)}),
    ("node-selector-empty-value", f"{POD}.nodeSelector", {"a": ""}),
    ("tolerations-64", f"{POD}.tolerations", [{}] * 64),
    ("toleration-of-everything", TOLERATION, {"operator": "Exists"}),
    ("drain-0", "spec.drainSeconds", 0),
    ("drain-3600", "spec.drainSeconds", 3600),
    ("access-log-off", "spec.accessLog", "off"),
]

INVALID: list[tuple[str, str, Any, str]] = [
    ("spec-missing", "spec", ABSENT, "spec"),
    ("replicas-0", "spec.replicas", 0, "spec.replicas"),
    ("replicas-101", "spec.replicas", 101, "spec.replicas"),
    ("service-external-name", "spec.service.type", "ExternalName", "spec.service.type"),
    ("class-empty", "spec.service.loadBalancerClass", "", "spec.service.loadBalancerClass"),
    ("class-254", "spec.service.loadBalancerClass", "c" * 254, "spec.service.loadBalancerClass"),
    ("policy-lower", "spec.service.externalTrafficPolicy", "local", "spec.service.externalTrafficPolicy"),
    ("image-empty", f"{POD}.image", "", "spec.pod.image"),
    ("quantity-unit", REQUESTS, {"memory": "64MB"}, "spec.pod.resources.requests.memory"),
    ("quantity-float", REQUESTS, {"cpu": 0.5}, "spec.pod.resources.requests.cpu"),
    ("quantity-empty", REQUESTS, {"cpu": ""}, "spec.pod.resources.requests.cpu"),
    ("entries-65", f"{POD}.nodeSelector", {f"n{n}": "" for n in range(65)}, "spec.pod.nodeSelector"),
    ("node-selector-bool", f"{POD}.nodeSelector", {"edge": True}, "spec.pod.nodeSelector.edge"),
    ("tolerations-65", f"{POD}.tolerations", [{}] * 65, "spec.pod.tolerations"),
    ("toleration-effect", f"{TOLERATION}.effect", "Never", "spec.pod.tolerations[0].effect"),
    ("host-network-text", f"{POD}.hostNetwork", "yes", "spec.pod.hostNetwork"),
    ("drain-3601", "spec.drainSeconds", 3601, "spec.drainSeconds"),
    ("access-log-bool", "spec.accessLog", False, "spec.accessLog"),
]


@pytest.mark.parametrize(("path", "value"), [pytest.param(*case, id=name) for name, *case in VALID])
def test_valid(path: str, value: object) -> None:
    """The CustomResourceDefinition accepts this object."""
    assert problem_texts(edited(GATEWAY_PARAMETERS, path, value)) == []


@pytest.mark.parametrize(("path", "value", "where"), [pytest.param(*case, id=name) for name, *case in INVALID])
def test_invalid(path: str, value: object, where: str) -> None:
    """The CustomResourceDefinition rejects this object, for this field and no other."""
    assert problem_paths(edited(GATEWAY_PARAMETERS, path, value)) == [where]


def test_nothing_has_a_default() -> None:
    """What is not written is not set, so that a class's parameters can show through a Gateway's."""
    result = decode(edited(GATEWAY_PARAMETERS, "spec", {}))
    assert isinstance(result, Decoded)
    assert isinstance(result.resource, GatewayParameters)
    assert result.resource.spec == GatewayParametersSpec()
    assert set(msgspec.structs.asdict(result.resource.spec).values()) == {None}
