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
    line = "[2026-11-23 11:21:36.014][12100][error][config] [source/server/x.cc:10] no such file"
    assert relayed(line) == {
        "event": "envoy says", "log_level": "error", "part": "envoy", "component": "config", "text": "no such file"
    }  # fmt: skip


def test_line_without_form() -> None:
    """What does not look like Envoy's log is passed on as a warning."""
    assert relayed("envoy: not found") == {
        "event": "envoy says", "log_level": "warning", "part": "envoy", "text": "envoy: not found"
    }  # fmt: skip


def test_words_about_the_configuration_stream_are_for_us() -> None:
    """That a stream ended, or something was rejected, is told by outcomes, so it is only a detail here."""
    for text in (
        "Delta gRPC config stream closed: 14",
        "listener 'a' failed to bind or apply socket options: cannot bind '0.0.0.0:80': Address already in use",
        "delta config for type.googleapis.com/envoy.config.listener.v3.Listener rejected: no",
    ):
        assert relayed(f"[2026-11-23 11:52:45.001][22115][error][x] [source/x.cc:1] {text}")["log_level"] == "debug"
