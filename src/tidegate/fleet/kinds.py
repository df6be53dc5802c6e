"""The kinds of objects that make up a Gateway's data plane, in the order in which they are created.

A Pod waits for what it mounts, and longer each time, so what Pods need comes before what makes them.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tidegate.kube.resources import ApiResource
from tidegate.names import CORE_GROUP, ObjectKey


class GeneratedKind(msgspec.Struct, frozen=True, cache_hash=True):
    """A kind by its name in objects, and by its name in request paths."""

    name: str
    resource: ApiResource

    def key(self, namespace: str, name: str) -> ObjectKey:
        """The identity of one object of this kind."""
        return ObjectKey(self.resource.group, self.name, namespace, name)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """An object as it should be: all fields that are ours, and none that are not.

    ``digest`` is a hash of the content; the object carries it in an annotation.
    """

    kind: GeneratedKind
    key: ObjectKey
    body: dict[str, Any]
    digest: str

    def __repr__(self) -> str:
        return f"Manifest({self.key}, {self.digest})"  # The content of a Secret is for nobody's eyes.


SERVICE_ACCOUNT: Final = GeneratedKind("ServiceAccount", ApiResource(CORE_GROUP, "v1", "serviceaccounts"))
CONFIG_MAP: Final = GeneratedKind("ConfigMap", ApiResource(CORE_GROUP, "v1", "configmaps"))
SECRET: Final = GeneratedKind("Secret", ApiResource(CORE_GROUP, "v1", "secrets"))
DEPLOYMENT: Final = GeneratedKind("Deployment", ApiResource("apps", "v1", "deployments"))
SERVICE: Final = GeneratedKind("Service", ApiResource(CORE_GROUP, "v1", "services"))
DISRUPTION_BUDGET: Final = GeneratedKind("PodDisruptionBudget", ApiResource("policy", "v1", "poddisruptionbudgets"))

GENERATED: Final = (SERVICE_ACCOUNT, CONFIG_MAP, SECRET, DEPLOYMENT, SERVICE, DISRUPTION_BUDGET)

KIND_OF: Final = {(kind.resource.group, kind.name): kind for kind in GENERATED}
"""The generated kind of an ``ObjectKey``, by group and kind."""
