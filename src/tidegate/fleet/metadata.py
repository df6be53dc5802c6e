"""Who a generated object belongs to: names, labels, annotations and owner references, and how to read them back.

Names and labels follow GEP-1762; labels and annotations of ``spec.infrastructure`` go onto every object and onto the
Pods (GEP-1867), where they replace defaults but never what says whose the object is. A change of theirs changes the
Pods' template, so the Pods are replaced, one by one and each after its drain time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidegate.names import GATEWAY_GROUP, GATEWAY_NAME_LABEL, ObjectKey, label_value
from tidegate.plan.infrastructure import Infrastructure

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
NAME: Final = "app.kubernetes.io/name"
GATEWAY_NAME: Final = GATEWAY_NAME_LABEL
GATEWAY_CLASS_NAME: Final = f"{GATEWAY_GROUP}/gateway-class-name"

MADE_BY: Final = "tidegate.dev/controller"
"""The annotation that says which controller made an object: two may share a cluster, under different names."""

DIGEST: Final = "tidegate.dev/digest"
"""The annotation with the hash of all that we want of an object, so that what is to be withdrawn can be told."""

MANAGER: Final = "tidegate"
PROXY: Final = "tidegate-proxy"

SELECTS_ALL: Final = f"{MANAGED_BY}={MANAGER}"
"""The label selector of everything that any controller of ours made."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """What an object says about whose it is. ``gateway`` is the Gateway that controls it, by ``uid``.

    ``controller`` is empty unless the object has our label and says by which controller it was made.
    """

    gateway: ObjectKey | None
    uid: str
    controller: str


def metadata(infrastructure: Infrastructure, controller: str) -> dict[str, Any]:
    """The metadata of each object of a Gateway's data plane. All of them have the same name."""
    return {
        "name": infrastructure.name,
        "namespace": infrastructure.gateway.namespace,
        "labels": labels(infrastructure),
        "annotations": {**infrastructure.annotations, MADE_BY: controller},
        "ownerReferences": [_owner_reference(infrastructure)],
    }


def labels(infrastructure: Infrastructure) -> dict[str, str]:
    """The labels of every object and of the Pods."""
    return {
        **infrastructure.labels,
        MANAGED_BY: MANAGER,
        GATEWAY_CLASS_NAME: label_value(infrastructure.class_name),
        **selector(infrastructure),
    }


def selector(infrastructure: Infrastructure) -> dict[str, str]:
    """The labels by which Pods are found. They never change: a Deployment's selector cannot."""
    return {NAME: PROXY, GATEWAY_NAME: label_value(infrastructure.gateway.name)}


def owner(body: Mapping[str, Any]) -> Owner:
    """Whose an object is, by what stands in it."""
    about = body["metadata"]
    ours = (about.get("labels") or {}).get(MANAGED_BY) == MANAGER
    reference = next(filter(_is_gateway_that_controls, about.get("ownerReferences") or ()), None)
    return Owner(
        gateway=ObjectKey(GATEWAY_GROUP, "Gateway", about.get("namespace", ""), reference["name"])
        if reference is not None
        else None,
        uid=reference["uid"] if reference is not None else "",
        controller=(about.get("annotations") or {}).get(MADE_BY, "") if ours else "",
    )


def _owner_reference(infrastructure: Infrastructure) -> dict[str, Any]:
    """The Gateway takes its objects with it.

    It does not wait for them (``blockOwnerDeletion``): that would ask for the right to change finalizers of Gateways.
    """
    return {
        "apiVersion": f"{GATEWAY_GROUP}/v1",
        "kind": "Gateway",
        "name": infrastructure.gateway.name,
        "uid": infrastructure.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _is_gateway_that_controls(reference: Mapping[str, Any]) -> bool:
    group = reference["apiVersion"].rpartition("/")[0]
    return (group, reference["kind"]) == (GATEWAY_GROUP, "Gateway") and reference.get("controller") is True
