"""In which version each kind is read from a cluster. Pure.

In: the custom kinds that are installed. Out: ``InstalledApis``: for each kind the newest version that the cluster
serves and tidegate reads, and the versions of the Gateway API's bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidegate.kube.discovery import Definition
from tidegate.kube.resources import ApiResource
from tidegate.model.apis import InstalledApis
from tidegate.model.kinds import KINDS, Kind
from tidegate.names import CORE_GROUP, DISCOVERY_GROUP, GATEWAY_GROUP

_BUILT_IN: Final = frozenset({CORE_GROUP, DISCOVERY_GROUP})
"""Every cluster serves these, in the one version that tidegate reads."""

CUSTOM_KINDS: Final = tuple(kind for kind in KINDS if kind.group not in _BUILT_IN)
GROUPS: Final = frozenset(kind.group for kind in CUSTOM_KINDS)


def definition_name(kind: Kind) -> str:
    """The name of the CustomResourceDefinition of a kind."""
    return f"{kind.plural}.{kind.group}"


def installed(definitions: Mapping[str, Definition]) -> InstalledApis:
    """What a cluster with these definitions has installed."""
    return InstalledApis(
        served={kind.kind: _version(kind, definitions) for kind in KINDS},
        bundle_versions={
            name: definition.bundle_version
            for name, definition in sorted(definitions.items())
            if name.endswith(f".{GATEWAY_GROUP}")
        },
    )


def resource_of(kind: Kind, version: str) -> ApiResource:
    """Where the objects of a kind are found."""
    return ApiResource(kind.group, version, kind.plural, namespaced=kind.namespaced)


def _version(kind: Kind, definitions: Mapping[str, Definition]) -> str | None:
    if kind.group in _BUILT_IN:
        return kind.versions[0]
    definition = definitions.get(definition_name(kind))
    served = () if definition is None else definition.served
    return next((version for version in kind.versions if version in served), None)
