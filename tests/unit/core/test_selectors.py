"""Label selectors, the invalid ones included."""

from __future__ import annotations

import pytest

from tidegate.core.selectors import matches
from tidegate.model.meta import LabelSelector, LabelSelectorRequirement

LABELS = {"team": "a", "stage": ""}


def requirement(key: str, operator: str, *values: str) -> LabelSelector:
    """A selector of one expression."""
    return LabelSelector(match_expressions=(LabelSelectorRequirement(key=key, operator=operator, values=values),))


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, False),
        (LabelSelector(), True),
        (LabelSelector(match_labels={"team": "a"}), True),
        (LabelSelector(match_labels={"team": "b"}), False),
        (LabelSelector(match_labels={"team": "a", "other": "x"}), False),
        (LabelSelector(match_labels={"stage": ""}), True),
        (LabelSelector(match_labels={"other": ""}), False),
        (requirement("team", "In", "b", "a"), True),
        (requirement("team", "In", "b"), False),
        (requirement("other", "In", "a"), False),
        (requirement("team", "NotIn", "b"), True),
        (requirement("team", "NotIn", "a"), False),
        (requirement("other", "NotIn", "a"), True),
        (requirement("stage", "Exists"), True),
        (requirement("other", "Exists"), False),
        (requirement("other", "DoesNotExist"), True),
        (requirement("team", "DoesNotExist"), False),
        (requirement("team", "In"), False),
        (requirement("team", "NotIn"), False),
        (requirement("team", "Exists", "a"), False),
        (requirement("other", "DoesNotExist", "a"), False),
        (requirement("team", "Maybe", "a"), False),
        (requirement("team", "in", "a"), False),
    ],
)
def test_selector(selector: LabelSelector | None, expected: bool) -> None:
    """All requirements must hold; one that Kubernetes would call invalid holds for nobody."""
    assert matches(selector, LABELS) is expected


def test_labels_and_expressions_must_both_hold() -> None:
    """One requirement that fails is enough, wherever it stands."""
    exists = LabelSelectorRequirement(key="other", operator="Exists")
    assert not matches(LabelSelector(match_labels={"team": "a"}, match_expressions=(exists,)), LABELS)
    assert not matches(LabelSelector(match_labels={"team": "b"}, match_expressions=(exists,)), {"other": "1"})
