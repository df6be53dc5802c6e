"""What of a decision is not as wanted, with its place, for real decisions."""

from __future__ import annotations

from pathlib import Path

from support.checking import checked
from support.manifests import Manifest, backend, gateway, listener, parent, service, slice_of, tcproute
from tidegate.cli.findings import findings_of, path_text
from tidegate.model.diagnostics import Severity

WORKING = [service("svc"), *slice_of("svc", [("127.0.0.1", 7001)])]


def found(folder: Path, *documents: Manifest | list[Manifest]) -> list[tuple[str, str, str]]:
    """Severity, path and message of every finding."""
    result = checked(folder, *documents, WORKING)
    return [(item.severity.value, item.path, item.message) for item in findings_of(result.state, result.origin)]


def route(*parents: Manifest, **fields: str) -> Manifest:
    return tcproute("r", parents, [backend("svc")], **fields)


def test_nothing_is_found_where_all_is_well(tmp_path: Path) -> None:
    """A Gateway with a route and a backend with endpoints is clean."""
    assert found(tmp_path, gateway("g", [listener("foo", 8080)]), route(parent("g"))) == []


def test_a_finding_has_file_and_line(tmp_path: Path) -> None:
    """The line is that of the field."""
    result = checked(tmp_path, gateway("g", [listener("foo", 8080)]), route(parent("g", sectionName="fo")), WORKING)
    (item,) = findings_of(result.state, result.origin)
    lines = Path(item.location.file).read_text().splitlines()
    assert "name: g" in lines[item.location.line - 1]
    assert (item.severity, item.path, str(item.object)) == (Severity.ERROR, "spec.parentRefs[0]", "TCPRoute default/r")


def test_each_parent_and_the_backends_are_told_apart(tmp_path: Path) -> None:
    """The parentRef that is not accepted is named by its index; unresolved backends once."""
    bad = tcproute("r", [parent("g", sectionName="foo"), parent("g", sectionName="no")], [backend("nope")])
    findings = found(tmp_path, gateway("g", [listener("foo", 8080)]), bad)
    assert [(severity, path) for severity, path, _ in findings] == [
        ("error", "spec.rules[0].backendRefs"),
        ("error", "spec.parentRefs[1]"),
    ]


def test_a_listener_is_told_and_not_its_gateway_again(tmp_path: Path) -> None:
    """What sums up the listeners is left out when they are told."""
    findings = found(tmp_path, gateway("g", [listener("foo", 8080), listener("web", 80) | {"protocol": "HTTP"}]))
    assert [(severity, path) for severity, path, _ in findings] == [("error", "spec.listeners[1]")]
    assert "Accepted is False (UnsupportedProtocol)" in findings[0][2]


def test_gateways_on_one_port_are_told(tmp_path: Path) -> None:
    """The younger Gateway does not get the port."""
    findings = found(tmp_path, gateway("g", [listener("foo", 8080)]), gateway("h", [listener("foo", 8080)]))
    assert len(findings) == 1
    severity, path, message = findings[0]
    assert (severity, path) == ("error", "spec.listeners[0]")
    assert "Programmed is False (PortUnavailable)" in message


def test_parents_that_are_missing_foreign_or_invalid(tmp_path: Path) -> None:
    """A missing parent is an error, one of another controller a note, and other kinds a warning."""
    foreign = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "other"},
        "spec": {"controllerName": "example.com/x"},
    }
    findings = found(
        tmp_path,
        foreign,
        gateway("theirs", [listener("foo", 8080)], class_name="other"),
        gateway("bad", [listener("foo", 0)]),
        route(parent("theirs"), parent("nowhere"), parent("bad"), parent("svc", kind="Service", group="")),
    )
    assert [(severity, message) for severity, _, message in findings] == [
        ("note", "not served: its class is other, which belongs to the controller example.com/x"),
        ("note", "the parent Gateway default/theirs is not served"),
        ("error", "the parent Gateway default/nowhere does not exist"),
        ("error", "the parent Gateway default/bad is invalid, and so not in force"),
        ("warning", "the parent Service default/svc is not one that tidegate serves"),
    ]


def test_a_route_without_parents_is_a_warning(tmp_path: Path) -> None:
    """It is valid and does nothing."""
    assert found(tmp_path, route()) == [
        ("warning", "spec", "it names no parentRefs, so it attaches to nothing"),
    ]


def test_a_backend_without_endpoints_is_a_warning(tmp_path: Path) -> None:
    """It resolves, and every connection of its share is refused; a weight of 0 has no share."""
    empty = tcproute("r", [parent("g")], [backend("svc"), backend("none"), backend("zero", weight=0)])
    findings = found(tmp_path, gateway("g", [listener("foo", 8080)]), empty, service("none"), service("zero"))
    assert findings == [
        (
            "warning",
            "spec.rules[0].backendRefs[1]",
            "connections to default/none:6000 will be refused: it has no endpoint",
        )
    ]


def test_paths_are_written_as_in_kubernetes() -> None:
    """Fields with dots, indices in brackets."""
    assert path_text(("spec", "rules", 0, "backendRefs", 1)) == "spec.rules[0].backendRefs[1]"
