"""What the cluster has installed of the Gateway API, as far as a class's status tells it (GEP-922).

Comes in: the installed APIs; None where there is no cluster, because then there is nothing to install.
"""

from __future__ import annotations

import re
from collections import defaultdict

from tidegate.core.reasons import Reason
from tidegate.core.rejection import Rejection
from tidegate.model.apis import InstalledApis

SUPPORTED_VERSIONS = ("v1.5", "v1.6")
"""The releases of the Gateway API whose resources are read as they are meant, whatever their patch number."""

_RELEASE = re.compile(r"(v[0-9]+\.[0-9]+)\.[0-9]+\Z")


def version_rejection(apis: InstalledApis | None) -> Rejection | None:
    """Why the installed version is not one that is supported, or None."""
    if apis is None or (apis.bundle_versions and all(map(_is_supported, apis.bundle_versions.values()))):
        return None
    installed: dict[str, list[str]] = defaultdict(list)
    for definition, version in sorted(apis.bundle_versions.items()):
        installed[version or "no version"].append(definition.partition(".")[0])
    found = ", ".join(f"{version} ({', '.join(plurals)})" for version, plurals in installed.items()) or "none"
    supported = ", ".join(f"{version}.x" for version in SUPPORTED_VERSIONS)
    return Rejection(Reason.UNSUPPORTED_VERSION, f"found of the Gateway API: {found}; supported: {supported}")


def _is_supported(version: str) -> bool:
    release = _RELEASE.match(version)
    return release is not None and release[1] in SUPPORTED_VERSIONS


def missing_kinds(apis: InstalledApis | None) -> tuple[str, ...]:
    """The kinds that the cluster does not serve, so that there are no objects of them."""
    return tuple(sorted(kind for kind, version in apis.served.items() if version is None)) if apis is not None else ()
