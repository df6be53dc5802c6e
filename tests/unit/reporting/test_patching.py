"""What is written into a status, given what is there."""

from __future__ import annotations

import copy

import pytest

from support.statuses import (
    FOREIGN,
    NOW,
    NOW_TEXT,
    THEN,
    Raw,
    class_status,
    condition,
    crd_default,
    gateway_status,
    listener_status,
    raw_condition,
    raw_parent,
    route_status,
)
from tidegate.model.routes import ParentReference
from tidegate.model.status import Status
from tidegate.names import CONTROLLER_NAME
from tidegate.reporting.patching import MAX_CONDITIONS, MAX_PARENTS, Patch, change, patched


def patch(old: Raw, new: Status | None) -> Patch:
    """What to write, for an object in the namespace ``default``; the old status is left alone."""
    before = copy.deepcopy(old)
    result = patched(old, new, controller=CONTROLLER_NAME, namespace="default", now=NOW)
    assert old == before
    return result


def written(old: Raw, new: Status | None) -> Raw:
    """The status that is written; fails when none is."""
    status = patch(old, new).status
    assert status is not None
    return dict(status)


def kinds(holder: Raw) -> list[str]:
    """The types of conditions, in order."""
    return [one["type"] for one in holder["conditions"]]


def parent_names(status: Raw) -> list[str]:
    """The parents of a route's entries, in order; foreign ones in brackets."""
    names = []
    for entry in status["parents"]:
        name = entry["parentRef"]["name"]
        names.append(name if entry["controllerName"] == CONTROLLER_NAME else f"[{name}]")
    return names


def test_a_class_gets_its_whole_status() -> None:
    """What the CRD filled in is overwritten, with times of now; features are sorted."""
    status = written(crd_default("Accepted"), class_status(features=("TCPRoute", "Gateway")))
    assert status == {
        "conditions": [raw_condition("Accepted", at=NOW_TEXT), raw_condition("SupportedVersion", at=NOW_TEXT)],
        "supportedFeatures": [{"name": "Gateway"}, {"name": "TCPRoute"}],
    }


def test_a_gateway_gets_its_whole_status() -> None:
    """Addresses, the count of listener sets and an entry per listener come along with the conditions."""
    status = written(crd_default("Accepted", "Programmed"), gateway_status(listener_status("tcp", attached=2)))
    assert status == {
        "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}],
        "attachedListenerSets": 0,
        "conditions": [raw_condition("Accepted", at=NOW_TEXT), raw_condition("Programmed", at=NOW_TEXT)],
        "listeners": [
            {
                "name": "tcp",
                "attachedRoutes": 2,
                "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "TCPRoute"}],
                "conditions": [raw_condition(kind, at=NOW_TEXT) for kind in ("Accepted", "Programmed", "ResolvedRefs")],
            }
        ],
    }


def test_a_route_gets_an_entry_per_parent() -> None:
    """The parentRef is the spec's, word for word."""
    here = ParentReference(name="gw", namespace="default", section_name="tcp", port=80)
    status = written({}, route_status(here, "other"))
    assert [entry["parentRef"] for entry in status["parents"]] == [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "namespace": "default",
            "name": "gw",
            "sectionName": "tcp",
            "port": 80,
        },
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "other"},
    ]
    assert status["parents"][1]["controllerName"] == CONTROLLER_NAME
    assert status["parents"][1]["conditions"] == [
        raw_condition("Accepted", at=NOW_TEXT),
        raw_condition("ResolvedRefs", at=NOW_TEXT),
    ]


SETTLED = pytest.mark.parametrize("status", [class_status(), gateway_status(), route_status("gw", "other")])


@SETTLED
def test_the_same_again_is_not_written(status: Status) -> None:
    """What is there already, whenever it came about, is left alone."""
    first = written({}, status)
    assert patch(first, status) == Patch(status=None)
    assert patched(first, status, controller=CONTROLLER_NAME, namespace="default", now=NOW.replace(year=2030)) == Patch(
        status=None
    )


@pytest.mark.parametrize(
    ("old", "at"),
    [
        (raw_condition(), THEN),
        (raw_condition(reason="Other"), THEN),
        (raw_condition(status="False"), NOW_TEXT),
        ({"type": "Accepted", "status": "True", "reason": "A", "message": ""}, NOW_TEXT),
    ],
)
def test_time_moves_with_the_status_only(old: Raw, at: str) -> None:
    """Reason, message and generation change without a transition."""
    new = condition(generation=2)
    assert written({"conditions": [old]}, class_status(new))["conditions"] == [raw_condition(generation=2, at=at)]
    route = written({"parents": [raw_parent("gw", old)]}, route_status("gw", conditions=(new,)))
    assert route["parents"][0]["conditions"] == [raw_condition(generation=2, at=at)]


