"""The permissions of the controller: nothing twice, nothing that grants more than it says."""

from itertools import product

from tidegate.kube.rules import CLUSTER_RULES, NAMESPACE_RULES, Rule

VERBS = {"get", "list", "watch", "create", "update", "patch", "delete"}


def granted(rule: Rule) -> set[tuple[str, str, str]]:
    return set(product(rule.groups, rule.resources, rule.verbs))


def test_nothing_is_granted_twice() -> None:
    """Each verb on each resource has one place, so that taking a rule away takes the permission away."""
    everything = [one for rule in (*CLUSTER_RULES, *NAMESPACE_RULES) for one in granted(rule)]
    assert sorted(everything) == sorted(set(everything))


def test_no_wildcard() -> None:
    """Every group, resource and verb is named: a wildcard would grant what nobody thought of."""
    for rule in (*CLUSTER_RULES, *NAMESPACE_RULES):
        assert "*" not in (*rule.groups, *rule.resources, *rule.verbs)
        assert set(rule.verbs) <= VERBS


def test_only_what_the_fleet_made_can_be_deleted() -> None:
    """The controller deletes no Gateway, route or namespace."""
    deletable = {one[1] for rule in (*CLUSTER_RULES, *NAMESPACE_RULES) for one in granted(rule) if one[2] == "delete"}
    assert deletable == {
        "configmaps", "deployments", "poddisruptionbudgets", "secrets", "serviceaccounts", "services",
    }  # fmt: skip
