"""The table of versions that are read."""

from __future__ import annotations

from tidegate.model.kinds import KINDS
from tidegate.model.validation.versions import VERSIONS, api_version


def test_every_version_of_every_kind_has_a_reader() -> None:
    """Kinds and versions come from the table of kinds; only v1alpha2 is experimental and has a note."""
    assert set(VERSIONS) == {
        (api_version(kind.group, version), kind.kind) for kind in KINDS for version in kind.versions
    }
    special = {key for key, version in VERSIONS.items() if version.experimental}
    assert special == {("gateway.networking.k8s.io/v1alpha2", "TCPRoute")}
    assert {key for key, version in VERSIONS.items() if version.note} == special


def test_api_versions() -> None:
    """The core group has no name."""
    assert api_version("", "v1") == "v1"
    assert api_version("discovery.k8s.io", "v1") == "discovery.k8s.io/v1"
