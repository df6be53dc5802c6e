"""Printing objects as an API server would: names, defaults, nothing of our own."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from support.documents import EVERY_KIND, SERVICE, TCP_ROUTE, TCP_ROUTE_ALPHA, TLS_GATEWAY, Document, edited
from tidegate.model.decode import Decoded, decode
from tidegate.model.encode import status_to_mapping, timestamp, to_mapping
from tidegate.model.kinds import Resource
from tidegate.model.meta import Condition
from tidegate.model.routes import ParentReference
from tidegate.model.status import RouteParentStatus, RouteStatus


def typed(document: Document) -> Resource:
    """The typed object of a valid document."""
    result = decode(document)
    assert isinstance(result, Decoded), result
    return result.resource


def test_a_route_is_printed_with_its_defaults() -> None:
    """Defaults are filled in, keys are sorted, and what only tidegate knows is left out."""
    route = typed(edited(TCP_ROUTE, "metadata.creationTimestamp", "2026-01-02T05:04:05+02:00"))
    route = msgspec.structs.replace(
        route, metadata=msgspec.structs.replace(route.metadata, generation=3, order=17, labels={"b": "2", "a": "1"})
    )
    printed = to_mapping(route)
    assert printed == {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "TCPRoute",
        "metadata": {
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "generation": 3,
            "labels": {"a": "1", "b": "2"},
            "name": "route",
            "namespace": "apps",
        },
        "spec": {
            "parentRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw", "sectionName": "foo"}
            ],
            "rules": [{"backendRefs": [{"group": "", "kind": "Service", "name": "svc", "port": 6000, "weight": 1}]}],
        },
    }
    assert list(printed["metadata"]["labels"]) == ["a", "b"]
    assert list(printed["spec"]["parentRefs"][0]) == ["group", "kind", "name", "sectionName"]


def test_what_an_api_server_gave_is_printed_where_it_gave_something() -> None:
    """``uid`` and a Service's status are printed when they are set, and only then."""
    printed = to_mapping(typed(SERVICE))
    assert "status" not in printed
    assert "uid" not in printed["metadata"]
    status = {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}
    printed = to_mapping(typed(edited(edited(SERVICE, "status", status), "metadata.uid", "1-2-3")))
    assert printed["status"] == status
    assert printed["metadata"]["uid"] == "1-2-3"


@pytest.mark.parametrize("document", EVERY_KIND, ids=lambda document: f"{document['kind']}-{document['apiVersion']}")
def test_what_is_printed_can_be_read_again(document: Document) -> None:
    """Printing and decoding yields the same object, for every kind, without warnings."""
    resource = typed(document)
    again = decode(to_mapping(resource, document["apiVersion"]))
    assert isinstance(again, Decoded)
    assert again.resource == resource
    assert again.warnings == ()


def test_an_empty_selector_is_not_lost() -> None:
    """An empty selector selects everything, so it is printed; empty optional lists are not."""
    document = edited(TLS_GATEWAY, "spec.listeners.0.allowedRoutes.namespaces", {"from": "Selector", "selector": {}})
    printed = to_mapping(typed(edited(document, "spec.addresses", [])))
    assert printed["spec"]["listeners"][0]["allowedRoutes"] == {"namespaces": {"from": "Selector", "selector": {}}}
    assert "addresses" not in printed["spec"]


def test_services_get_their_defaults() -> None:
    """``targetPort`` defaults to ``port``; unnamed ports and clusters' objects have no empty names."""
    printed = to_mapping(typed(edited(SERVICE, "spec", {"ports": [{"port": 80}]})))
    assert printed["spec"] == {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "type": "ClusterIP"}


def test_experimental_fields_appear_in_experimental_versions_only() -> None:
    """An object written in v1alpha2 loses its experimental fields when it is printed as v1."""
    route = typed(edited(TCP_ROUTE_ALPHA, "spec.useDefaultGateways", "All"))
    alpha = to_mapping(route, "gateway.networking.k8s.io/v1alpha2")
    assert alpha["apiVersion"] == "gateway.networking.k8s.io/v1alpha2"
    assert alpha["spec"]["useDefaultGateways"] == "All"
    assert "useDefaultGateways" not in to_mapping(route)["spec"]


def test_a_status_is_printed_with_the_object() -> None:
    """Conditions carry their times as the API server prints them; times that are not known are left out."""
    condition = Condition(
        type="Accepted",
        status="True",
        reason="Accepted",
        message="",
        observed_generation=2,
        last_transition_time=dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC),
    )
    later = msgspec.structs.replace(condition, type="ResolvedRefs", last_transition_time=None)
    parent = RouteParentStatus(
        parent_ref=ParentReference(name="gw", port=80), controller_name="a/b", conditions=(condition, later)
    )
    printed = to_mapping(typed(TCP_ROUTE), status=RouteStatus(parents=(parent,)))
    assert printed["status"] == {
        "parents": [
            {
                "conditions": [
                    {
                        "lastTransitionTime": "2026-01-02T03:04:05Z",
                        "message": "",
                        "observedGeneration": 2,
                        "reason": "Accepted",
                        "status": "True",
                        "type": "Accepted",
                    },
                    {
                        "message": "",
                        "observedGeneration": 2,
                        "reason": "Accepted",
                        "status": "True",
                        "type": "ResolvedRefs",
                    },
                ],
                "controllerName": "a/b",
                "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw", "port": 80},
            }
        ]
    }


def test_a_status_alone_is_printed_like_that_of_an_object() -> None:
    """There is one form of a status, with or without its object."""
    route = typed(TCP_ROUTE)
    condition = Condition(type="Accepted", status="True", reason="Accepted", message="", observed_generation=3)
    parent = RouteParentStatus(parent_ref=ParentReference(name="gw"), controller_name="a.b/c", conditions=(condition,))
    status = RouteStatus(parents=(parent,))
    assert status_to_mapping(status) == to_mapping(route, status=status)["status"]


def test_a_timestamp_is_in_utc_and_whole_seconds() -> None:
    """As the API server writes times, wherever they come from."""
    zone = dt.timezone(dt.timedelta(hours=2))
    assert timestamp(dt.datetime(2026, 1, 2, 5, 4, 5, 999_999, tzinfo=zone)) == "2026-01-02T03:04:05Z"
