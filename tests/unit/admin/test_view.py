"""What the API shows of what is said elsewhere."""

from __future__ import annotations

from tidegate.admin.view import Problem, problem_of
from tidegate.model.diagnostics import Diagnostic, Location, Severity
from tidegate.names import GATEWAY_GROUP, ObjectKey


def test_a_diagnostic_is_a_problem() -> None:
    """With its place and its object, as far as it has them."""
    bare = Diagnostic(severity=Severity.WARNING, location=Location("a.yaml"), message="is skipped")
    assert problem_of(bare) == Problem(severity="warning", file="a.yaml", line=0, message="is skipped")
    key = ObjectKey(GATEWAY_GROUP, "Gateway", "default", "edge")
    full = Diagnostic(severity=Severity.ERROR, location=Location("a.yaml", 3), object=key, path="spec", message="no")
    assert problem_of(full) == Problem(
        severity="error", file="a.yaml", line=3, object="Gateway default/edge", path="spec", message="no"
    )
