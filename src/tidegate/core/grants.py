"""May this reference cross namespaces? (Gateway API, ReferenceGrant; GEP-709)"""

from __future__ import annotations

from tidegate.core.incremental import View
from tidegate.core.tables import GRANTS, GRANTS_IN
from tidegate.model.grants import ReferenceGrant
from tidegate.names import ObjectKey


def permitted(view: View, referrer: ObjectKey, target: ObjectKey) -> bool:
    """Whether ``referrer`` may refer to ``target``; whether the target exists plays no part."""
    if referrer.namespace == target.namespace:
        return True
    grants = (view.get(GRANTS, key) for key in view.entries(GRANTS_IN, target.namespace))
    return any(_grants(grant, referrer, target) for grant in grants if grant is not None)


def _grants(grant: ReferenceGrant, referrer: ObjectKey, target: ObjectKey) -> bool:
    origin = (referrer.group, referrer.kind, referrer.namespace)
    return any((entry.group, entry.kind, entry.namespace) == origin for entry in grant.spec.from_) and any(
        (entry.group, entry.kind) == (target.group, target.kind) and entry.name in (None, "", target.name)
        for entry in grant.spec.to
    )
