"""The objects of files with last good versions, ages and diagnostics, on demand."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from support.input_files import BROKEN, file_of, names, route, route_key
from tidegate.model.diagnostics import Severity
from tidegate.model.kinds import Resource
from tidegate.model.routes import TCPRoute
from tidegate.sources.ages import Ages
from tidegate.sources.base import Batch
from tidegate.sources.fileset import FileSet


def files(*paths: Path | str, ages: Ages | None = None, stdin: bytes = b"") -> FileSet:
    """A set over paths."""
    return FileSet([str(path) for path in paths], ages=ages or Ages(), read_stdin=lambda: stdin)


def port(resource: Resource | None) -> int | None:
    """The backend port of a route."""
    assert isinstance(resource, TCPRoute)
    return resource.spec.rules[0].backend_refs[0].port


def said(batch: Batch, severity: Severity = Severity.ERROR) -> list[str]:
    """The messages of one severity, without the directory."""
    assert batch.diagnostics is not None
    return [
        str(one).replace(str(Path(one.location.file).parent) + "/", "")
        for one in batch.diagnostics
        if one.severity is severity
    ]


def test_the_first_load_holds_everything_with_complete_metadata(tmp_path: Path) -> None:
    """All objects in the order of the input, with generation, age and order."""
    (tmp_path / "b.yaml").write_text(route("first-name"))
    (tmp_path / "a.yaml").write_text(file_of([route("z"), route("d")]))
    batch = files(tmp_path).load()
    assert list(names(batch)) == ["z", "d", "first-name"]
    metadata = [change.resource.metadata for change in batch.changes if change.resource]
    assert [(one.generation, one.order, one.namespace) for one in metadata] == [
        (1, 1, "default"), (1, 2, "default"), (1, 3, "default"),
    ]  # fmt: skip
    assert all(one.creation_timestamp is not None for one in metadata)
    assert batch.diagnostics == ()


def test_one_changed_file_is_one_change(tmp_path: Path) -> None:
    """Reading a changed file gives the changed object with its next generation; nothing else is opened."""
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    a.write_text(route("a"))
    b.write_text(route("b"))
    fileset = files(tmp_path)
    fileset.load()
    a.write_text(route("a", port=1))
    b.unlink()
    batch = fileset.read([str(a)], patient=True).batch
    assert list(names(batch)) == ["a"]
    changed = names(batch)["a"]
    assert changed is not None
    assert (port(changed), changed.metadata.generation) == (1, 2)
    assert batch.diagnostics is None


def test_a_change_of_comments_is_no_change(tmp_path: Path) -> None:
    """An edit that means the same is an empty batch."""
    a = tmp_path / "a.yaml"
    a.write_text(route("a"))
    fileset = files(a)
    fileset.load()
    a.write_text("# a comment\n" + route("a"))
    assert fileset.read([str(a)], patient=True).batch == Batch(changes=())


def test_labels_change_an_object_without_a_new_generation(tmp_path: Path) -> None:
    """Metadata is delivered and does not count for the generation."""
    a = tmp_path / "a.yaml"
    a.write_text(route("a"))
    fileset = files(a)
    fileset.load()
    a.write_text(route("a").replace("  name: a\n", "  name: a\n  labels: {x: z}\n"))
    changed = names(fileset.load())["a"]
    assert changed is not None
    assert (changed.metadata.labels, changed.metadata.generation) == ({"x": "z"}, 1)


def test_a_refused_object_keeps_its_last_good_version(tmp_path: Path) -> None:
    """The version in force stays and the refusal is told; deleting it deletes; a refused newcomer is absent."""
    a = tmp_path / "a.yaml"
    a.write_text(file_of([route("a"), route("bad", port=0)]))
    fileset = files(a)
    batch = fileset.load()
    assert list(names(batch)) == ["a"]
    assert said(batch) == ["a.yaml:25: spec.rules[0].backendRefs[0].port: must be between 1 and 65535, found 0"]

    a.write_text(route("a", port=99999))
    batch = fileset.load()
    assert names(batch) == {}
    assert [port(resource) for resource in fileset.resources()] == [6000]
    assert len(said(batch)) == 1
    assert said(batch, Severity.NOTE) == ["a.yaml:1: the version of TCPRoute default/a in force before this one stays"]

    a.write_text(route("a", port=2))
    batch = fileset.load()
    assert port(names(batch)["a"]) == 2
    assert batch.diagnostics == ()
    a.write_text("")
    assert names(fileset.load()) == {"a": None}


def test_a_refused_duplicate_lets_the_one_before_count(tmp_path: Path) -> None:
    """When the last claim was never good, the last sound one is in force."""
    a = tmp_path / "a.yaml"
    a.write_text(file_of([route("x", port=1), route("x", port=0)]))
    assert port(names(files(a).load())["x"]) == 1


def test_a_syntax_error_keeps_a_file_and_no_other(tmp_path: Path) -> None:
    """The broken file stays as it was, others follow; its message has file and line."""
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    a.write_text(file_of([route("a"), route("c")]))
    b.write_text(route("b"))
    fileset = files(tmp_path)
    fileset.load()
    a.write_text(file_of([BROKEN, route("c", port=1)]))
    b.write_text(route("b", port=1))
    batch = fileset.load()
    assert list(names(batch)) == ["b"]
    (message,) = said(batch)
    assert message.startswith("a.yaml:1: not valid YAML: a list in [ ] is not closed or lacks a comma; until it is")
    assert message.endswith("the objects of this file stay as they were")
    assert not fileset.sound


def test_files_that_are_no_text_or_no_files_hurt_only_themselves(tmp_path: Path) -> None:
    """Non-UTF-8, a pipe, a dangling link and a directory with a manifest's name: one message each."""
    (tmp_path / "a.yaml").write_text(route("a"))
    (tmp_path / "latin.yaml").write_bytes(b"# caf\xe9\n" + route("l").encode())
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "link.yaml").symlink_to("nowhere")
    (tmp_path / "dir.yaml").mkdir()
    fileset = files(tmp_path)
    batch = fileset.load()
    assert list(names(batch)) == ["a"]
    assert said(batch) == [
        "latin.yaml:1: the file is not UTF-8: byte 0xe9 at offset 5",
        "link.yaml: a symbolic link that leads nowhere",
        "pipe.yaml: a pipe, not a file; use - for standard input",
    ]
    assert not fileset.sound
    assert fileset.survey().changed == ()


