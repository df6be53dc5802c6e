"""The table of kinds: rows by kind, API versions, identities."""

from __future__ import annotations

import pytest

from support.documents import EVERY_KIND, Document
from tidegate.model.decode import Decoded, decode
from tidegate.model.kinds import BY_GROUP_KIND, KINDS, key_of, kind_of
from tidegate.names import ObjectKey


@pytest.mark.parametrize("document", EVERY_KIND, ids=lambda document: f"{document['kind']}-{document['apiVersion']}")
def test_rows_and_keys_of_objects(document: Document) -> None:
    """An object leads to its row and to its identity, which has no version."""
    result = decode(document)
    assert isinstance(result, Decoded)
    row = kind_of(result.resource)
    assert row.kind == document["kind"]
    metadata = document["metadata"]
    assert key_of(result.resource) == ObjectKey(row.group, row.kind, metadata.get("namespace", ""), metadata["name"])


def test_every_kind_has_a_valid_example() -> None:
    """The examples of the tests cover every row."""
    assert {document["kind"] for document in EVERY_KIND} == {row.kind for row in KINDS}


def test_newest_versions() -> None:
    """The newest version is what objects are printed in; the core group has no prefix."""
    assert BY_GROUP_KIND["gateway.networking.k8s.io", "TCPRoute"].api_version == "gateway.networking.k8s.io/v1"
    assert BY_GROUP_KIND["", "Service"].api_version == "v1"
