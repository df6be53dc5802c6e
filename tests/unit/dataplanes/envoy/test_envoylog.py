"""Lines of Envoy's log become events of the same level."""

from __future__ import annotations

import structlog.testing

from tidegate.dataplanes.envoy.envoylog import relay


def relayed(line: str) -> dict[str, object]:
    with structlog.testing.capture_logs() as events:
        relay(line)
    (event,) = events
    return dict(event)


def test_line_with_a_level() -> None:
    """Level, part and text are taken from the line; the place in Envoy's source is left out."""
    line = "[2026-11-23 11:21:36.014][12100][error][config] [source/server/x.cc:10] gRPC config: rejected"
    assert relayed(line) == {
        "event": "envoy says", "log_level": "error", "part": "config", "text": "gRPC config: rejected"
    }  # fmt: skip


def test_line_without_form() -> None:
    """What does not look like Envoy's log is passed on as a warning."""
    assert relayed("envoy: not found") == {"event": "envoy says", "log_level": "warning", "text": "envoy: not found"}
