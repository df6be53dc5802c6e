"""ReferenceGrant: who may refer into a namespace (v1; v1beta1 has the same schema)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from tidegate.model.meta import ApiStruct, ObjectMeta
from tidegate.model.scalars import Group, KindName, NamespaceName, ObjectName
from tidegate.names import GATEWAY_GROUP

_ENTRIES = msgspec.Meta(min_length=1, max_length=16)


class ReferenceGrantFrom(ApiStruct, frozen=True, kw_only=True):
    group: Group
    kind: KindName
    namespace: NamespaceName


class ReferenceGrantTo(ApiStruct, frozen=True, kw_only=True):
    """``name`` None permits every object of the kind."""

    group: Group
    kind: KindName
    name: ObjectName | None = None


class ReferenceGrantSpec(ApiStruct, frozen=True, kw_only=True):
    from_: Annotated[tuple[ReferenceGrantFrom, ...], _ENTRIES] = msgspec.field(name="from")
    to: Annotated[tuple[ReferenceGrantTo, ...], _ENTRIES]


class ReferenceGrant(ApiStruct, frozen=True, kw_only=True):
    """Permits references from other namespaces into its own."""

    GROUP: ClassVar[str] = GATEWAY_GROUP
    KIND: ClassVar[str] = "ReferenceGrant"

    metadata: ObjectMeta
    spec: ReferenceGrantSpec
