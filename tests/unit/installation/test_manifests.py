"""The objects of an installation."""

from __future__ import annotations

import pytest

from tidegate.installation.manifests import documents
from tidegate.installation.options import NAME, Options

CLUSTER_SCOPED = {"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "GatewayClass"}


@pytest.fixture
def kinds() -> list[str]:
    """The kinds, in the order in which they are applied."""
    return [document.manifest["kind"] for document in documents(Options())]


def test_what_others_need_comes_first(kinds: list[str]) -> None:
    """Applied from top to bottom, nothing waits for what comes later; what may be refused comes last."""
    assert kinds[0] == "Namespace"
    assert kinds.index("ServiceAccount") < kinds.index("Deployment")
    assert kinds.index("ClusterRoleBinding") < kinds.index("Deployment")
    assert kinds[-1] == "GatewayClass"


def test_every_object_is_explained() -> None:
    """No document without a sentence for people."""
    assert all(document.comment.endswith(".") for document in documents(Options()))


def test_everything_lives_in_the_namespace() -> None:
    """Another namespace moves all objects, and who the roles are given to."""
    found = [document.manifest for document in documents(Options(namespace="edge"))]
    places = {item["kind"]: item["metadata"].get("namespace") for item in found}
    assert {kind for kind, place in places.items() if place is None} == CLUSTER_SCOPED
    assert {place for kind, place in places.items() if kind not in CLUSTER_SCOPED} == {"edge"}
    subjects = [subject for item in found for subject in item.get("subjects", ())]
    assert subjects == [{"kind": "ServiceAccount", "name": NAME, "namespace": "edge"}] * 2
    assert found[0]["metadata"]["name"] == "edge"


def test_gateway_class_can_be_left_to_the_cluster() -> None:
    """Without a name there is no class; with one it is called so."""
    assert "GatewayClass" not in {item.manifest["kind"] for item in documents(Options(gateway_class=None))}
    assert documents(Options(gateway_class="edge"))[-1].manifest["metadata"]["name"] == "edge"


def test_nothing_is_labelled_as_a_part_of_a_data_plane() -> None:
    """The fleet removes what it finds under its own labels, so nothing of the controller may carry them."""
    labels = [item.manifest["metadata"].get("labels", {}) for item in documents(Options())]
    assert all("app.kubernetes.io/managed-by" not in one for one in labels)
    assert {one["app.kubernetes.io/name"] for one in labels} == {"tidegate"}


def test_same_options_give_the_same_objects() -> None:
    """The output can be compared with an earlier one."""
    assert documents(Options(replicas=3)) == documents(Options(replicas=3))
