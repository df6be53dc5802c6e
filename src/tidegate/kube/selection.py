"""Which objects are meant, and how much of each. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from tidegate.kube.resources import ApiResource

_JSON: Final = "application/json"
_AS_METADATA: Final = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Objects of a kind. ``namespace`` empty: in all namespaces. ``metadata_only``: as ``PartialObjectMetadata``."""

    resource: ApiResource
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    metadata_only: bool = False

    @property
    def path(self) -> str:
        """Where they are listed and watched."""
        return self.resource.collection(self.namespace)

    @property
    def params(self) -> dict[str, str]:
        """The parameters that select them."""
        selectors = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: value for name, value in selectors.items() if value}

    @property
    def accept_list(self) -> str:
        """The header that asks for this much of each object in a list."""
        return _AS_METADATA.format("List") if self.metadata_only else _JSON

    @property
    def accept_watch(self) -> str:
        """The header that asks for this much of each object in a watch."""
        return _AS_METADATA.format("") if self.metadata_only else _JSON
