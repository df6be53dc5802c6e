"""Paths become files, and files bytes, whatever lies around."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tidegate.errors import SourceError
from tidegate.sources import listing
from tidegate.sources.listing import Content, Gone, Unreadable, is_manifest, list_files, read, require, signature


def test_a_directory_is_read_with_all_below_it(tmp_path: Path) -> None:
    """Manifests in all sub-directories, sorted; nothing hidden, no backup, no other file, no ..data."""
    for name in (
        "b.yaml", "a.yml", "sub/c.json", "sub/deep/d.yaml", ".hidden.yaml", "#e.yaml", "e.yaml~", "e.yaml.bak",
        ".e.yaml.swp", "notes.txt", "..data/f.yaml", "..2026_01_02/f.yaml", ".git/g.yaml",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    found = list_files([str(tmp_path)])
    assert found.files == tuple(str(tmp_path / name) for name in ("a.yml", "b.yaml", "sub/c.json", "sub/deep/d.yaml"))
    assert set(found.directories) == {str(tmp_path / name) for name in ("", "sub", "sub/deep")}


def test_a_file_given_twice_is_read_once(tmp_path: Path) -> None:
    """By itself and by its directory; a given file needs no extension."""
    (tmp_path / "a.yaml").write_text("")
    (tmp_path / "plain").write_text("")
    found = list_files([str(tmp_path), str(tmp_path / "a.yaml"), str(tmp_path / "plain"), "-", "-"])
    assert found.files == ("-", str(tmp_path / "a.yaml"), str(tmp_path / "plain"))


def test_missing_and_empty_paths_are_told(tmp_path: Path) -> None:
    """What is not there, and a directory without a manifest."""
    found = list_files([str(tmp_path), str(tmp_path / "none")])
    assert found.empty == (str(tmp_path),)
    assert found.missing == (str(tmp_path / "none"),)


def test_a_path_that_does_not_exist_ends_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the path."""
    with Path(os.devnull).open() as stdin, monkeypatch.context() as patched:
        patched.setattr("sys.stdin", stdin)
        require([str(tmp_path), "-"])
        with pytest.raises(SourceError, match=r"none: there is no such file or directory"):
            require([str(tmp_path), "-", str(tmp_path / "none")])


@pytest.mark.parametrize(("name", "expected"), [("a.yaml", True), (".a.yaml", False), ("#a.yaml", False), ("a", False)])
def test_names_of_manifests(name: str, expected: bool) -> None:
    """An extension, and nothing that editors leave behind."""
    assert is_manifest(name) is expected


def test_reading_gives_bytes_and_a_signature_that_changes(tmp_path: Path) -> None:
    """Another version of a file has another signature."""
    path = tmp_path / "a.yaml"
    path.write_bytes(b"x" * 200_000)
    content = read(str(path))
    assert isinstance(content, Content)
    assert content.data == b"x" * 200_000
    assert content.signature == signature(str(path))
    path.write_bytes(b"y")
    assert content.signature != signature(str(path))


def test_nothing_there(tmp_path: Path) -> None:
    """A file that is gone is no error."""
    assert read(str(tmp_path / "a.yaml")) == Gone()
    assert signature(str(tmp_path / "a.yaml")) is None


def test_what_is_no_file_is_named_and_never_blocks(tmp_path: Path) -> None:
    """A pipe without a writer, a directory, a device, a dangling link, a socket: each says what it is."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "dir.yaml").mkdir()
    (tmp_path / "link.yaml").symlink_to("nowhere")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    answers = {name: read(str(tmp_path / name)) for name in ("pipe.yaml", "dir.yaml", "link.yaml", "loop.yaml")} | {
        "/dev/null": read("/dev/null")
    }
    messages = {name: answer.message for name, answer in answers.items() if isinstance(answer, Unreadable)}
    assert messages.pop("loop.yaml").startswith("cannot be read")
    assert messages == {
        "pipe.yaml": "a pipe, not a file; use - for standard input",
        "dir.yaml": "a directory, not a file; use - for standard input",
        "link.yaml": "a symbolic link that leads nowhere",
        "/dev/null": "a device, not a file; use - for standard input",
    }


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a socket fails, and the message says why."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.yaml")
        assert read("s.yaml") == Unreadable("a socket, not a file")


def test_huge_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond any manifest's size is refused without reading it."""
    monkeypatch.setattr(listing, "MAX_FILE_BYTES", 1 << 20)
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate((1 << 20) + 1)
    assert read(str(path)) == Unreadable("larger than 1 MiB, which no manifest is")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permissions_hurt_only_what_they_protect(tmp_path: Path) -> None:
    """An unreadable file and an unreadable directory are told; the rest is listed."""
    (tmp_path / "ok.yaml").write_text("")
    closed = tmp_path / "closed"
    closed.mkdir()
    secret = tmp_path / "secret.yaml"
    secret.write_text("")
    secret.chmod(0)
    closed.chmod(0)
    try:
        found = list_files([str(tmp_path)])
        assert found.files == (str(tmp_path / "ok.yaml"), str(secret))
        assert [path for path, _ in found.unreadable] == [str(closed)]
        assert read(str(secret)) == Unreadable("cannot be read: permission denied")
    finally:
        closed.chmod(0o700)