def test_a_file_that_vanishes_takes_its_objects_along(tmp_path: Path) -> None:
    """Its objects are deleted, and duplicates elsewhere come into force."""
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    a.write_text(file_of([route("x", port=1), route("a")]))
    b.write_text(route("x", port=2))
    fileset = files(tmp_path)
    assert port(names(fileset.load())["x"]) == 2
    b.unlink()
    assert fileset.survey().changed == (str(b),)
    reading = fileset.read([str(b)], patient=True)
    assert port(names(reading.batch)["x"]) == 1
    a.unlink()
    assert names(fileset.load()) == {"a": None, "x": None}


def test_a_path_that_vanishes_later_is_told(tmp_path: Path) -> None:
    """Its objects are deleted with a message that goes when it returns."""
    a = tmp_path / "a.yaml"
    a.write_text(route("a"))
    fileset = files(a)
    fileset.load()
    a.unlink()
    batch = fileset.load()
    assert names(batch) == {"a": None}
    assert said(batch) == ["a.yaml: is gone, and its objects with it; watched for its return"]
    a.write_text(route("a"))
    batch = fileset.load()
    assert list(names(batch)) == ["a"]
    assert batch.diagnostics == ()


def test_an_empty_directory_is_warned_of(tmp_path: Path) -> None:
    """Probably another directory was meant."""
    assert said(files(tmp_path).load(), Severity.WARNING)[0].endswith(
        "no file in this directory ends in .yaml, .yml, .json"
    )


def test_a_shrunken_file_is_not_believed_at_first(tmp_path: Path) -> None:
    """A file cut to its own beginning is handed back once; then it counts."""
    a = tmp_path / "a.yaml"
    a.write_text(file_of([route("a"), route("b")]))
    fileset = files(a)
    fileset.load()
    for content in ("", route("a")):
        a.write_text(content)
        reading = fileset.read([str(a)], patient=True)
        assert reading.unfinished == (str(a),)
        assert names(reading.batch) == {}
    reading = fileset.read([str(a)], patient=False)
    assert reading.unfinished == ()
    assert names(reading.batch) == {"b": None}


