"""The decision about whole documents: decoded, rejected or not ours; namespaces, versions, nulls, warnings."""

from __future__ import annotations

import copy
import datetime as dt

import pytest

from support.documents import (
    ABSENT,
    ENDPOINT_SLICE,
    EVERY_KIND,
    GATEWAY,
    GATEWAY_CLASS,
    NAMESPACE,
    SERVICE,
    TCP_ROUTE,
    TCP_ROUTE_ALPHA,
    TLS_GATEWAY,
    Document,
    edited,
)
from tidegate.model.decode import Decoded, Rejected, Unrecognised, decode
from tidegate.model.gateway import Gateway, RouteNamespaces
from tidegate.model.kinds import key_of
from tidegate.model.routes import TCPRoute
from tidegate.names import ObjectKey


def accepted(document: object) -> Decoded:
    """The decoded document; fails with the problems of a rejected one."""
    result = decode(document)
    assert isinstance(result, Decoded), result
    return result


def rejected(document: object) -> Rejected:
    """The rejection of the document."""
    result = decode(document)
    assert isinstance(result, Rejected), result
    return result


def said(document: object) -> list[str]:
    """What the rejection of the document says, as text."""
    return [str(problem) for problem in rejected(document).problems]


@pytest.mark.parametrize("document", EVERY_KIND, ids=lambda document: f"{document['kind']}-{document['apiVersion']}")
def test_every_kind_is_decoded_without_a_word(document: Document) -> None:
    """A valid document of every kind becomes a typed object, without warnings."""
    result = accepted(document)
    assert result.warnings == ()
    assert key_of(result.resource).name == document["metadata"]["name"]
    assert document["apiVersion"].endswith(result.version)


@pytest.mark.parametrize("document", EVERY_KIND, ids=lambda document: f"{document['kind']}-{document['apiVersion']}")
def test_the_thorough_way_yields_the_same_object(document: Document) -> None:
    """An unknown field takes the slow walk, which builds the same object as the fast way."""
    thorough = accepted({**document, "surprise": 1})
    assert thorough.resource == accepted(document).resource
    assert [str(warning) for warning in thorough.warnings] == ["surprise: unknown field, ignored"]


def test_the_document_is_not_changed() -> None:
    """Decoding reads the document and leaves it as it is."""
    document = edited(TCP_ROUTE, "metadata.namespace", ABSENT)
    before = copy.deepcopy(document)
    accepted(document)
    assert document == before


@pytest.mark.parametrize("namespace", [ABSENT, None, ""], ids=["absent", "null", "empty"])
def test_a_missing_namespace_means_default(namespace: object) -> None:
    """A namespaced object without a namespace is in ``default``, in objects and in rejections."""
    document = edited(edited(TCP_ROUTE, "metadata.namespace", "x"), "metadata.namespace", namespace)
    assert accepted(document).resource.metadata.namespace == "default"
    assert rejected(edited(document, "spec.rules", [])).key == ObjectKey(
        "gateway.networking.k8s.io", "TCPRoute", "default", "route"
    )


@pytest.mark.parametrize("document", [GATEWAY_CLASS, NAMESPACE], ids=["GatewayClass", "Namespace"])
def test_cluster_scoped_objects_have_no_namespace(document: Document) -> None:
    """A namespace on a cluster-scoped object is refused; an empty one is none."""
    kind = document["kind"]
    assert accepted(edited(document, "metadata.namespace", "")).resource.metadata.namespace == ""
    refused = rejected(edited(document, "metadata.namespace", "x"))
    assert [str(problem) for problem in refused.problems] == [
        f"metadata.namespace: must not be set: a {kind} is in no namespace"
    ]
    assert refused.key is not None
    assert refused.key.namespace == ""


@pytest.mark.parametrize("kind", ["Deployment", "ConfigMap", "List"])
def test_kinds_that_are_not_read_are_unrecognised(kind: str) -> None:
    """Other kinds are none of our business, whatever they contain."""
    document = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "x"}, "spec": 7}
    assert decode(document) == Unrecognised(api_version="apps/v1", kind=kind, name="x")


