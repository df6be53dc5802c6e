"""Which of the Gateway API's kinds a cluster has installed, and in which version (GEP-922)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class InstalledApis(msgspec.Struct, frozen=True, kw_only=True):
    """``served`` maps each kind that tidegate reads to the version that it is read in, None when the cluster does
    not serve the kind. ``bundle_versions`` maps the names of the group's CustomResourceDefinitions to their
    ``gateway.networking.k8s.io/bundle-version`` (without the annotation: empty).
    """

    served: Mapping[str, str | None] = {}
    bundle_versions: Mapping[str, str] = {}
