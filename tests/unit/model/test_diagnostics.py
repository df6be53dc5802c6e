"""How places and messages about the input are written."""

from __future__ import annotations

from tidegate.model.diagnostics import Diagnostic, Location, Severity


def test_locations() -> None:
    """A place is file and line, or the file alone."""
    assert str(Location("a.yaml", 3)) == "a.yaml:3"
    assert str(Location("a.yaml")) == "a.yaml"


def test_diagnostics() -> None:
    """A message stands after its place and, if it has one, its field path."""
    place = Location("a.yaml", 3)
    with_path = Diagnostic(severity=Severity.ERROR, location=place, path="spec.rules", message="is required")
    without = Diagnostic(severity=Severity.NOTE, location=place, message="is skipped")
    assert str(with_path) == "a.yaml:3: spec.rules: is required"
    assert str(without) == "a.yaml:3: is skipped"
