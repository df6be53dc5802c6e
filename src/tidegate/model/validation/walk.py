"""The state of one slow walk over one document: the rules in force, and what was found so far."""

from __future__ import annotations

import enum
from typing import Final, Protocol

from tidegate.model.validation.problems import FieldProblem, Keys, ProblemList
from tidegate.model.validation.rules import RuleSet


class Unsound(enum.Enum):
    """The type of ``UNSOUND``."""

    UNSOUND = "unsound"


UNSOUND: Final = Unsound.UNSOUND
"""In place of a typed value: it was wrong, and why is on the walk's list."""


class Walk:
    """Collects ``problems`` (the object is rejected) and ``warnings`` (it is not)."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.problems = ProblemList()
        self.warnings = ProblemList()

    def reject(self, keys: Keys, message: str) -> Unsound:
        """Notes a problem; returns what stands in for the value."""
        self.problems.add(FieldProblem(keys, message))
        return UNSOUND

    def warn(self, keys: Keys, message: str) -> None:
        """Notes something that is probably not as meant."""
        self.warnings.add(FieldProblem(keys, message))


class Node(Protocol):
    """Reads one kind of value. Scalars, lists, maps and structs each have theirs."""

    def read(self, value: object, keys: Keys, walk: Walk) -> object:
        """The typed value, or ``UNSOUND`` after noting what is wrong. ``keys`` says where it stands."""
        ...
