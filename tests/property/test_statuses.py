"""What holds for every status that we write next to others: theirs stays, ours is complete, twice is once."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from support.statuses import (
    FOREIGN,
    NOW,
    NOW_TEXT,
    THEN,
    Raw,
    class_status,
    condition,
    gateway_status,
    listener_status,
    raw_condition,
    raw_parent,
    route_status,
)
from tidegate.core.reasons import ConditionType
from tidegate.model.encode import status_to_mapping
from tidegate.model.routes import ParentReference
from tidegate.model.status import RouteStatus, Status
from tidegate.names import CONTROLLER_NAME
from tidegate.reporting.patching import MAX_CONDITIONS, MAX_PARENTS, Patch, change, patched

OURS = tuple(kind.value for kind in ConditionType)
STATUSES = st.sampled_from(("True", "False", "Unknown"))
NAMES = st.sampled_from("abcd")
NAMESPACES = st.sampled_from((None, "default", "other"))

TYPED_CONDITIONS = st.lists(
    st.builds(condition, st.sampled_from(OURS), STATUSES, reason=st.sampled_from("RS")),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.type,
).map(tuple)
RAW_CONDITIONS = st.lists(
    st.builds(
        raw_condition,
        st.sampled_from((*OURS, *(f"example.com/T{number}" for number in range(9)))),
        STATUSES,
        reason=st.sampled_from("RS"),
        at=st.sampled_from((THEN, NOW_TEXT, "1970-01-01T00:00:00Z")),
    ),
    max_size=MAX_CONDITIONS,
    unique_by=lambda one: one["type"],
)

TYPED_PARENTS = st.builds(
    ParentReference, name=NAMES, namespace=NAMESPACES, section_name=st.sampled_from((None, "s")),
    port=st.sampled_from((None, 1)),
)  # fmt: skip
ROUTES = st.builds(
    route_status, conditions=TYPED_CONDITIONS
) | st.lists(TYPED_PARENTS, min_size=1, max_size=MAX_PARENTS).flatmap(
    lambda parents: st.builds(lambda conditions: route_status(*parents, conditions=conditions), TYPED_CONDITIONS)
)  # fmt: skip


def _entry(controller: str, name: str, namespace: str | None, conditions: list[Raw], reference: Raw) -> Raw:
    named = reference if namespace is None else {**reference, "namespace": namespace}
    return raw_parent(name, *conditions, controller=controller, **named)


RAW_PARENTS = st.lists(
    st.builds(
        _entry,
        st.sampled_from((CONTROLLER_NAME, FOREIGN)),
        NAMES,
        NAMESPACES,
        RAW_CONDITIONS,
        st.sampled_from(({}, {"sectionName": "s"}, {"port": 1}, {"kind": "Service", "group": ""})),
    ),
    max_size=MAX_PARENTS,
)
RAW_LISTENERS = st.lists(
    st.builds(lambda name, conditions: {"name": name, "conditions": conditions}, NAMES, RAW_CONDITIONS),
    max_size=4,
    unique_by=lambda one: one["name"],
)
LISTENERS = st.lists(
    TYPED_CONDITIONS.flatmap(lambda found: NAMES.map(lambda name: listener_status(name, *found))),
    min_size=1, max_size=4, unique_by=lambda one: one.name,
)  # fmt: skip
WHOLE = st.builds(lambda found: class_status(*found), TYPED_CONDITIONS) | st.builds(
    lambda listeners, found: gateway_status(*listeners, conditions=found), LISTENERS, TYPED_CONDITIONS
)
RAW_WHOLE = st.fixed_dictionaries(
    {}, optional={"conditions": RAW_CONDITIONS, "listeners": RAW_LISTENERS, "addresses": st.just([]), "x": st.just(1)}
)
RAW_ROUTES = st.fixed_dictionaries({}, optional={"parents": RAW_PARENTS})
MEETINGS = st.tuples(RAW_ROUTES, ROUTES) | st.tuples(RAW_WHOLE, WHOLE)


def patch(old: Raw, new: Status | None) -> Patch:
    """What to write, for an object in the namespace ``default``."""
    return patched(old, new, controller=CONTROLLER_NAME, namespace="default", now=NOW)


def after(old: Raw, new: Status | None) -> Any:
    """The status afterwards, written or not."""
    result = patch(old, new).status
    return old if result is None else result


def ours(status: Raw) -> list[Raw]:
    """Our entries of a route."""
    return [entry for entry in status.get("parents", ()) if entry["controllerName"] == CONTROLLER_NAME]


def foreign(status: Raw) -> list[Raw]:
    """The entries of others."""
    return [entry for entry in status.get("parents", ()) if entry["controllerName"] != CONTROLLER_NAME]


def untimed(conditions: list[Raw]) -> list[Raw]:
    """Conditions of ours without their times, in the order of their types."""
    found = [{**one, "lastTransitionTime": ""} for one in conditions if one["type"] in OURS]
    return sorted(found, key=lambda one: str(one["type"]))


@settings(max_examples=150)
@given(RAW_ROUTES, ROUTES | st.none())
def test_entries_of_others_are_the_very_same(old: Raw, new: RouteStatus | None) -> None:
    """Every foreign entry is there afterwards, identical and in its order."""
    assert list(map(id, foreign(after(old, new)))) == list(map(id, foreign(old)))


@settings(max_examples=150)
@given(RAW_PARENTS, TYPED_CONDITIONS)
def test_entries_stay_at_their_index(old: list[Raw], conditions: Any) -> None:
    """While all of our entries are still wanted, nothing moves: neither theirs nor ours."""
    references = [
        ParentReference(
            group=entry["parentRef"]["group"], kind=entry["parentRef"]["kind"], name=entry["parentRef"]["name"],
            namespace=entry["parentRef"].get("namespace"), section_name=entry["parentRef"].get("sectionName"),
            port=entry["parentRef"].get("port"),
        )
        for entry in reversed(old) if entry["controllerName"] == CONTROLLER_NAME
    ]  # fmt: skip
    if not references:
        return
    result = after({"parents": old}, route_status(*references, conditions=conditions))["parents"]
    assert [(entry["controllerName"], entry["parentRef"]) for entry in result] == [
        (entry["controllerName"], entry["parentRef"]) for entry in old
    ]


@settings(max_examples=150)
@given(RAW_ROUTES, ROUTES)
def test_our_entries_are_those_wanted(old: Raw, new: RouteStatus) -> None:
    """Each parent of ours has its entry with our conditions, unless it is told that there is no room."""
    result = patch(old, new)
    there = [*ours(after(old, new)), *result.homeless]
    wanted = status_to_mapping(new)["parents"]

    def simple(entries: list[Raw]) -> list[tuple[Any, ...]]:
        found = ((entry["parentRef"], untimed(entry["conditions"])) for entry in entries)
        return sorted(found, key=repr)

    assert simple(there) == simple(wanted)
    assert not result.homeless or len(after(old, new)["parents"]) == MAX_PARENTS


@settings(max_examples=150)
@given(RAW_WHOLE, WHOLE)
def test_our_conditions_are_those_wanted(old: Raw, new: Any) -> None:
    """At an object of ours, too; the types of others keep their order, and there is one condition per type."""
    result = after(old, new)
    pairs = [(old.get("conditions", []), result["conditions"], status_to_mapping(new)["conditions"])]
    before = {entry["name"]: entry["conditions"] for entry in old.get("listeners", ())}
    for entry, wanted in zip(result.get("listeners", ()), status_to_mapping(new).get("listeners", ()), strict=False):
        pairs.append((before.get(entry["name"], []), entry["conditions"], wanted["conditions"]))
    for stored, merged, wanted in pairs:
        assert untimed(merged) == untimed(wanted)
        others = [one for one in stored if one["type"] not in OURS]
        kept = [one for one in merged if one["type"] not in OURS]
        assert kept == others[: len(kept)]
        assert len(kept) == min(len(others), MAX_CONDITIONS - len(wanted))
        assert len({one["type"] for one in merged}) == len(merged) <= MAX_CONDITIONS


@settings(max_examples=150)
@given(MEETINGS)
def test_twice_is_once(meeting: tuple[Raw, Status]) -> None:
    """What was written needs no writing again, however much later."""
    old, new = meeting
    later = NOW.replace(year=2030)
    again = patched(after(old, new), new, controller=CONTROLLER_NAME, namespace="default", now=later)
    assert again.status is None
    assert again.homeless == patch(old, new).homeless


@settings(max_examples=150)
@given(MEETINGS | st.tuples(RAW_ROUTES, st.none()))
def test_the_merge_patch_leads_there(meeting: tuple[Raw, Status | None]) -> None:
    """Merging the change into the old status gives the new one (RFC 7396)."""
    old, new = meeting
    result = after(old, new)
    merged = {**old, **change(old, result)}
    assert {key: value for key, value in merged.items() if value is not None} == result
