"""Logs for people, for programs, and for the console."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tidegate.telemetry.events import Event
from tidegate.telemetry.logs import log_to_sink, log_to_stream, logger


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was before the test."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def test_json_is_one_object_per_line() -> None:
    """Each event is an object with time, level, part, phrase and key-values."""
    stream = io.StringIO()
    log_to_stream(json=True, stream=stream)
    logger("envoy").warning("envoy ended", status=1)
    value = json.loads(stream.getvalue())
    assert value.pop("timestamp").endswith("Z")
    assert value == {"event": "envoy ended", "level": "warning", "part": "envoy", "status": 1}


def test_lines_for_people_have_no_colours_in_a_file() -> None:
    """A stream that is no terminal gets plain text."""
    stream = io.StringIO()
    log_to_stream(json=False, stream=stream)
    logger("instance").info("started", name="edge")
    assert "started" in stream.getvalue()
    assert "name=edge" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_debug_is_not_for_operators() -> None:
    """Debug events are left out unless asked for."""
    stream = io.StringIO()
    log_to_stream(json=True, stream=stream)
    logger("x").debug("detail")
    assert stream.getvalue() == ""


def test_exceptions_become_text() -> None:
    """A logged exception is a field of the line, not lines of its own."""
    stream = io.StringIO()
    log_to_stream(json=True, stream=stream)
    try:
        int("boom")
    except ValueError:
        logger("x").exception("failed")
    assert "ValueError: invalid literal" in json.loads(stream.getvalue())["exception"]


def test_the_sink_gets_events() -> None:
    """The console gets values instead of lines."""
    events: list[Event] = []
    log_to_sink(events.append)
    logger("x").info("in force", objects=2, where="a b")
    assert [(event.level, event.message, event.details) for event in events] == [
        ("info", "in force", {"objects": 2, "where": "a b"})
    ]
    assert events[0].at.tzinfo is not None


def test_libraries_log_the_same_way() -> None:
    """Warnings of logging come out like our own events; the rest does not."""
    stream = io.StringIO()
    log_to_stream(json=True, stream=stream)
    logging.getLogger("aiohttp.server").warning("odd %s", "request")
    logging.getLogger("aiohttp.server").info("chatter")
    value = json.loads(stream.getvalue())
    assert (value["event"], value["part"], value["level"]) == ("odd request", "aiohttp.server", "warning")


def test_records_that_cannot_be_written_hurt_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that logs does not expect an error, and an event loop ends by it."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log_to_stream(json=False, stream=io.StringIO())
    logging.getLogger("asyncio").warning("%d descriptors", "no")
