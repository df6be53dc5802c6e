"""Reading scalars: text, numbers, truth values, choices, times; each with its message for people.

Comes in: a found value and the limits of the field. Goes out: the typed value, or ``UNSOUND`` and a
message that says what would be right. Structure (lists, maps, structs) is in ``schema.py``.
"""

from __future__ import annotations

import datetime as dt
import re

import msgspec

from tidegate.model.validation.problems import Keys, did_you_mean, found, quoted
from tidegate.model.validation.walk import Unsound, Walk

_WHOLE_NUMBER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})\Z"
)


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """Text with ``low`` to ``high`` characters and ``pattern`` somewhere in it; ``must`` is the pattern in words."""

    low: int = 0
    high: int | None = None
    pattern: re.Pattern[str] | None = None
    must: str = ""

    def fits(self, value: str) -> bool:
        """Whether the pattern is found in a text."""
        return self.pattern is None or self.pattern.search(value) is not None

    def read(self, value: object, keys: Keys, walk: Walk) -> str | Unsound:
        """The text itself."""
        if not isinstance(value, str):
            return walk.reject(keys, _not_text(value))
        if len(value) < self.low:
            return walk.reject(keys, "must not be empty")
        # The length comes first: some of the CRDs' patterns take quadratic time.
        if self.high is not None and len(value) > self.high:
            return walk.reject(keys, f"must be at most {self.high} characters long, found {len(value)}")
        if not self.fits(value):
            return walk.reject(keys, f"{self.must}, found {quoted(value)}")
        return value


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of a few texts, spelled exactly."""

    values: tuple[str, ...]

    def read(self, value: object, keys: Keys, walk: Walk) -> str | Unsound:
        """The text itself."""
        if isinstance(value, str) and value in self.values:
            return value
        hint = did_you_mean(value, self.values) if isinstance(value, str) else ""
        if value is False and "off" in self.values:
            hint = ' (YAML reads off as false: write it in quotes, "off")'
        return walk.reject(keys, f"must be one of {', '.join(self.values)}; found {found(value)}{hint}")


class Integer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole number in a range. ``80.0`` is one, as in JSON; ``"80"`` and ``true`` are not."""

    low: int
    high: int

    def read(self, value: object, keys: Keys, walk: Walk) -> int | Unsound:
        """The number as an integer."""
        if isinstance(value, str) and _WHOLE_NUMBER.match(value):
            return walk.reject(keys, f"{quoted(value)} is text: write the number without quotes")
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return walk.reject(keys, f"must be a whole number, found {found(value)}")
        if not self.low <= value <= self.high:
            return walk.reject(keys, f"must be between {self.low} and {self.high}, found {found(value)}")
        return value


class Boolean(msgspec.Struct, frozen=True):
    """``true`` or ``false``."""

    def read(self, value: object, keys: Keys, walk: Walk) -> bool | Unsound:
        """The truth value itself."""
        if isinstance(value, bool):
            return value
        return walk.reject(keys, f"must be true or false, found {found(value)}")


class Moment(msgspec.Struct, frozen=True):
    """A point in time (RFC 3339), as the API server reads it."""

    def read(self, value: object, keys: Keys, walk: Walk) -> dt.datetime | Unsound:
        """The time in UTC, cut to seconds."""
        moment = parse_time(value)
        if moment is None:
            return walk.reject(keys, f"must be a time such as '2026-01-31T12:00:00Z', found {found(value)}")
        return moment


class NumberOrName(msgspec.Struct, frozen=True, kw_only=True):
    """A whole number, or text. Digits in quotes are text where text may be digits only."""

    number: Integer
    name: Text

    def read(self, value: object, keys: Keys, walk: Walk) -> int | str | Unsound:
        """The number as an integer, or the text itself."""
        if isinstance(value, str) and (self.name.fits(value) or not _WHOLE_NUMBER.match(value)):
            return self.name.read(value, keys, walk)
        if isinstance(value, float) and not value.is_integer() and self.name.fits(str(value)):
            return walk.reject(keys, f'{found(value)} is not a whole number: write it in quotes, "{found(value)}"')
        return self.number.read(value, keys, walk)


def parse_time(value: object) -> dt.datetime | None:
    """The time that a text gives, in UTC and cut to seconds as Kubernetes keeps it; None: it gives none."""
    if not isinstance(value, str) or not _RFC3339.match(value):
        return None
    try:
        moment = dt.datetime.fromisoformat(value)
        return moment.astimezone(dt.UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None


def _not_text(value: object) -> str:
    """What to say when text was expected."""
    match value:
        case bool():
            return f'{found(value)} is not text: write it in quotes, "{found(value)}"'
        case int() | float():
            return f'{found(value)} is a number: write it in quotes, "{found(value)}"'
        case _:
            return f"must be text, found {found(value)}"