def test_a_default_of_the_crd_is_no_past() -> None:
    """Unknown that we tell ourselves has a time of its own, not the epoch."""
    waiting = tuple(condition(kind, "Unknown", reason="Pending") for kind in ("Accepted", "Programmed"))
    status = written(crd_default("Accepted", "Programmed"), gateway_status(conditions=waiting))
    assert {one["lastTransitionTime"] for one in status["conditions"]} == {NOW_TEXT}


def test_foreign_conditions_stay_in_their_place() -> None:
    """Ours are updated where they stand, new ones come last, types of others are kept as they are."""
    foreign = {**raw_condition("example.com/Audited", "False"), "observedGeneration": 7}
    old = {"conditions": [foreign, raw_condition("Programmed", "False")]}
    status = written(old, gateway_status())
    assert kinds(status) == ["example.com/Audited", "Programmed", "Accepted"]
    assert status["conditions"][0] == foreign


def test_foreign_conditions_of_listeners_and_parents_stay() -> None:
    """The same holds for the conditions inside of entries."""
    foreign = raw_condition("example.com/Audited")
    listener = {"name": "tcp", "attachedRoutes": 0, "supportedKinds": [], "conditions": [foreign]}
    status = written({"listeners": [listener]}, gateway_status())
    assert kinds(status["listeners"][0]) == ["example.com/Audited", "Accepted", "Programmed", "ResolvedRefs"]
    route = written({"parents": [raw_parent("gw", foreign)]}, route_status())
    assert kinds(route["parents"][0]) == ["example.com/Audited", "Accepted", "ResolvedRefs"]


def test_foreign_fields_stay() -> None:
    """A field of the status that is not ours is sent back as it was."""
    assert written({"example": [1]}, class_status())["example"] == [1]
    assert written({"example": [1], "parents": []}, route_status())["example"] == [1]


def test_a_condition_that_is_over_goes() -> None:
    """Types that we write and do not tell any more are removed, at every place."""
    conflict = raw_condition("Conflicted")
    old = written({}, gateway_status())
    old["conditions"].append(conflict)
    old["listeners"][0]["conditions"].append(conflict)
    status = written(old, gateway_status())
    assert kinds(status) == ["Accepted", "Programmed"]
    assert kinds(status["listeners"][0]) == ["Accepted", "Programmed", "ResolvedRefs"]
    route = {"parents": [raw_parent("gw", raw_condition(), raw_condition("PartiallyInvalid"))]}
    assert kinds(written(route, route_status())["parents"][0]) == ["Accepted", "ResolvedRefs"]


def test_a_type_comes_once() -> None:
    """Of conditions that are there twice the first stays, ours or foreign."""
    double = [raw_condition(), raw_condition("a"), raw_condition(), raw_condition("a", "False")]
    assert kinds(written({"conditions": double}, class_status(condition(generation=2)))) == ["Accepted", "a"]


def test_no_more_conditions_than_fit() -> None:
    """Ours have precedence; of the others those that come last give way."""
    old = {"conditions": [raw_condition(f"example.com/T{number}") for number in range(MAX_CONDITIONS)]}
    expected = [f"example.com/T{number}" for number in range(MAX_CONDITIONS - 2)]
    assert kinds(written(old, class_status())) == [*expected, "Accepted", "SupportedVersion"]


def test_listeners_are_those_of_the_spec() -> None:
    """An entry of a listener that is gone goes, a new one comes, in the order of the spec."""
    old = written({}, gateway_status(listener_status("a"), listener_status("b")))
    status = written(old, gateway_status(listener_status("c"), listener_status("b")))
    assert [entry["name"] for entry in status["listeners"]] == ["c", "b"]
    assert status["listeners"][1] == old["listeners"][1]


def test_addresses_are_replaced() -> None:
    """Those that are over go."""
    old = written({}, gateway_status(addresses=("192.0.2.1", "192.0.2.2")))
    assert written(old, gateway_status(addresses=()))["addresses"] == []


def test_no_features_leave_no_list() -> None:
    """A list of ours that is empty now is removed."""
    old = written({}, class_status())
    assert "supportedFeatures" not in written(old, class_status(features=()))


def test_entries_of_others_stay_at_their_index() -> None:
    """Ours is updated in place, a new one is appended."""
    foreign = [raw_parent("gw", controller=FOREIGN), raw_parent("x", controller=FOREIGN, port=1)]
    old = {"parents": [foreign[0], raw_parent("gw", raw_condition(status="False")), foreign[1]]}
    status = written(old, route_status("gw", "new"))
    assert parent_names(status) == ["[gw]", "gw", "[x]", "new"]
    assert status["parents"][0] is foreign[0]
    assert status["parents"][2] is foreign[1]


def test_stale_entries_of_ours_go() -> None:
    """Entries for parentRefs that are no longer ours are deleted, those of others never."""
    old = {"parents": [raw_parent("old"), raw_parent("old", controller=FOREIGN), raw_parent("gw")]}
    assert parent_names(written(old, route_status("gw"))) == ["[old]", "gw"]


