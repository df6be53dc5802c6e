"""Every limit and rule of TCPRoute in both channels, with valid and invalid neighbours."""

from __future__ import annotations

from typing import Any

import pytest

from support.documents import ABSENT, TCP_ROUTE, TCP_ROUTE_ALPHA, edited
from support.verdicts import problem_paths, problem_texts

REFS = "spec.parentRefs"
RULES = "spec.rules"
BACKENDS = "spec.rules.0.backendRefs"
BACKEND = {"name": "svc", "port": 1}


def refs(*entries: dict[str, object]) -> list[dict[str, object]]:
    """ParentRefs to the Gateway ``gw``, each with these fields."""
    return [{"name": "gw", **entry} for entry in entries]


def rules(*names: str | None) -> list[dict[str, object]]:
    """Rules with these names."""
    return [{"backendRefs": [BACKEND], **({"name": name} if name is not None else {})} for name in names]


BOTH_VALID: list[tuple[str, str, Any]] = [
    ("no-parents", REFS, ABSENT),
    ("parents-empty", REFS, []),
    ("parents-32", REFS, refs(*({"sectionName": f"s{n}"} for n in range(32)))),
    ("parent-of-another-group", REFS, [{"group": "", "kind": "Service", "name": "any name"}]),
    ("sections-differ", REFS, refs({"sectionName": "a"}, {"sectionName": "b"})),
    ("names-differ", REFS, [{"name": "a"}, {"name": "b"}]),
    ("kinds-differ", REFS, refs({}, {"kind": "ListenerSet"})),
    ("groups-differ", REFS, refs({}, {"group": "example.com"})),
    ("namespaces-differ", REFS, refs({"namespace": "a"}, {"namespace": "b"})),
    ("namespace-absent-and-own", REFS, refs({}, {"namespace": "apps"})),
    ("sections-and-equal-ports", REFS, refs({"sectionName": "a", "port": 1}, {"sectionName": "b", "port": 1})),
    ("rule-name", "spec.rules.0.name", "main"),
    ("backends-16", BACKENDS, [BACKEND] * 16),
    ("weight-0", f"{BACKENDS}.0.weight", 0),
    ("weight-million", f"{BACKENDS}.0.weight", 1_000_000),
    ("other-kind-without-port", BACKENDS, [{"kind": "Pool", "name": "x"}]),
    ("other-group-without-port", BACKENDS, [{"group": "example.com", "name": "x"}]),
    ("backend-namespace", f"{BACKENDS}.0.namespace", "other"),
]

BOTH_INVALID: list[tuple[str, str, Any, list[str]]] = [
    ("spec-missing", "spec", ABSENT, ["spec"]),
    ("rules-missing", RULES, ABSENT, ["spec.rules"]),
    ("rules-empty", RULES, [], ["spec.rules"]),
    ("rule-name-upper", "spec.rules.0.name", "Main", ["spec.rules[0].name"]),
    ("parents-33", REFS, refs(*({"sectionName": f"s{n}"} for n in range(33))), ["spec.parentRefs"]),
    ("parent-name-missing", REFS, [{}], ["spec.parentRefs[0].name"]),
    ("parent-name-empty", REFS, [{"name": ""}], ["spec.parentRefs[0].name"]),
    ("parent-namespace-empty", REFS, refs({"namespace": ""}), ["spec.parentRefs[0].namespace"]),
    ("parent-section-empty", REFS, refs({"sectionName": ""}), ["spec.parentRefs[0].sectionName"]),
    ("parent-port-0", REFS, refs({"port": 0}), ["spec.parentRefs[0].port"]),
    ("parent-kind-empty", REFS, refs({"kind": ""}), ["spec.parentRefs[0].kind"]),
    ("twice-the-same-parent", REFS, refs({}, {}), ["spec.parentRefs[1]"]),
    ("twice-with-spelled-defaults", REFS, refs({}, {"kind": "Gateway"}), ["spec.parentRefs[1]"]),
    ("twice-the-same-section", REFS, refs({"sectionName": "a"}, {"sectionName": "a"}), ["spec.parentRefs[1]"]),
    ("first-without-section", REFS, refs({}, {"sectionName": "a"}), ["spec.parentRefs[0].sectionName"]),
    ("second-without-section", REFS, refs({"sectionName": "a"}, {}), ["spec.parentRefs[1].sectionName"]),
    ("backends-missing", BACKENDS, ABSENT, ["spec.rules[0].backendRefs"]),
    ("backends-0", BACKENDS, [], ["spec.rules[0].backendRefs"]),
    ("backends-17", BACKENDS, [BACKEND] * 17, ["spec.rules[0].backendRefs"]),
    ("service-without-port", BACKENDS, [{"name": "x"}], ["spec.rules[0].backendRefs[0].port"]),
    ("backend-name-missing", BACKENDS, [{"port": 1}], ["spec.rules[0].backendRefs[0].name"]),
    ("weight-negative", f"{BACKENDS}.0.weight", -1, ["spec.rules[0].backendRefs[0].weight"]),
    ("weight-too-big", f"{BACKENDS}.0.weight", 1_000_001, ["spec.rules[0].backendRefs[0].weight"]),
    ("weight-bool", f"{BACKENDS}.0.weight", True, ["spec.rules[0].backendRefs[0].weight"]),
    ("backend-port-65536", f"{BACKENDS}.0.port", 65536, ["spec.rules[0].backendRefs[0].port"]),
    ("backend-namespace-upper", f"{BACKENDS}.0.namespace", "Apps", ["spec.rules[0].backendRefs[0].namespace"]),
]

