"""Who the controller is to the API server, and what it may do there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidegate.installation.options import NAME, Options
from tidegate.kube.rules import CLUSTER_RULES, NAMESPACE_RULES, Rule

_GROUP = "rbac.authorization.k8s.io"


def service_account(metadata: dict[str, Any]) -> dict[str, Any]:
    """The account. Only a Pod that asks for its token gets one."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }


def role(kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """The ``ClusterRole`` or the ``Role``."""
    rules: Sequence[Rule] = CLUSTER_RULES if kind == "ClusterRole" else NAMESPACE_RULES
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": kind,
        "metadata": metadata,
        "rules": [_rule(rule) for rule in rules],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    names = {"resourceNames": list(rule.names)} if rule.names else {}
    return {"apiGroups": list(rule.groups), "resources": list(rule.resources)} | names | {"verbs": list(rule.verbs)}


def binding(kind: str, metadata: dict[str, Any], options: Options) -> dict[str, Any]:
    """What gives the ``ClusterRole`` or the ``Role`` to the account."""
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": options.namespace}],
    }
