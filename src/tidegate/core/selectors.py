"""Label selectors (``metav1.LabelSelector``). One that is invalid matches nothing."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.model.meta import LabelSelector, LabelSelectorRequirement


def matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether ``labels`` satisfy all requirements; a missing selector matches nothing, ``{}`` all."""
    if selector is None:
        return False
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _satisfied(requirement, labels) for requirement in selector.match_expressions
    )


def _satisfied(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return bool(requirement.values) and value not in requirement.values
        case "Exists":
            return not requirement.values and value is not None
        case "DoesNotExist":
            return not requirement.values and value is None
        case _:
            return False
