"""Where the objects of a kind are found on an API server.

Comes in: group, version and plural. Goes out: request paths, with every part quoted.
"""

from __future__ import annotations

from typing import Any, TypeAlias
from urllib.parse import quote

import msgspec

Object: TypeAlias = dict[str, Any]
"""An API object as the server prints it in JSON."""


class ApiResource(msgspec.Struct, frozen=True):
    """A kind in one version, by its name in request paths. The core group is the empty text."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    def __str__(self) -> str:
        return f"{self.plural}.{self.version}.{self.group}" if self.group else f"{self.plural}.{self.version}"

    @property
    def api_version(self) -> str:
        """``apiVersion`` as it stands in objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str = "") -> str:
        """The path of all objects in a namespace; in all of them when it is empty."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if self.namespaced and namespace:
            return f"{root}/namespaces/{quote(namespace, safe='')}/{self.plural}"
        return f"{root}/{self.plural}"

    def object(self, namespace: str, name: str, subresource: str = "") -> str:
        """The path of one object, or of its subresource, such as ``status``."""
        path = f"{self.collection(namespace)}/{quote(name, safe='')}"
        return f"{path}/{subresource}" if subresource else path


CUSTOM_RESOURCE_DEFINITIONS = ApiResource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)
LEASES = ApiResource("coordination.k8s.io", "v1", "leases")
