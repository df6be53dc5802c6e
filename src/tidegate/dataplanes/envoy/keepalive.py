"""How proxies and replicas notice that the other side is gone, when nothing tells them.

A connection that is silent for ``SILENT_SECONDS`` is asked whether anybody is there, who has ``ANSWER_SECONDS`` to
answer: an Envoy with little processor time is busy for a second or two when it is told of many listeners. Both
sides do so, Envoy by its bootstrap, and gRPC by ``GRPC_OPTIONS``.
"""

from __future__ import annotations

SILENT_SECONDS = 5
ANSWER_SECONDS = 5

GRPC_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", SILENT_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", ANSWER_SECONDS * 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Other pings, which measure the connection, stand in the way of these until they are answered.
    ("grpc.http2.ping_timeout_ms", ANSWER_SECONDS * 1000),
)
"""What a gRPC server or channel needs in order to ask."""
