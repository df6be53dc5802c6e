"""Only what we want of an object is compared, and what is missing is a difference."""

from typing import Any

import pytest

from tidegate.fleet.comparison import fingerprint

WANTED = {"spec": {"ports": [{"port": 80, "protocol": "TCP"}], "type": "NodePort"}, "data": {}}


def same(there: dict[str, Any]) -> bool:
    return fingerprint(there, WANTED) == fingerprint(WANTED, WANTED)


@pytest.mark.parametrize(
    "there",
    [
        WANTED,
        {**WANTED, "status": {"loadBalancer": {}}},
        {**WANTED, "data": {"more": "x"}},
        {"data": {}, "spec": {"type": "NodePort", "ports": [{"protocol": "TCP", "port": 80, "nodePort": 30000}]}},
    ],
    ids=["itself", "more fields", "more entries", "defaults in a list"],
)
def test_what_others_and_the_server_add_is_no_difference(there: dict[str, Any]) -> None:
    """Fields that are not ours may be there or not, in any order."""
    assert same(there)


@pytest.mark.parametrize(
    "there",
    [
        {},
        {"spec": WANTED["spec"]},
        {"spec": None, "data": {}},
        {**WANTED, "spec": {"ports": [], "type": "NodePort"}},
        {**WANTED, "spec": {"ports": [{"port": 81, "protocol": "TCP"}], "type": "NodePort"}},
        {**WANTED, "spec": {"ports": {"port": 80}, "type": "NodePort"}},
        {**WANTED, "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "type": "ClusterIP"}},
        {**WANTED, "spec": {"ports": [*[{"port": 80, "protocol": "TCP"}] * 2], "type": "NodePort"}},
    ],
)
def test_what_is_missing_or_altered_is_a_difference(there: dict[str, Any]) -> None:
    """A field of ours that is gone, has another value, or a list that is longer."""
    assert not same(there)


def test_values_that_the_server_rewrites_are_told_apart() -> None:
    """The fingerprint is of what is there: so an object is compared with itself, after our last apply."""
    wanted = {"cpu": "1000m"}
    assert fingerprint({"cpu": "1"}, wanted) != fingerprint(wanted, wanted)
    assert fingerprint({"cpu": "1", "other": 1}, wanted) == fingerprint({"cpu": "1", "other": 2}, wanted)
