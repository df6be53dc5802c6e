"""Linux tells of changes in directories."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tidegate.sources.inotify import Event, Inotify, Mask

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux'")


def test_events_come_with_path_and_mask(tmp_path: Path) -> None:
    """Each step of a write, in order; nothing blocks when nothing happened."""
    inotify = Inotify([str(tmp_path)])
    assert inotify.read() == []
    path = str(tmp_path / "a b.yaml")
    Path(path).write_text("x")
    assert inotify.read() == [Event(path, mask) for mask in (Mask.CREATE, Mask.MODIFY, Mask.CLOSE_WRITE)]
    Path(path).unlink()
    assert inotify.read() == [Event(path, Mask.DELETE)]
    inotify.close()


def test_directories_tell_of_themselves(tmp_path: Path) -> None:
    """A watched directory that goes, and one inside of it that comes."""
    (tmp_path / "d").mkdir()
    inotify = Inotify([str(tmp_path / "d")])
    (tmp_path / "d" / "e").mkdir()
    (tmp_path / "d" / "e").rmdir()
    (tmp_path / "d").rmdir()
    events = inotify.read()
    assert events[0] == Event(str(tmp_path / "d" / "e"), Mask.CREATE | Mask.ISDIR)
    assert events[-2:] == [Event(str(tmp_path / "d"), Mask.DELETE_SELF), Event(str(tmp_path / "d"), Mask.IGNORED)]
    inotify.close()


def test_what_cannot_be_watched_is_passed_over(tmp_path: Path) -> None:
    """A directory that vanished, or that is none."""
    (tmp_path / "file").write_text("")
    Inotify([str(tmp_path / "gone"), str(tmp_path / "file")]).close()


def test_limits_are_errors(tmp_path: Path) -> None:
    """A path that is too long stands for every refusal; no descriptor stays open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="too long"):
        Inotify([str(tmp_path), "/" + "x" * 5000])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