ONLY_EXPERIMENTAL: list[tuple[str, str, Any, list[str]]] = [
    ("ports-differ", REFS, refs({"port": 1}, {"port": 2}), ["spec.parentRefs[1]"]),
    ("ports-differ-in-one-section", REFS, refs({"sectionName": "a", "port": 1}, {"sectionName": "a", "port": 2}),
     ["spec.parentRefs[1]"]),
    ("two-rules", RULES, rules(None, None), ["spec.rules"]),
    ("rules-16", RULES, rules(*(f"r{n}" for n in range(16))), ["spec.rules"]),
]  # fmt: skip
"""Valid in v1alpha2; the paths are what v1 says."""

ONLY_STANDARD: list[tuple[str, str, Any, list[str]]] = [
    ("port-on-one-of-two", REFS, refs({"sectionName": "a", "port": 1}, {"sectionName": "b"}),
     ["spec.parentRefs[1].port"]),
]  # fmt: skip
"""Valid in v1; the paths are what v1alpha2 says."""

EXPERIMENTAL_INVALID: list[tuple[str, str, Any, list[str]]] = [
    ("rules-17", RULES, rules(*(f"r{n}" for n in range(17))), ["spec.rules"]),
    ("rule-names-twice", RULES, rules("a", None, "a"), ["spec.rules[2].name"]),
    ("same-section-and-port", REFS, refs({"sectionName": "a", "port": 1}, {"sectionName": "a", "port": 1}),
     ["spec.parentRefs[1]"]),
    ("port-beside-section", REFS, refs({"sectionName": "a"}, {"port": 1}),
     ["spec.parentRefs[1].sectionName", "spec.parentRefs[0].port"]),
]  # fmt: skip


def cases(table: list[tuple[Any, ...]]) -> list[Any]:
    """The rows of a table as test cases with their names."""
    return [pytest.param(*case, id=name) for name, *case in table]


@pytest.mark.parametrize("route", [TCP_ROUTE, TCP_ROUTE_ALPHA], ids=["v1", "v1alpha2"])
@pytest.mark.parametrize(("path", "value"), cases(BOTH_VALID))
def test_valid_in_both_channels(path: str, value: object, route: dict[str, Any]) -> None:
    """Both channels accept this route."""
    assert problem_texts(edited(route, path, value)) == []


@pytest.mark.parametrize("route", [TCP_ROUTE, TCP_ROUTE_ALPHA], ids=["v1", "v1alpha2"])
@pytest.mark.parametrize(("path", "value", "where"), cases(BOTH_INVALID))
def test_invalid_in_both_channels(path: str, value: object, where: list[str], route: dict[str, Any]) -> None:
    """Both channels reject this route for the same field."""
    assert problem_paths(edited(route, path, value)) == where


@pytest.mark.parametrize(("path", "value", "where"), cases(ONLY_EXPERIMENTAL))
def test_valid_in_the_experimental_channel_only(path: str, value: object, where: list[str]) -> None:
    """v1alpha2 accepts what v1 rejects."""
    assert problem_texts(edited(TCP_ROUTE_ALPHA, path, value)) == []
    assert problem_paths(edited(TCP_ROUTE, path, value)) == where


@pytest.mark.parametrize(("path", "value", "where"), cases(ONLY_STANDARD))
def test_valid_in_the_standard_channel_only(path: str, value: object, where: list[str]) -> None:
    """v1 accepts what v1alpha2 rejects."""
    assert problem_texts(edited(TCP_ROUTE, path, value)) == []
    assert problem_paths(edited(TCP_ROUTE_ALPHA, path, value)) == where


@pytest.mark.parametrize(("path", "value", "where"), cases(EXPERIMENTAL_INVALID))
def test_invalid_in_the_experimental_channel(path: str, value: object, where: list[str]) -> None:
    """v1alpha2 rejects this route for these fields."""
    assert problem_paths(edited(TCP_ROUTE_ALPHA, path, value)) == where


def test_the_standard_channel_says_what_would_be_right() -> None:
    """The messages about refs and rules tell what to write instead."""
    document = edited(edited(TCP_ROUTE, REFS, refs({"port": 1}, {"port": 2})), RULES, rules(None, None, None))
    assert problem_texts(document) == [
        (
            "spec.parentRefs[1]: must differ from parentRefs[0], which refers to the same Gateway 'gw': tell them apart"
            " by sectionName (port alone is not enough in v1)"
        ),
        (
            "spec.rules: must have exactly 1 entry in v1, found 3: put all backendRefs in one rule, or write a route "
            "for each"
        ),
    ]
    assert problem_texts(edited(TCP_ROUTE, REFS, refs({"sectionName": "a"}, {}))) == [
        "spec.parentRefs[1].sectionName: is required, because parentRefs[0] refers to the same Gateway 'gw' and has one"
    ]
