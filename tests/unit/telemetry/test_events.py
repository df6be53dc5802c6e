"""Events in words."""

from __future__ import annotations

import datetime as dt

from tidegate.telemetry.events import Event


def test_an_event_is_one_line() -> None:
    """The phrase, then the details; values with spaces are quoted."""
    event = Event(
        at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), level="info", message="in force", details={"objects": 2, "on": "a b"}
    )
    assert str(event) == "in force  objects=2 on='a b'"


def test_an_event_without_details_is_its_phrase() -> None:
    """Nothing is added."""
    assert str(Event(at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), level="info", message="started")) == "started"
