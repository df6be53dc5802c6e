"""Where the programs and CRDs of a test cluster are: ``KUBEBUILDER_ASSETS``, as envtest has it, made by
``scripts/cluster-assets``. Tests that need them are skipped, with the reason, where there are none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

VARIABLE = "KUBEBUILDER_ASSETS"

Channel = Literal["standard", "experimental"]


class Assets(msgspec.Struct, frozen=True, kw_only=True):
    """A directory with everything that a test cluster is made of."""

    directory: Path

    @property
    def etcd(self) -> Path:
        """The store."""
        return self.directory / "etcd"

    @property
    def api_server(self) -> Path:
        """The API server."""
        return self.directory / "kube-apiserver"

    def gateway_api(self, channel: Channel) -> Iterator[dict[str, Any]]:
        """The objects that install a channel of the Gateway API."""
        for path in sorted(self.crds(channel).glob("*.yaml")):
            yield from filter(None, yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader))

    def crds(self, channel: Channel) -> Path:
        """The directory with the manifests of a channel."""
        return self.directory / "crds" / channel


def find_assets() -> Assets | str:
    """The assets, or the reason why there are none."""
    named = os.environ.get(VARIABLE)
    if not named:
        return f"{VARIABLE} is not set: `make test-cluster` builds an API server with Go and sets it"
    assets = Assets(directory=Path(named))
    wanted = (assets.etcd, assets.api_server, assets.crds("standard"), assets.crds("experimental"))
    missing = [str(path.relative_to(assets.directory)) for path in wanted if not path.exists()]
    if missing:
        return f"{VARIABLE}={named} has no {', '.join(missing)}: `make test-cluster` makes a directory that has all"
    return assets
