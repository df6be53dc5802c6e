"""Who the controller is to the API server, and what it may do there."""

from __future__ import annotations

from tidegate.installation.access import binding, role, service_account
from tidegate.installation.options import NAME, Options
from tidegate.kube.rules import CLUSTER_RULES, NAMESPACE_RULES


def test_roles_hold_exactly_the_rules() -> None:
    """Nothing is added to the rules, and nothing left out."""
    for kind, rules in (("ClusterRole", CLUSTER_RULES), ("Role", NAMESPACE_RULES)):
        assert [
            (
                tuple(rule["apiGroups"]),
                tuple(rule["resources"]),
                tuple(rule["verbs"]),
                tuple(rule.get("resourceNames", ())),
            )
            for rule in role(kind, {})["rules"]
        ] == [(rule.groups, rule.resources, rule.verbs, rule.names) for rule in rules]


def test_no_rule_is_a_wildcard() -> None:
    """Every group, resource and verb is named."""
    for kind in ("ClusterRole", "Role"):
        for rule in role(kind, {})["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_binding_gives_the_role_of_its_kind() -> None:
    """The ClusterRole by a ClusterRoleBinding, the Role by a RoleBinding."""
    for kind in ("ClusterRole", "Role"):
        found = binding(kind, {}, Options())
        assert (found["kind"], found["roleRef"]["kind"], found["roleRef"]["name"]) == (f"{kind}Binding", kind, NAME)


def test_token_is_only_for_pods_that_ask() -> None:
    """A Pod that merely names the account gets no token."""
    assert service_account({})["automountServiceAccountToken"] is False