def test_standard_input_is_read_once() -> None:
    """Its objects stay through further loads and are at <stdin>."""
    reads = []

    def read() -> bytes:
        reads.append(1)
        return route("a").encode()

    fileset = FileSet(["-", "-"], ages=Ages(), read_stdin=read)
    assert list(names(fileset.load())) == ["a"]
    assert fileset.load() == Batch(changes=())
    assert reads == [1]
    assert str(fileset.origin(route_key("a"))) == "<stdin>:1"


def test_origins_are_found(tmp_path: Path) -> None:
    """An object and its fields have file and line; what is not from a file has none."""
    a = tmp_path / "a.yaml"
    a.write_text(file_of([route("a"), route("b")]))
    fileset = files(a)
    fileset.load()
    assert str(fileset.origin(route_key("b"), ("spec", "rules"))) == f"{a}:22"
    assert fileset.origin(route_key("none")) is None


def test_ages_survive_a_restart_and_insertion_steals_nothing(tmp_path: Path) -> None:
    """A document put in front of another is younger, before and after a restart."""
    a, state = tmp_path / "a.yaml", tmp_path / "ages"
    a.write_text(route("old"))
    files(a, ages=Ages(state)).load()
    a.write_text(file_of([route("new"), route("old")]))
    for _ in range(2):
        found = names(files(a, ages=Ages(state)).load())
        old, new = found["old"], found["new"]
        assert old is not None
        assert new is not None
        assert (old.metadata.order, new.metadata.order) == (1, 2)
    a.write_text(route("new"))
    files(a, ages=Ages(state)).load()
    assert Ages(state).by_order(route_key("old")) == 0


def test_a_start_with_a_broken_file_forgets_nothing(tmp_path: Path) -> None:
    """What may only be unreadable keeps its age."""
    a, state = tmp_path / "a.yaml", tmp_path / "ages"
    a.write_text(route("a"))
    files(a, ages=Ages(state)).load()
    a.write_text(BROKEN)
    files(a, ages=Ages(state)).load()
    assert Ages(state).by_order(route_key("a")) == 1


def test_a_state_file_in_trouble_is_told(tmp_path: Path) -> None:
    """The diagnostic names the file; objects are delivered nevertheless."""
    a, state = tmp_path / "a.yaml", tmp_path / "ages"
    a.write_text(route("a"))
    state.write_text("garbage")
    batch = files(a, ages=Ages(state)).load()
    assert list(names(batch)) == ["a"]
    assert "started without known ages" in said(batch, Severity.WARNING)[0]


def test_a_document_of_five_megabytes_is_read(tmp_path: Path) -> None:
    """One huge list in one document, and an object with a huge annotation."""
    a = tmp_path / "a.yaml"
    item = "- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: n{}\n    annotations: {{x: {}}}\n"
    a.write_text("apiVersion: v1\nkind: List\nitems:\n" + "".join(item.format(i, "y" * 500) for i in range(9_000)))
    assert a.stat().st_size > 5_000_000
    started = time.monotonic()
    assert len(files(a).load().changes) == 9_000
    assert time.monotonic() - started < 20
    a.write_text(route("a", extra=f"status: {'x' * 5_000_000}\n"))
    assert list(names(files(a).load())) == ["a"]


@pytest.mark.parametrize(
    "hostile",
    [
        "[" * 100_000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"k{i}: &k{i} [{'*a,' * 9}]\n" for i in range(9_000)),
        "{" * 100_000,
        "- " * 100_000,
        "? " * 100_000,
        "&a " * 100_000,
        "!" * 100_000,
        '"' + "\\" * 100_001,
        "a: |" + "\n" * 1_000_000,
        "-\n" * 200_000,
    ],
)
def test_hostile_files_cost_little_and_hurt_only_themselves(tmp_path: Path, hostile: str) -> None:
    """Whatever it is, the other file's object is there, soon."""
    (tmp_path / "a.yaml").write_text(hostile)
    (tmp_path / "b.yaml").write_text(route("b"))
    started = time.monotonic()
    batch = files(tmp_path).load()
    assert list(names(batch)) == ["b"]
    assert len(batch.diagnostics or ()) <= 1
    assert time.monotonic() - started < 10