def test_a_mistyped_kind_gets_a_hint() -> None:
    """A kind of our group that is spelled wrong is unrecognised, with the kind that was meant."""
    result = decode({**TCP_ROUTE, "kind": "TcpRoute"})
    assert isinstance(result, Unrecognised)
    assert result.hint == "TCPRoute"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {**TCP_ROUTE, "apiVersion": "gateway.networking.k8s.io/v1alpha3"},
            (
                "apiVersion: must be gateway.networking.k8s.io/v1 or gateway.networking.k8s.io/v1alpha2 for a TCPRoute"
                ", found 'gateway.networking.k8s.io/v1alpha3'"
            ),
        ),
        (
            {**TCP_ROUTE, "apiVersion": "gateway.networking.k8s.io/v1beta1"},
            (
                "apiVersion: must be gateway.networking.k8s.io/v1 or gateway.networking.k8s.io/v1alpha2 for a TCPRoute"
                ", found 'gateway.networking.k8s.io/v1beta1'"
            ),
        ),
        ({**SERVICE, "apiVersion": "v2"}, "apiVersion: must be v1 for a Service, found 'v2'"),
    ],
    ids=["v1alpha3", "v1beta1", "core-v2"],
)
def test_a_known_kind_in_another_version_is_rejected(document: Document, message: str) -> None:
    """The message names the versions that are read, and the object keeps its identity."""
    assert said(document) == [message]
    assert rejected(document).key is not None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "an object must be a mapping, found null"),
        ([], "an object must be a mapping, found a list"),
        ("text", "an object must be a mapping, found 'text'"),
        ({}, "apiVersion: is required"),
        ({"apiVersion": "v1"}, "kind: is required"),
        ({"apiVersion": "v1", "kind": ""}, "kind: is required"),
        ({"apiVersion": 1, "kind": "Service"}, "apiVersion: must be text, found 1"),
        ({"apiVersion": "v1", "kind": ["Service"]}, "kind: must be text, found a list"),
    ],
)
def test_documents_that_are_no_objects(document: object, message: str) -> None:
    """What does not say its kind is rejected without an identity."""
    assert said(document) == [message]
    assert rejected(document).key is None


@pytest.mark.parametrize(
    "metadata",
    [None, "x", {}, {"name": ""}, {"name": 5}, {"name": "x", "namespace": 5}],
    ids=["null", "text", "empty", "empty-name", "number-name", "number-namespace"],
)
def test_an_unreadable_identity_has_no_key(metadata: object) -> None:
    """Without a readable name and namespace a rejection belongs to no object."""
    assert rejected({**TCP_ROUTE, "metadata": metadata}).key is None


def test_an_invalid_name_still_identifies() -> None:
    """A name that is readable but wrong is in the key."""
    key = rejected(edited(TCP_ROUTE, "metadata.name", "My_Route")).key
    assert key == ObjectKey("gateway.networking.k8s.io", "TCPRoute", "apps", "My_Route")


def test_every_problem_is_listed_with_its_path() -> None:
    """All problems of one object come at once, field errors and rules alike."""
    document = edited(GATEWAY, "spec.gatewayClassName", ABSENT)
    document = edited(document, "spec.listeners.0.port", "8080")
    document = edited(document, "spec.listeners.1.port", 70000)
    document = edited(document, "spec.listeners.2", {"name": "x", "port": 1, "protocol": "TCP", "tls": {}})
    document = edited(document, "spec.listeners.3", {"name": "x", "port": 1, "protocol": "UDP", "hostname": "a"})
    document = edited(document, "metadata.labels", {"a b": "c", "d": 5})
    assert said(document) == [
        (
            "metadata.labels['a b']: must be a name of up to 63 letters, digits, '-', '_' and '.', optionally after a "
            "DNS prefix and '/', such as 'example.com/role', found 'a b'"
        ),
        'metadata.labels.d: 5 is a number: write it in quotes, "5"',
        "spec.gatewayClassName: is required",
        "spec.listeners[0].port: '8080' is text: write the number without quotes",
        "spec.listeners[1].port: must be between 1 and 65535, found 70000",
        "spec.listeners[2].tls.certificateRefs: is required when mode is Terminate (or set options)",
        "spec.listeners[2].tls: must not be set for protocol TCP; use protocol TLS, or remove tls",
        "spec.listeners[3].hostname: must not be set for protocol UDP: it has no host names",
        "spec.listeners[3].name: must be unique: listeners[2] is named 'x' too",
    ]


def test_problems_have_keys_for_finding_the_line() -> None:
    """The structured path leads to the value in the document."""
    (problem,) = rejected(edited(GATEWAY, "spec.listeners.1.port", 0)).problems
    assert problem.keys == ("spec", "listeners", 1, "port")
    assert problem.path == "spec.listeners[1].port"


def test_null_of_an_optional_field_is_absence() -> None:
    """The API server drops nulls before it applies defaults."""
    document = edited(TCP_ROUTE, "spec.rules.0.backendRefs.0.weight", None)
    document = edited(document, "spec.parentRefs.0.group", None)
    document = edited(document, "spec.parentRefs.0.namespace", None)
    document = edited(document, "metadata.labels", None)
    document = edited(document, "metadata.creationTimestamp", None)
    result = accepted(document)
    assert result.resource == accepted(TCP_ROUTE).resource
    assert result.warnings == ()


