"""What the log says, as values: for the live console, which draws instead of printing lines."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. ``level`` is debug, info, warning, error or critical."""

    at: dt.datetime
    level: str
    message: str
    details: dict[str, Any] = {}

    def __str__(self) -> str:
        """One line for people, without time and level."""
        details = " ".join(f"{key}={_plain(value)}" for key, value in self.details.items())
        return f"{self.message}  {details}" if details else self.message


def _plain(value: object) -> str:
    text = str(value)
    return repr(text) if " " in text or not text else text
