"""The last sound content of input files, across restarts."""

from __future__ import annotations

from pathlib import Path

from tidegate.sources.keeping import Keeper, replace_file


def test_what_was_kept_is_there_for_the_next_keeper(tmp_path: Path) -> None:
    """Contents are found again by the path of their file, however it is written."""
    Keeper(tmp_path / "inputs").keep([("a.yaml", b"a: 1"), ("b.yaml", b"b: 2")])
    later = Keeper(tmp_path / "inputs")
    assert later.recall(str(Path.cwd() / "a.yaml")) == b"a: 1"
    assert later.recall("./b.yaml") == b"b: 2"
    assert later.recall("c.yaml") is None
    assert later.problem == ""


def test_files_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    """Nothing stays of a file that left the input, at once or while nobody looked."""
    keeper = Keeper(tmp_path / "inputs")
    keeper.keep([("a.yaml", b"a"), ("b.yaml", b"b"), ("c.yaml", b"c")])
    keeper.keep([("a.yaml", None)])
    keeper.keep_only(["b.yaml"])
    assert [keeper.recall(name) for name in ("a.yaml", "b.yaml", "c.yaml")] == [None, b"b", None]


def test_what_cannot_be_kept_is_a_problem_in_words(tmp_path: Path) -> None:
    """A directory that cannot be made stops nothing, and the next round begins without the problem."""
    (tmp_path / "file").write_text("in the way")
    keeper = Keeper(tmp_path / "file" / "inputs")
    keeper.keep([("a.yaml", b"a")])
    assert "a.yaml cannot be kept" in keeper.problem
    keeper.keep([])
    assert keeper.problem == ""


def test_files_are_replaced_whole_and_private(tmp_path: Path) -> None:
    """A reader finds the old or the new content, and no other user any."""
    path = tmp_path / "state"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