@pytest.mark.parametrize("path", ["spec", "spec.rules", "spec.rules.0.backendRefs", "metadata.name", "metadata"])
def test_null_of_a_required_field_is_a_missing_field(path: str) -> None:
    """A required field that is null, or not there, is reported as required."""
    dotted = path.replace(".0", "[0]")
    assert said(edited(TCP_ROUTE, path, None)) == [f"{dotted}: is required"]
    assert said(edited(TCP_ROUTE, path, ABSENT)) == [f"{dotted}: is required"]


def test_null_in_a_list_is_no_entry() -> None:
    """Nulls in lists are not dropped, so they are of the wrong type."""
    assert said(edited(TCP_ROUTE, "spec.parentRefs.1", None)) == ["spec.parentRefs[1]: must be a mapping, found null"]


def test_null_label_values_are_empty() -> None:
    """In metadata the API server reads a null value of a map as empty text; elsewhere it is no entry."""
    document = edited(TLS_GATEWAY, "metadata.labels", {"a": None})
    assert accepted(document).resource.metadata.labels == {"a": ""}
    document = edited(TLS_GATEWAY, "spec.infrastructure.labels", {"a": None})
    assert accepted(document).resource.spec.infrastructure.labels == {}


def test_defaults_come_before_rules() -> None:
    """An empty ``tls`` gets mode Terminate and then lacks a certificate."""
    assert said(edited(TLS_GATEWAY, "spec.listeners.0.tls", {})) == [
        "spec.listeners[0].tls.certificateRefs: is required when mode is Terminate (or set options)"
    ]


def test_defaults_are_filled_in() -> None:
    """Typed objects carry the CRDs' defaults."""
    route = accepted(TCP_ROUTE).resource
    assert isinstance(route, TCPRoute)
    (ref,) = route.spec.parent_refs
    (backend,) = route.spec.rules[0].backend_refs
    assert (ref.group, ref.kind) == ("gateway.networking.k8s.io", "Gateway")
    assert (backend.group, backend.kind, backend.weight) == ("", "Service", 1)
    document = edited(GATEWAY, "spec.listeners.0.allowedRoutes", {"kinds": [{"kind": "TCPRoute"}]})
    gateway = accepted(edited(document, "spec.addresses", [{"value": "::1"}])).resource
    assert isinstance(gateway, Gateway)
    assert gateway.spec.listeners[0].allowed_routes.namespaces == RouteNamespaces(from_="Same")
    assert gateway.spec.listeners[0].allowed_routes.kinds[0].group == "gateway.networking.k8s.io"
    assert gateway.spec.addresses[0].type == "IPAddress"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (6000, None),
        (6000.0, None),
        (6000.5, "must be a whole number, found 6000.5"),
        (True, "must be a whole number, found true"),
        ("6000", "'6000' is text: write the number without quotes"),
        ("http", "must be a whole number, found 'http'"),
        (float("nan"), "must be a whole number, found nan"),
        (float("inf"), "must be a whole number, found inf"),
        (10**5000, "must be between 1 and 65535, found a huge number"),
        ([6000], "must be a whole number, found a list"),
    ],
    ids=["int", "integral-float", "fraction", "bool", "quoted", "word", "nan", "inf", "huge", "list"],
)
def test_integers(value: object, problem: str | None) -> None:
    """Integers are numbers with an integral value, and neither text nor truth values."""
    document = edited(TCP_ROUTE, "spec.rules.0.backendRefs.0.port", value)
    if problem is None:
        assert accepted(document).resource == accepted(TCP_ROUTE).resource
    else:
        assert said(document) == [f"spec.rules[0].backendRefs[0].port: {problem}"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("spec.rules.0.backendRefs.0.wieght", 3, "unknown field, ignored (did you mean weight?)"),
        ("spec.parentRefs.0.sectionname", "foo", "unknown field, ignored"),
        ("metadata.lables", {}, "unknown field, ignored (did you mean labels?)"),
        ("metadata.order", 5, "unknown field, ignored"),
        ("spec.useDefaultGateways", "All", "is an experimental field, ignored in this version"),
        ("specs", {}, "unknown field, ignored"),
    ],
    ids=["typo", "case-beside-the-right-one", "metadata", "internal", "experimental", "top"],
)
def test_unknown_fields_are_dropped_with_a_warning(path: str, value: object, message: str) -> None:
    """Unknown fields do no harm, and the warning has the path and what was perhaps meant."""
    result = accepted(edited(TCP_ROUTE, path, value))
    assert result.resource == accepted(TCP_ROUTE).resource
    dotted = path.replace(".0", "[0]")
    assert [str(warning) for warning in result.warnings] == [f"{dotted}: {message}"]


