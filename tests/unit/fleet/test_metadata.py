"""Whose an object is stands in it, and is read back from it."""

from typing import Any

import pytest

from support.infrastructures import CONTROLLER, gateway_key, infrastructure
from tidegate.fleet.metadata import (
    GATEWAY_CLASS_NAME,
    GATEWAY_NAME,
    MADE_BY,
    MANAGED_BY,
    NAME,
    Owner,
    labels,
    metadata,
    owner,
    selector,
)

OURS = {NAME: "tidegate-proxy", MANAGED_BY: "tidegate", GATEWAY_NAME: "public", GATEWAY_CLASS_NAME: "tidegate"}


def test_labels_and_annotations_of_the_gateway_are_on_it() -> None:
    """What ``spec.infrastructure`` says is on every object, beside what is ours."""
    wanted = infrastructure(labels={"team": "payments"}, annotations={"example.com/note": "x"})
    about = metadata(wanted, CONTROLLER)
    assert about["labels"] == labels(wanted) == {"team": "payments", **OURS}
    assert about["annotations"] == {"example.com/note": "x", MADE_BY: CONTROLLER}


def test_ours_win() -> None:
    """Nobody can make an object look like another Gateway's by a label, or hide who made it."""
    claimed = dict.fromkeys(OURS, "somebody-else")
    about = metadata(infrastructure(labels=claimed, annotations={MADE_BY: "other"}), CONTROLLER)
    assert about["labels"] == OURS
    assert about["annotations"] == {MADE_BY: CONTROLLER}


def test_selector_does_not_depend_on_what_may_change() -> None:
    """A Deployment's selector is immutable, so neither class nor labels of the user are in it."""
    one = infrastructure(labels={"team": "payments"}, class_name="tidegate")
    other = infrastructure(class_name="internal")
    assert selector(one) == selector(other) == {NAME: "tidegate-proxy", GATEWAY_NAME: "public"}


def test_owner_is_read_back() -> None:
    """What is written is what is read: the Gateway by its full name, its uid, and who made the object."""
    key = gateway_key("a-very-long-name" * 5)
    body = {"metadata": metadata(infrastructure(key, name="short"), CONTROLLER)}
    assert owner(body) == Owner(gateway=key, uid=infrastructure().uid, controller=CONTROLLER)


GATEWAY_REFERENCE = metadata(infrastructure(), CONTROLLER)["ownerReferences"][0]


@pytest.mark.parametrize(
    "references",
    [
        None,
        [],
        [GATEWAY_REFERENCE | {"controller": False}],
        [{name: value for name, value in GATEWAY_REFERENCE.items() if name != "controller"}],
        [GATEWAY_REFERENCE | {"kind": "TCPRoute"}],
        [GATEWAY_REFERENCE | {"apiVersion": "networking.istio.io/v1"}],
    ],
)
def test_what_no_gateway_controls_has_no_owner(references: list[dict[str, Any]] | None) -> None:
    """Only a Gateway that is the controlling owner counts."""
    about = metadata(infrastructure(), CONTROLLER) | {"ownerReferences": references}
    assert owner({"metadata": about}) == Owner(gateway=None, uid="", controller=CONTROLLER)


@pytest.mark.parametrize("taken", ["labels", "annotations"])
def test_without_our_marks_nobody_made_it(taken: str) -> None:
    """An object that lost our label or annotation does not pass for ours, whoever owns it."""
    about = metadata(infrastructure(), CONTROLLER) | {taken: None}
    found = owner({"metadata": about})
    assert (found.gateway, found.controller) == (gateway_key(), "")
