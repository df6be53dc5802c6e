"""The outcome of check, and its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.checking import checked
from support.manifests import backend, gateway, listener, parent, service, slice_of, tcproute
from support.states import problem, state
from tidegate.cli.findings import findings_of
from tidegate.cli.hints.collect import hints_about
from tidegate.cli.verdict import EXIT_STATUS, Result, Verdict, problem_text, text_of, verdict
from tidegate.model.diagnostics import Diagnostic, Location, Severity


def said(severity: Severity) -> Diagnostic:
    return Diagnostic(severity=severity, location=Location("a.yaml", 3), message="m")


@pytest.mark.parametrize(
    ("severities", "readable", "strict", "status"),
    [
        ([], True, False, 0),
        ([Severity.NOTE], True, True, 0),
        ([Severity.WARNING], True, False, 0),
        ([Severity.WARNING], True, True, 1),
        ([Severity.NOTE, Severity.ERROR], True, False, 1),
        ([], False, False, 2),
        ([Severity.ERROR], False, True, 2),
    ],
)
def test_the_exit_status_says_it_all(severities: list[Severity], readable: bool, strict: bool, status: int) -> None:
    """0 clean, 1 something not accepted (or warned about, when strict), 2 unreadable."""
    found = verdict(state(), [said(one) for one in severities], (), readable=readable, strict=strict)
    assert EXIT_STATUS[found.result] == status


def test_problems_come_worst_first_and_once() -> None:
    """Errors, then warnings, then notes."""
    items = [said(Severity.NOTE), said(Severity.ERROR), said(Severity.WARNING), said(Severity.ERROR)]
    found = verdict(state(), items, (), readable=True, strict=False)
    assert [item.severity for item in found.problems] == ["error", "warning", "note"]


def test_a_problem_is_a_line_for_people_and_editors() -> None:
    """File, line, path and message, with severity unless it is an error, and the object at the end."""
    assert problem_text(problem(path="spec.x", object="Gateway default/g")) == (
        "gateway.yaml:3: spec.x: it is wrong (Gateway default/g)"
    )
    assert problem_text(problem(line=0, severity="note")) == "gateway.yaml: note: it is wrong"


def decided(folder: Path, *documents: object) -> Verdict:
    result = checked(folder, *documents)  # type: ignore[arg-type]
    findings = (*result.diagnostics, *findings_of(result.state, result.origin))
    return verdict(result.state, findings, hints_about(result.state), readable=result.readable, strict=False)


def test_the_text_tells_what_will_be(tmp_path: Path) -> None:
    """Each Gateway, listener, route and backend with what holds, and a summary."""
    found = decided(
        tmp_path,
        gateway("g", [listener("foo", 8080), listener("bar", 8090)]),
        tcproute("a", [parent("g", sectionName="foo")], [backend("svc", weight=3), backend("nope")]),
        tcproute("b", [parent("g", sectionName="foo")], [backend("svc")], created="2001-01-01T00:00:00Z"),
        service("svc"),
        slice_of("svc", [("127.0.0.1", 7001), ("127.0.0.1", 7002)]),
    )
    lines = text_of(found).splitlines()
    assert lines[0].startswith("Gateway default/g  class tidegate: Accepted, Programmed at ")
    assert lines[1:10] == [
        "  listener foo  TCP 8080: Accepted, ResolvedRefs, Programmed",
        "    served by TCPRoute default/b; 1 more attached, which it precedes",
        "      100% default/svc:6000: 2 of 2 endpoints",
        "  listener bar  TCP 8090: Accepted, ResolvedRefs, Programmed",
        "    no route: every connection will be ended at once",
        "TCPRoute default/a",
        "  parent g/foo: Accepted, not ResolvedRefs (BackendNotFound)",
        "TCPRoute default/b",
        "  parent g/foo: Accepted, ResolvedRefs",
    ]
    assert lines[-1] == "1 Gateway, 2 listeners, 2 routes: 1 error"


def test_an_empty_input_is_said_to_be_empty() -> None:
    """Nothing to serve is not an error, and not silence."""
    found = verdict(state(), [], (), readable=True, strict=False)
    assert found.result is Result.CLEAN
    assert text_of(found) == "nothing to serve: no problems\n"
