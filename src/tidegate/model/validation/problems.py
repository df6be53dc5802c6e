"""Problems of an object as values: a field path, and a message that says what would be right.

Owns how paths are written and how a found value is quoted. Which problems there are is decided in the
other modules of this package; severity and file positions belong to the sources.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import msgspec

Keys = tuple[str | int, ...]
"""Where a field stands: mapping keys and list indexes from the top of the document."""

PROBLEM_LIMIT = 100
"""So many problems of one object are listed; the rest is counted. Input may be hostile."""

_SHOWN = 60
_PLAIN_KEY = re.compile(r"[A-Za-z_][-A-Za-z0-9_]*\Z")
_PRINTABLE_INT = 10**30


class FieldProblem(msgspec.Struct, frozen=True):
    """One thing to say about one field.

    ``keys`` leads to it from the top of the document, with mapping keys as text, as in JSON; the last may
    be missing there, when that is the problem. Empty ``keys`` mean the document as a whole. ``message`` is
    complete for a person.
    """

    keys: Keys
    message: str

    @property
    def path(self) -> str:
        """The field path as people write it, such as ``spec.listeners[0].port``."""
        return field_path(self.keys)

    def under(self, *keys: str | int) -> FieldProblem:
        """The same problem, seen from further up."""
        return FieldProblem((*keys, *self.keys), self.message)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.keys else self.message


def field_path(keys: Keys) -> str:
    """``("spec", "listeners", 0, "port")`` as ``spec.listeners[0].port``; odd keys are quoted."""
    parts: list[str] = []
    for key in keys:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif _PLAIN_KEY.match(key):
            parts.append(f".{key}" if parts else key)
        else:
            parts.append(f"[{quoted(key)}]")
    return "".join(parts)


def quoted(text: str) -> str:
    """Text in quotes, on one line, cut when it is long."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def found(value: object) -> str:
    """A found value for a message. Never descends into lists or mappings: they may be endless."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case int():
            return str(value) if abs(value) < _PRINTABLE_INT else "a huge number"
        case float():
            return repr(value)
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f"a value of type {type(value).__name__}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None."""
    if len(word) > _SHOWN:
        return None
    by_lower = {each.lower(): each for each in sorted(known)}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)``, or nothing."""
    meant = nearest(word, known)
    return f" (did you mean {meant}?)" if meant else ""


class ProblemList:
    """Collects problems up to ``PROBLEM_LIMIT`` and counts the rest."""

    def __init__(self) -> None:
        self._kept: list[FieldProblem] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._kept)

    @property
    def full(self) -> bool:
        """Whether what is added from now on is only counted."""
        return len(self._kept) >= PROBLEM_LIMIT

    def add(self, problem: FieldProblem) -> None:
        """Takes one more problem."""
        if self.full:
            self._more += 1
        else:
            self._kept.append(problem)

    def frozen(self) -> tuple[FieldProblem, ...]:
        """Everything collected, each once, in the order of arrival."""
        problems = dict.fromkeys(self._kept)
        if self._more:
            problems[FieldProblem((), f"and {self._more} more")] = None
        return tuple(problems)