def test_entries_are_matched_by_meaning() -> None:
    """A namespace spelled out is the route's own; the entry is spelled like the spec from now on."""
    old = {"parents": [raw_parent("gw", namespace="default"), raw_parent("gw", namespace="elsewhere")]}
    status = written(old, route_status("gw"))
    assert [entry["parentRef"].get("namespace") for entry in status["parents"]] == [None]
    assert status["parents"][0]["conditions"][0]["lastTransitionTime"] == THEN


@pytest.mark.parametrize("different", [{"sectionName": "b"}, {"port": 2}, {"kind": "Service"}, {"group": ""}])
def test_another_reference_is_another_entry(different: Raw) -> None:
    """Every field counts."""
    old = {"parents": [{**raw_parent("gw"), "parentRef": {"name": "gw", **different}}]}
    status = written(old, route_status("gw"))
    assert [entry["conditions"][0]["lastTransitionTime"] for entry in status["parents"]] == [NOW_TEXT]


def test_two_spellings_of_one_parent_have_an_entry_each() -> None:
    """The API permits both in one spec, and each finds its own entry again, in whatever order."""
    plain, spelled = ParentReference(name="gw"), ParentReference(name="gw", namespace="default")
    first = written({}, route_status(plain, spelled))
    assert len(first["parents"]) == 2
    assert patch(first, route_status(spelled, plain)) == Patch(status=None)


def test_withdrawal_takes_our_entries_only() -> None:
    """The last entry leaves an empty list, which the CRD requires."""
    foreign = raw_parent("gw", controller=FOREIGN)
    assert written({"parents": [raw_parent("gw"), foreign]}, None) == {"parents": [foreign]}
    assert written({"parents": [raw_parent("gw")]}, None) == {"parents": []}


@pytest.mark.parametrize(
    "old", [{}, {"parents": []}, {"parents": [raw_parent(controller=FOREIGN)]}, {"conditions": [raw_condition()]}]
)
def test_nothing_to_withdraw(old: Raw) -> None:
    """Without an entry of ours nothing is written; a Gateway is left to its next controller."""
    assert patch(old, None) == Patch(status=None)


def test_a_full_list_is_not_robbed() -> None:
    """Entries of others are not evicted for ours; those of ours without a place are told."""
    foreign = [raw_parent(f"p{number}", controller=FOREIGN) for number in range(MAX_PARENTS - 1)]
    result = patch({"parents": foreign}, route_status("a", "b"))
    assert result.status is not None
    assert parent_names(dict(result.status))[-1] == "a"
    assert [entry["parentRef"]["name"] for entry in result.homeless] == ["b"]
    full = {"parents": [*foreign, raw_parent("p", controller=FOREIGN)]}
    assert [entry["parentRef"]["name"] for entry in patch(full, route_status("a")).homeless] == ["a"]
    assert patch(full, route_status("a")).status is None


def test_a_full_list_has_room_where_ours_go() -> None:
    """A stale entry of ours makes room for a new one."""
    foreign = [raw_parent(f"p{number}", controller=FOREIGN) for number in range(MAX_PARENTS - 1)]
    result = patch({"parents": [raw_parent("old"), *foreign]}, route_status("new"))
    assert result.homeless == ()
    assert result.status is not None
    assert parent_names(dict(result.status))[-1] == "new"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"conditions": [raw_condition(generation=3)]}, class_status(condition(generation=2))),
        ({"conditions": [raw_condition(generation=3)]}, gateway_status(generation=2)),
        (
            {"listeners": [{"name": "gone", "attachedRoutes": 0, "conditions": [raw_condition(generation=3)]}]},
            gateway_status(generation=2),
        ),
        ({"parents": [raw_parent("gone", raw_condition(generation=3))]}, route_status("gw", generation=2)),
    ],
)
def test_older_knowledge_never_overwrites_newer(old: Raw, new: Status) -> None:
    """When one of our conditions speaks of a generation that we have not seen, nothing is written."""
    assert patch(old, new) == Patch(status=None)


def test_generations_of_others_are_no_measure() -> None:
    """A foreign condition or entry may say what it likes."""
    assert patch({"conditions": [raw_condition("example.com/T", generation=9)]}, class_status()).status
    foreign = raw_parent("gw", raw_condition(generation=9), controller=FOREIGN)
    assert patch({"parents": [foreign]}, route_status("gw")).status


def test_a_change_names_what_differs() -> None:
    """A merge patch has the fields that are new or other, and null for those that go."""
    assert change({"a": [1], "b": 2, "c": 3}, {"a": [1, 2], "b": 2, "d": 4}) == {"a": [1, 2], "c": None, "d": 4}
    assert change({"a": 1}, {"a": 1}) == {}
