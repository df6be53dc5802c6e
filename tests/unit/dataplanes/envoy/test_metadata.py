"""Endpoints carry their backend's label, and whether they refuse."""

from __future__ import annotations

from tidegate.dataplanes.envoy.metadata import METADATA_NAMESPACE, backend_metadata, refusing_metadata


def test_backend_and_refusal_can_be_told_apart() -> None:
    """A backend's endpoints count no refusal, the refusing endpoint counts one and says why it ended."""
    served = backend_metadata("default/a:80").filter_metadata[METADATA_NAMESPACE]
    assert dict(served) == {"backend": "default/a:80", "refused": 0}
    refused = refusing_metadata().filter_metadata[METADATA_NAMESPACE]
    assert dict(refused) == {"backend": "refused", "refused": 1, "ended": "refused"}
