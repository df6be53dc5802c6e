"""What endpoints carry along for the access log and the counters: which backend they belong to.

In: labels. Out: metadata messages for endpoint resources. Who reads them is ``accesslog`` and ``stats``.
"""

from __future__ import annotations

from collections.abc import Mapping

from envoy.config.core.v3 import base_pb2
from google.protobuf import struct_pb2

METADATA_NAMESPACE = "tidegate"
"""Where endpoints carry what the access log and the counters say about them."""

KEY_BACKEND = "backend"
"""Metadata of every endpoint: the label of its backend; of the refusing endpoint: ``REFUSED``."""

KEY_ENDED = "ended"
"""Metadata of the refusing endpoint alone: why its connections end, ``REFUSED``."""

KEY_REFUSED = "refused"
"""Metadata of every endpoint: by how much a connection raises the counter of refusals, 1 or 0.

Envoy complains in its log about a counter whose value is missing, so it never is.
"""

REFUSED = "refused"


def backend_metadata(label: str) -> base_pb2.Metadata:
    """What the endpoints of the backend ``label`` carry."""
    return _metadata({KEY_BACKEND: struct_pb2.Value(string_value=label), KEY_REFUSED: struct_pb2.Value(number_value=0)})


def refusing_metadata() -> base_pb2.Metadata:
    """What the refusing endpoint carries."""
    word = struct_pb2.Value(string_value=REFUSED)
    return _metadata({KEY_BACKEND: word, KEY_ENDED: word, KEY_REFUSED: struct_pb2.Value(number_value=1)})


def _metadata(fields: Mapping[str, struct_pb2.Value]) -> base_pb2.Metadata:
    return base_pb2.Metadata(filter_metadata={METADATA_NAMESPACE: struct_pb2.Struct(fields=fields)})
