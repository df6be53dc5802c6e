"""Errors of tasks that run together."""

from __future__ import annotations

from tidegate.app.tasks import first_error


def test_the_first_plain_error_is_found_at_any_depth() -> None:
    """Groups of groups are unwrapped."""
    error = ValueError("first")
    assert first_error(ExceptionGroup("outer", [ExceptionGroup("inner", [error, KeyError()]), KeyError()])) is error