def test_a_field_in_the_wrong_case_is_suggested() -> None:
    """Suggestions ignore case."""
    document = edited(TCP_ROUTE, "spec.parentRefs.0", {"name": "gw", "sectionname": "foo"})
    assert [str(warning) for warning in accepted(document).warnings] == [
        "spec.parentRefs[0].sectionname: unknown field, ignored (did you mean sectionName?)"
    ]


def test_fields_that_tidegate_does_not_use_are_silent() -> None:
    """What the API server adds to objects, and status, is neither checked nor reported."""
    metadata = {
        "name": "route",
        "namespace": "apps",
        "uid": "1",
        "resourceVersion": "2",
        "managedFields": [{}],
        "finalizers": ["x"],
        "ownerReferences": [{}],
        "generateName": "r-",
        "generation": 4,
    }
    result = accepted({**TCP_ROUTE, "metadata": metadata, "status": 5})
    assert result.warnings == ()
    assert result.resource.metadata.generation == 4


def test_experimental_fields_are_checked_where_they_exist() -> None:
    """``useDefaultGateways`` is a field of v1alpha2, with its values; Gateways never have ``defaultScope``."""
    route = accepted(edited(TCP_ROUTE_ALPHA, "spec.useDefaultGateways", "All")).resource
    assert isinstance(route, TCPRoute)
    assert route.spec.use_default_gateways == "All"
    assert said(edited(TCP_ROUTE_ALPHA, "spec.useDefaultGateways", "all")) == [
        "spec.useDefaultGateways: must be one of All, None; found 'all' (did you mean All?)"
    ]
    assert [warning.path for warning in accepted(edited(GATEWAY, "spec.defaultScope", "Bad")).warnings] == [
        "spec.defaultScope"
    ]


def test_deprecated_versions_are_noted() -> None:
    """v1alpha2 of TCPRoute is noted, which is no warning."""
    result = accepted(TCP_ROUTE_ALPHA)
    assert result.version == "v1alpha2"
    assert result.warnings == ()
    assert [note.path for note in result.notes] == ["apiVersion"]
    assert accepted(TCP_ROUTE).notes == ()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-01-02T03:04:05Z", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        ("2026-01-02T03:04:05+02:00", dt.datetime(2026, 1, 2, 1, 4, 5, tzinfo=dt.UTC)),
        ("2026-01-02T03:04:05.987Z", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        ("2026-01-02 03:04:05Z", None),
        ("2026-01-02T03:04:05", None),
        ("2026-02-30T03:04:05Z", None),
        ("2026-01-02T24:00:00Z", None),
        ("0001-01-01T00:00:00+02:00", None),
        ("", None),
        (5, None),
    ],
)
def test_creation_timestamps(written: object, expected: dt.datetime | None) -> None:
    """Times are RFC 3339 with an offset, kept in UTC by the second."""
    document = edited(TCP_ROUTE, "metadata.creationTimestamp", written)
    if expected is not None:
        assert accepted(document).resource.metadata.creation_timestamp == expected
    else:
        (message,) = said(document)
        assert message.startswith("metadata.creationTimestamp: must be a time such as '2026-01-31T12:00:00Z', found")


def test_yaml_keys_that_are_no_text() -> None:
    """Numbers and truth values as keys become text as in JSON; other keys are refused."""
    document = edited(TCP_ROUTE, "metadata.labels", {2: "a", True: "b", 0.5: "c"})
    assert accepted(document).resource.metadata.labels == {"2": "a", "true": "b", "0.5": "c"}
    assert said(edited(TCP_ROUTE, "metadata.labels", {None: "a"})) == [
        "metadata.labels: a key must be text, found null"
    ]


def test_endless_documents_are_read_to_their_limits() -> None:
    """A structure that contains itself (YAML anchors) and very long lists end with short messages."""
    loop: dict[str, object] = dict(TCP_ROUTE)
    loop["spec"] = loop
    assert said(loop) == [
        "spec.rules: is required",
    ]
    crowd = edited(GATEWAY, "spec.listeners", [{"name": "x", "nope": 1}] * 100_000)
    messages = said(crowd)
    assert messages[0] == "spec.listeners: must have at most 64 entries, found 100000"
    assert len(messages) <= 101
    flood = edited(GATEWAY, "metadata.labels", {f"{number} ": "x" for number in range(100_000)})
    assert said(flood)[-1] == "and 99900 more"


def test_endpoints_may_be_null() -> None:
    """Kubectl prints empty EndpointSlices with null lists."""
    document = edited(edited(ENDPOINT_SLICE, "endpoints", None), "ports", None)
    assert accepted(document).warnings == ()
