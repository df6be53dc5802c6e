"""A chunk tells its objects, its refusals and its remarks, each with its line."""

from __future__ import annotations

from support.input_files import route, route_key
from tidegate.model.diagnostics import Location, Severity
from tidegate.sources.chunks import Chunk, read_chunk


def read(text: str, *, line: int = 0) -> Chunk:
    """A chunk that stands at a line of f.yaml."""
    chunk = read_chunk("f.yaml", text)
    chunk.line = line
    return chunk


def test_an_object_has_a_key_and_a_line() -> None:
    """An entry knows where it and its fields stand in the file, wherever the chunk moved."""
    (entry,) = read("# note\n" + route("r"), line=10).entries
    assert entry.key == route_key("r")
    assert entry.resource is not None
    assert entry.location() == Location("f.yaml", 12)
    assert entry.location(("spec", "rules", 0, "backendRefs", 0, "port")) == Location("f.yaml", 23)


def test_a_refused_object_keeps_its_name() -> None:
    """An object that is not valid has an entry without a version, and an error at the field."""
    chunk = read(route("r", port=99999))
    assert [(entry.key, entry.resource) for entry in chunk.entries] == [(route_key("r"), None)]
    (problem,) = chunk.diagnostics()
    assert (problem.severity, problem.location.line, problem.object) == (Severity.ERROR, 12, route_key("r"))
    assert problem.path == "spec.rules[0].backendRefs[0].port"


def test_unknown_fields_are_warnings() -> None:
    """A field that is not in the schema is warned of at its line."""
    (problem,) = read(route("r", extra="  colour: red\n")).diagnostics()
    assert (problem.severity, problem.location.line, problem.path) == (Severity.WARNING, 13, "spec.colour")


def test_what_has_an_effect_in_a_cluster_only_is_noted() -> None:
    """Parameters, and a Gateway's infrastructure, are objects like all others, with a note at their place."""
    chunk = read("""\
kind: List
apiVersion: v1
items:
- apiVersion: tidegate.dev/v1alpha1
  kind: GatewayParameters
  metadata: {name: p}
  spec: {replicas: 2}
- apiVersion: gateway.networking.k8s.io/v1
  kind: Gateway
  metadata: {name: gw}
  spec:
    gatewayClassName: tidegate
    listeners: [{name: tcp, protocol: TCP, port: 80}]
    infrastructure: {labels: {a: b}}
""")
    assert [entry.key.kind for entry in chunk.entries] == ["GatewayParameters", "Gateway"]
    assert list(chunk.diagnostics()) == []
    remarks = [(one.severity, one.path, one.line, one.message) for one in chunk.remarks]
    message = "is checked, and has an effect in a cluster only"
    assert remarks == [(Severity.NOTE, "spec", 6, message), (Severity.NOTE, "spec.infrastructure", 13, message)]


def test_objects_without_a_name_are_told_apart() -> None:
    """What cannot be named marks its chunk: no mapping, no kind, no name."""
    for text in ("- a\n", "text\n", "kind: TCPRoute\n", route("''")):
        chunk = read(text)
        assert chunk.nameless, text
        assert not chunk.entries
        assert [problem.severity for problem in chunk.diagnostics()][:1] == [Severity.ERROR]


def test_other_kinds_are_no_objects() -> None:
    """A kind that is not read is noted, with the kind that was perhaps meant."""
    chunk = read("apiVersion: gateway.networking.k8s.io/v1\nkind: TcpRoute\nmetadata: {name: x}\n")
    assert not chunk.entries
    assert [(one.kind, one.hint) for one in chunk.unknown] == [("TcpRoute", "TCPRoute")]


def test_broken_text_is_one_problem() -> None:
    """A chunk that is no YAML has nothing but its problem."""
    chunk = read("a: [\n")
    assert chunk.broken is not None
    assert not chunk.entries


def test_listed_objects_are_found_in_their_list() -> None:
    """Objects of a list are at their own lines."""
    item = "- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: {}\n"
    text = "kind: List\napiVersion: v1\nitems:\n" + item.format("a") + item.format("b")
    entries = read(text).entries
    assert [entry.key.name for entry in entries] == ["a", "b"]
    assert [entry.location().line for entry in entries] == [4, 8]
    assert entries[1].location(("metadata", "name")).line == 11
