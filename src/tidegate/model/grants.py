"""ReferenceGrant: who may refer into a namespace (v1; v1beta1 has the same schema)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tidegate.model.meta import ApiStruct, ObjectMeta
from tidegate.names import GATEWAY_GROUP


class ReferenceGrantFrom(ApiStruct, frozen=True, kw_only=True):
    group: str
    kind: str
    namespace: str


class ReferenceGrantTo(ApiStruct, frozen=True, kw_only=True):
    """``name`` None permits every object of the kind."""

    group: str
    kind: str
    name: str | None = None


class ReferenceGrantSpec(ApiStruct, frozen=True, kw_only=True):
    from_: tuple[ReferenceGrantFrom, ...] = msgspec.field(name="from")
    to: tuple[ReferenceGrantTo, ...]


class ReferenceGrant(ApiStruct, frozen=True, kw_only=True):
    """Permits references from other namespaces into its own."""

    GROUP: ClassVar[str] = GATEWAY_GROUP
    KIND: ClassVar[str] = "ReferenceGrant"

    metadata: ObjectMeta
    spec: ReferenceGrantSpec
