"""Tables as kubectl prints them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from support.checking import checked
from support.documents import GATEWAY_PARAMETERS
from support.manifests import backend, gateway, grant, listener, parent, service, slice_of, tcproute
from tidegate.admin.objects import kind_named, select
from tidegate.cli.tables import align, duration, table

NOW = dt.datetime(2026, 1, 10, tzinfo=dt.UTC)
CREATED = "2026-01-07T00:00:00Z"


def shown(objects: Any, word: str, **options: bool) -> list[list[str]]:
    """The table of a kind as words."""
    kind = kind_named(word)
    assert kind is not None
    return [line.split() for line in table(kind, select(objects, kind), now=NOW, **options).splitlines()]


@pytest.fixture
def objects(tmp_path: Path) -> tuple[dict[str, Any], ...]:
    """A Gateway of ours, a route that is accepted and one that is not, and what they refer to."""
    return checked(
        tmp_path,
        gateway("g", [listener("foo", 8080), listener("bar", 8090)], class_name="c", created=CREATED),
        tcproute(
            "a", [parent("g", sectionName="foo")], [backend("svc", weight=3), backend("nope", 1)], created=CREATED
        ),
        tcproute("b", [parent("g", port=1)], [backend("svc")], namespace="other", created=CREATED),
        tcproute("c", [parent("g", port=1)], [backend("svc")], created=CREATED),
        service("svc"),
        slice_of("svc", [("127.0.0.1", 7001)]),
        grant("allow", namespace="default", from_namespace="other"),
        GATEWAY_PARAMETERS,
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "c"},
            "spec": {"controllerName": "tidegate.dev/gateway-controller", "description": "ours"},
        },
    ).state.objects


def test_gateways_have_kubectls_columns(objects: Any) -> None:
    """Name, class, address, programmed and age, as the CRD's printer columns; more when wide."""
    headings, row = shown(objects, "gateways")
    assert headings == ["NAME", "CLASS", "ADDRESS", "PROGRAMMED", "AGE"]
    assert (row[0], row[1], row[3], row[4]) == ("g", "c", "True", "3d")
    headings, row = shown(objects, "gateways", wide=True)
    assert headings[5:] == ["ACCEPTED", "ROUTES", "LISTENERS"]
    assert row[5:] == ["True", "1", "foo:8080/TCP,bar:8090/TCP"]


def test_routes_show_the_reason_that_stands_in_the_way(objects: Any) -> None:
    """A route shows True, or the first reason of its parents; its backends when wide."""
    headings, *rows = shown(objects, "tcproutes", wide=True, namespaces=True)
    assert headings == ["NAMESPACE", "NAME", "PARENTS", "ACCEPTED", "RESOLVEDREFS", "AGE", "BACKENDS"]
    assert rows[0] == ["default", "a", "g/foo", "True", "BackendNotFound", "3d", "svc:6000=3,nope:1=1"]
    assert rows[1][3] == "NoMatchingParent"
    assert rows[2] == ["other", "b", "g:1", "Unknown", "Unknown", "3d", "svc:6000"]


def test_other_kinds_show_what_matters_about_them(objects: Any) -> None:
    """Each kind has its columns."""
    assert shown(objects, "svc")[1][:3] == ["svc", "ClusterIP", "6000/TCP"]
    assert shown(objects, "endpointslices", wide=True)[1][:4] == ["svc-7001", "IPv4", "7001", "127.0.0.1"]
    assert shown(objects, "gwparams")[1][:3] == ["p", "2", "LoadBalancer"]
    assert shown(objects, "refgrant")[1][:3] == ["allow", "other/TCPRoute", "Service"]
    assert shown(objects, "gc", wide=True)[1][1:3] == ["tidegate.dev/gateway-controller", "True"]


def test_namespace_that_ends_is_shown_as_such() -> None:
    """In a cluster a Namespace has a phase; without one it is there, and so active."""
    there = {"apiVersion": "v1", "kind": "Namespace"}
    ending = {**there, "metadata": {"name": "b"}, "status": {"phase": "Terminating"}}
    rows = shown([{**there, "metadata": {"name": "a"}}, ending], "ns")
    assert [row[1] for row in rows] == ["STATUS", "Active", "Terminating"]


def test_cluster_scoped_kinds_have_no_namespace(objects: Any) -> None:
    """With all namespaces, a class still begins with its name."""
    assert shown(objects, "gc", namespaces=True)[0][0] == "NAME"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (190, "3m10s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (5 * 3600 + 720, "5h12m"),
        (26 * 3600, "26h"),
        (76 * 3600, "3d4h"),
        (45 * 86400, "45d"),
    ],
)
def test_ages_are_short(seconds: float, text: str) -> None:
    """Ages have one or two units, as in kubectl."""
    assert duration(seconds) == text


def test_columns_are_aligned_without_trailing_space() -> None:
    """Columns are three spaces apart, and the last one is not padded."""
    assert align([["A", "BB"], ["ccc", "d"]]) == "A     BB\nccc   d\n"
    assert align([]) == ""
