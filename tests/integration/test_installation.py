"""What ``tidegate manifests`` prints, applied to a real API server."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from support.cluster import Cluster
from support.cluster_api import APPLY, ApiError
from tidegate.cli.main import app
from tidegate.installation.options import NAME
from tidegate.kube.rules import CLUSTER_RULES, NAMESPACE_RULES

NAMESPACE = "tidegate-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}"

ACCOUNTS = {"resourceVersion", "managedFields"}

Manifest = dict[str, Any]


@pytest.fixture
def printed() -> list[Manifest]:
    """The objects that the command prints."""
    result = CliRunner().invoke(app, ["manifests", "--namespace", NAMESPACE])
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.output))


async def apply(cluster: Cluster, document: Manifest) -> Manifest:
    """What ``kubectl apply --server-side`` sends, with every field checked."""
    served = await cluster.api.kind(document["kind"], document["apiVersion"])
    metadata = document["metadata"]
    path = served.path(metadata.get("namespace", ""), metadata["name"])
    params = {"fieldManager": "kubectl", "fieldValidation": "Strict"}
    applied: Manifest = await cluster.api.request("PATCH", path, body=document, content_type=APPLY, params=params)
    return applied


async def allowed(
    cluster: Cluster, group: str, resource: str, verb: str, *, namespace: str = "", name: str = ""
) -> bool:
    """Whether the controller's account may do something."""
    plural, _, subresource = resource.partition("/")
    attributes = {"group": group, "resource": plural, "subresource": subresource, "verb": verb}
    review = await cluster.api.create(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {"user": ACCOUNT, "resourceAttributes": {**attributes, "namespace": namespace, "name": name}},
        }
    )
    return bool(review["status"]["allowed"])


def wanted(item: Manifest) -> Manifest:
    """An object without what the server keeps account of."""
    metadata = {name: value for name, value in item["metadata"].items() if name not in ACCOUNTS}
    return {name: value for name, value in item.items() if name != "status"} | {"metadata": metadata}


async def test_every_object_is_accepted_and_nothing_changes_the_second_time(
    cluster: Cluster, printed: list[Manifest]
) -> None:
    """From top to bottom, each is taken with all its fields; applied again, all are as they were."""
    first = [await apply(cluster, document) for document in printed]
    assert [item["kind"] for item in first] == [document["kind"] for document in printed]
    second = [await apply(cluster, document) for document in printed]
    assert list(map(wanted, second)) == list(map(wanted, first))


async def test_pods_are_admitted_under_the_restricted_standard(cluster: Cluster, printed: list[Manifest]) -> None:
    """The namespace enforces it, the controller's Pods pass, and others do not."""
    by_kind = {document["kind"]: document for document in printed}
    await apply(cluster, by_kind["Namespace"])
    template = by_kind["Deployment"]["spec"]["template"]
    metadata = {"name": "controller", "namespace": NAMESPACE, "labels": template["metadata"]["labels"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    await cluster.api.create(pod, dry_run=True)
    careless = copy.deepcopy(pod)
    del careless["spec"]["securityContext"]["seccompProfile"]
    with pytest.raises(ApiError, match="restricted"):
        await cluster.api.create(careless, dry_run=True)


async def test_account_may_do_what_the_rules_say_and_no_more(cluster: Cluster, printed: list[Manifest]) -> None:
    """Every verb of every rule is granted where the rule holds; neighbours of them are not."""
    for document in printed:
        await apply(cluster, document)
    for rule in CLUSTER_RULES:
        for resource in rule.resources:
            for verb in rule.verbs:
                assert await allowed(cluster, rule.groups[0], resource, verb, namespace="elsewhere"), (resource, verb)
    for rule in NAMESPACE_RULES:
        for verb in rule.verbs:
            name = rule.names[0] if rule.names else "any"
            place = {"namespace": NAMESPACE, "name": name}
            assert await allowed(cluster, rule.groups[0], rule.resources[0], verb, **place), (rule, verb)
            assert not await allowed(cluster, rule.groups[0], rule.resources[0], verb, namespace="elsewhere", name=name)
    for group, resource, verb in (
        ("gateway.networking.k8s.io", "gateways", "update"),
        ("gateway.networking.k8s.io", "tcproutes", "delete"),
        ("rbac.authorization.k8s.io", "clusterroles", "update"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "update"),
        ("", "pods", "create"),
        ("", "namespaces", "create"),
    ):
        assert not await allowed(cluster, group, resource, verb, namespace=NAMESPACE), (resource, verb)
