from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import manifests
from tidegate.model.corev1 import Namespace, Service
from tidegate.model.kinds import BY_GROUP_KIND, KINDS
from tidegate.model.observed import Observed
from tidegate.model.routes import TCPRoute
from tidegate.names import GATEWAY_GROUP, ObjectKey
from tidegate.sources.kubernetes_decoding import KindReader, has_our_status

ROUTE = BY_GROUP_KIND[GATEWAY_GROUP, "TCPRoute"]


def stored(document: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """A manifest as an API server has it."""
    kept = {
        "namespace": "ns",
        "uid": "u-1",
        "resourceVersion": "77",
        "generation": 3,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{...}"},
    }
    return {**document, "metadata": {**kept, **document["metadata"], **metadata}}


def route(*backends: str, rules: int = 1) -> dict[str, Any]:
    rule = {"backendRefs": [{"name": name, "port": 80} for name in backends]}
    spec = {"parentRefs": [{"name": "edge"}], "rules": [rule] * rules}
    return stored({"apiVersion": f"{GATEWAY_GROUP}/v1", "kind": "TCPRoute", "metadata": {"name": "r"}, "spec": spec})


def test_typed_object_has_what_decisions_need() -> None:
    """Generation, age, identity and spec are those of the API server; the tie-breaker of files stays 0."""
    reading = KindReader(ROUTE, "v1").read(route("a"))
    resource = reading.resource
    assert isinstance(resource, TCPRoute)
    assert reading.key == ObjectKey(GATEWAY_GROUP, "TCPRoute", "ns", "r")
    meta = resource.metadata
    assert (meta.generation, meta.uid, meta.order) == (3, "u-1", 0)
    assert meta.creation_timestamp is not None
    assert meta.creation_timestamp.isoformat() == "2026-01-02T03:04:05+00:00"
    assert resource.spec.rules[0].backend_refs[0].name == "a"


def test_what_is_never_used_is_not_kept() -> None:
    """Two versions that differ only in annotations and bookkeeping are the same to us."""
    first = route("a")
    second = stored(route("a"), resourceVersion="78", annotations={"x": "y"}, managedFields=[])
    reader = KindReader(ROUTE, "v1")
    assert reader.read(first).resource == reader.read(second).resource


def test_what_thousands_of_objects_say_is_kept_once() -> None:
    """Texts that come anew with every object from a server are one text afterwards."""
    reader = KindReader(ROUTE, "v1")
    texts = []
    for _ in range(2):
        resource = reader.read(json.loads(json.dumps(route("a")))).resource
        assert isinstance(resource, TCPRoute)
        texts.append((resource.metadata.namespace, resource.spec.parent_refs[0].name))
    (namespace, gateway), (other_namespace, other_gateway) = texts
    assert namespace is other_namespace
    assert gateway is other_gateway


def test_object_is_not_changed_by_reading() -> None:
    """Reading leaves the mapping as it was."""
    given_object = route("a", rules=2)
    before = copy.deepcopy(given_object)
    KindReader(ROUTE, "v1").read(given_object)
    assert given_object == before


def test_refused_object_says_why() -> None:
    """An object that no rule of ours takes has its problems with field paths."""
    broken = route("a")
    broken["spec"]["rules"][0]["backendRefs"][0]["port"] = 0
    reading = KindReader(ROUTE, "v1").read(broken)
    assert reading.resource is None
    assert [problem.path for problem in reading.problems] == ["spec.rules[0].backendRefs[0].port"]
    assert reading.uid == "u-1"


def test_object_written_in_an_older_version_is_read_by_its_rules() -> None:
    """v1 gives out a route with two rules that v1alpha2 once let in: it is what it was."""
    reading = KindReader(ROUTE, "v1").read(route("a", rules=2))
    assert isinstance(reading.resource, TCPRoute)
    assert len(reading.resource.spec.rules) == 2


def test_refusal_by_all_versions_is_that_of_the_newest() -> None:
    """People are told the rules of the version that they see."""
    reading = KindReader(ROUTE, "v1").read(route("a", rules=17))
    assert reading.resource is None
    assert "17" in reading.problems[0].message


def test_status_that_matters_is_observed() -> None:
    """What stands in a status goes to its writer, with the version to write it in."""
    status = {"parents": [{"controllerName": "other"}]}
    reading = KindReader(ROUTE, "v1alpha2").read(route("a") | {"status": status})
    assert reading.observed == Observed(
        version="v1alpha2", uid="u-1", resource_version="77", generation=3, status=status
    )


@pytest.mark.parametrize("status", [None, {}, {"parents": []}, {"conditions": []}])
def test_empty_status_is_none(status: dict[str, Any] | None) -> None:
    """A status without entries is nothing to keep in memory."""
    document = route("a") if status is None else route("a") | {"status": status}
    observed = KindReader(ROUTE, "v1").read(document).observed
    assert observed is not None
    assert observed.status == {}


def test_refused_object_is_observed_all_the_same() -> None:
    """What stands in the status of an object does not depend on whether we take its spec."""
    broken = route() | {"status": {"parents": [{"controllerName": "ours"}]}}
    reading = KindReader(ROUTE, "v1").read(broken)
    assert reading.resource is None
    assert reading.observed is not None
    assert reading.observed.status == broken["status"]


def test_kinds_without_a_status_of_ours_are_not_observed() -> None:
    """Of Services and Namespaces nothing is written."""
    service = stored(manifests.service("db", 5432))
    reading = KindReader(BY_GROUP_KIND["", "Service"], "v1").read(service)
    assert isinstance(reading.resource, Service)
    assert reading.observed is None
    assert {kind.kind for kind in KINDS if has_our_status(kind)} == {"GatewayClass", "Gateway", "TCPRoute"}


def test_what_a_cluster_assigned_to_a_service_is_read() -> None:
    """A load balancer's address is in the status, which for Services is input."""
    service = stored(manifests.service("db", 5432)) | {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    resource = KindReader(BY_GROUP_KIND["", "Service"], "v1").read(service).resource
    assert isinstance(resource, Service)
    assert resource.status is not None
    assert resource.status.load_balancer.ingress[0].ip == "192.0.2.1"


def test_fields_that_are_newer_than_tidegate_are_no_problem() -> None:
    """An API server knows fields that we do not, and has checked them."""
    namespace = stored({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}, namespace="")
    namespace["metadata"].pop("namespace")
    reading = KindReader(BY_GROUP_KIND["", "Namespace"], "v1").read({**namespace, "novel": {"x": 1}})
    assert isinstance(reading.resource, Namespace)
    assert reading.problems == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, JSON, st.sampled_from(KINDS))
def test_no_object_raises(spec: Any, status: Any, kind: Any) -> None:
    """Whatever stands in an object, it is either read or refused with a reason."""
    document = stored({"metadata": {"name": "x"}, "spec": spec, "status": status})
    reading = KindReader(kind, kind.versions[0]).read(document)
    assert (reading.resource is None) == bool(reading.problems)
