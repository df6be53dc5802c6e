"""What the controller may do in a cluster: every permission of the product in one place, and who needs it.

Data only, so that each way to install renders the same roles. A verb that nobody uses does not stand here, and
one that stands here is used.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tidegate.names import CORE_GROUP, DISCOVERY_GROUP, GATEWAY_GROUP


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of a Role or ClusterRole: the API groups, the resources in them (``plural/subresource``), the verbs.

    ``names`` limits the rule to objects of these names; RBAC cannot limit ``create``, ``list`` and ``watch`` so.
    """

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


PARAMETERS_GROUP: Final = "tidegate.dev"

AUTHORITY_SECRET: Final = "tidegate-authority"  # noqa: S105, the name of an object.
"""The Secret with the certificate authority, in the controller's own namespace."""

_FOLLOW: Final = ("list", "watch")
# Server-side apply is a ``patch``, and asks for ``create`` too where the object does not exist.
_KEEP: Final = ("get", *_FOLLOW, "create", "patch", "delete")

CLUSTER_RULES: Final = (
    # The source: the Gateways and routes. The writer of statuses gets one that has changed meanwhile.
    Rule(groups=(GATEWAY_GROUP,), resources=("gatewayclasses", "gateways", "tcproutes"), verbs=("get", *_FOLLOW)),
    # The source: references across namespaces, and the parameters of data planes.
    Rule(groups=(GATEWAY_GROUP,), resources=("referencegrants",), verbs=_FOLLOW),
    Rule(groups=(PARAMETERS_GROUP,), resources=("gatewayparameters",), verbs=_FOLLOW),
    # The source: backends, and the namespaces that listeners select by label.
    Rule(groups=(CORE_GROUP,), resources=("namespaces",), verbs=_FOLLOW),
    Rule(groups=(DISCOVERY_GROUP,), resources=("endpointslices",), verbs=_FOLLOW),
    # The source: which kinds and which bundle of CRDs are installed. It follows their metadata and gets some in full.
    Rule(groups=("apiextensions.k8s.io",), resources=("customresourcedefinitions",), verbs=("get", *_FOLLOW)),
    # The writer of statuses.
    Rule(
        groups=(GATEWAY_GROUP,),
        resources=("gatewayclasses/status", "gateways/status", "tcproutes/status"),
        verbs=("patch",),
    ),
    # The keeper of the finalizer on classes that are in use.
    Rule(groups=(GATEWAY_GROUP,), resources=("gatewayclasses",), verbs=("patch",)),
    # The recorder of events.
    Rule(groups=("events.k8s.io",), resources=("events",), verbs=("create", "patch")),
    # The fleet: the objects of every Gateway's data plane. Services are read by the source too, as backends.
    Rule(groups=(CORE_GROUP,), resources=("configmaps", "secrets", "serviceaccounts", "services"), verbs=_KEEP),
    Rule(groups=("apps",), resources=("deployments",), verbs=_KEEP),
    Rule(groups=("policy",), resources=("poddisruptionbudgets",), verbs=_KEEP),
)
"""Needed in every namespace: a ClusterRole."""

NAMESPACE_RULES: Final = (
    # The election of a leader.
    Rule(groups=("coordination.k8s.io",), resources=("leases",), verbs=("get", "create", "update")),
    # The certificate authority. To create and to read it is in the rules for the cluster already.
    Rule(groups=(CORE_GROUP,), resources=("secrets",), verbs=("update",), names=(AUTHORITY_SECRET,)),
)
"""Needed in the controller's own namespace only: a Role."""
