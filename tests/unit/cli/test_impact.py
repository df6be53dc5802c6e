"""What of everything decided is about the files that are checked."""

from __future__ import annotations

from pathlib import Path

from support.manifests import Manifest, backend, gateway, listener, parent, service, slice_of, tcproute, write
from support.snapshots import served_class, taken
from tidegate.app.cluster import ClusterCheck, check_of
from tidegate.cli.impact import narrowed, new_findings
from tidegate.names import CONTROLLER_NAME, ObjectKey
from tidegate.sources.files import FilesSource

GATEWAY = gateway("g", [listener("foo", 8080), listener("bar", 8090)])
BACKENDS = [service("svc"), *slice_of("svc", [("10.1.0.7", 7000)])]
THERE = [
    served_class(),
    GATEWAY,
    tcproute("good", [parent("g", sectionName="bar")], [backend("svc")]),
    tcproute("bad", [parent("g", sectionName="foo")], [backend("nope")]),
    gateway("elsewhere", [listener("x", 9000)]),
    *BACKENDS,
]


def foresee(folder: Path, *documents: Manifest) -> ClusterCheck:
    path = folder / "files.yaml"
    write(path, *documents)
    source = FilesSource((str(path),), watch=False)
    return check_of(taken(*THERE), source.load(), source.origin, CONTROLLER_NAME)


def findings(folder: Path, *documents: Manifest) -> list[str]:
    found = foresee(folder, *documents)
    said = new_findings(found.result.state, found.before, found.named, found.result.origin)
    return [f"{one.location.file.rpartition('/')[2]} {one.object}: {one.message}" for one in said]


def test_what_was_wrong_before_is_not_the_files_fault(tmp_path: Path) -> None:
    """A broken route of the cluster is nobody's news; one in the files is."""
    assert findings(tmp_path, tcproute("new", [parent("g", sectionName="bar")], [backend("svc")])) == []
    (said,) = findings(tmp_path, tcproute("new", [parent("g")], [backend("gone")]))
    assert said.startswith("files.yaml TCPRoute default/new: ResolvedRefs is False (BackendNotFound)")


def test_what_becomes_worse_elsewhere_is_said(tmp_path: Path) -> None:
    """A Gateway that loses a listener takes it from a route of the cluster, which no file names."""
    (said,) = findings(tmp_path, gateway("g", [listener("foo", 8080)]))
    assert said.startswith("cluster TCPRoute default/good: Accepted is False (NoMatchingParent)")


def test_shown_are_the_objects_and_where_routes_attach(tmp_path: Path) -> None:
    """Of a large cluster only the part that the files are about."""
    found = foresee(tmp_path, tcproute("new", [parent("g")], [backend("svc")]))
    shown = narrowed(found.result.state, found.named)
    assert sorted(f"{item['kind']} {item['metadata']['name']}" for item in shown.objects) == [
        "Gateway g",
        "TCPRoute new",
    ]
    assert {view.gateway for view in shown.listeners} == {"default/g"}
    assert narrowed(found.result.state, [ObjectKey("", "Service", "default", "svc")]).listeners == ()
