"""What there is to say about the input itself: where it stands, and what is wrong with it."""

from __future__ import annotations

import enum

import msgspec

from tidegate.names import ObjectKey


class Severity(enum.Enum):
    """How bad it is. ERROR: something of the input is not in force. WARNING: in force, but probably
    not as meant. NOTE: worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Location(msgspec.Struct, frozen=True, order=True):
    """A place in the input; ``line`` counts from 1, 0 means the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """One message about the input. ``path`` is a field path such as ``spec.listeners[0].port``."""

    severity: Severity
    location: Location
    object: ObjectKey | None = None
    path: str = ""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.location), self.path, self.message) if part)
