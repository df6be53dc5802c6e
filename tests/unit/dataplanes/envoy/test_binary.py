"""The Envoy program is found and seen to run, or the error says what to do."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tidegate.dataplanes.envoy.binary import find, locate
from tidegate.errors import DataPlaneError

VERSION = "version: 0123abcd/1.40.2/Clean/RELEASE/BoringSSL"


def program(directory: Path, script: str, name: str = "envoy") -> Path:
    """A shell script that stands for Envoy."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_packaged_program_runs_here() -> None:
    """Without a path it is the program of the package, of the version that we build on."""
    found = find(None)
    assert os.access(found.path, os.X_OK)
    assert found.version.startswith("1.40.")
    assert len(found.digest) == 64


def test_a_chosen_program_is_described(tmp_path: Path) -> None:
    """Path, version and a hash of the content tell which Envoy it is."""
    path = program(tmp_path, f'test "$1" = --version && echo "{tmp_path}/envoy  {VERSION}"')
    found = find(path)
    assert found.path == path
    assert found.version == "1.40.2"
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_program_is_located_without_being_run(tmp_path: Path) -> None:
    """Where it is can be told at once; whether it is Envoy is another question."""
    path = program(tmp_path, "exit 1")
    assert locate(path) == path
    assert locate(None) == find(None).path
    with pytest.raises(DataPlaneError, match="no Envoy program at"):
        locate(tmp_path / "missing")


def test_builds_of_one_version_are_told_apart(tmp_path: Path) -> None:
    """Another build has another digest, whatever its version says."""
    one = program(tmp_path, f"echo '{VERSION}'", "one")
    other = program(tmp_path, f"echo '{VERSION}' # rebuilt", "other")
    assert find(one).version == find(other).version
    assert find(one).digest != find(other).digest


def test_the_home_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin with a tilde, and becomes absolute."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = program(tmp_path, f"echo '{VERSION}'")
    assert find(Path("~/envoy")).path == path


def test_an_unusual_version_is_taken_as_it_is(tmp_path: Path) -> None:
    """A version without slashes is the whole word."""
    assert find(program(tmp_path, "echo 'version: custom'")).version == "custom"


def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    """The error names the path and the way out."""
    with pytest.raises(DataPlaneError, match=r"no Envoy program at .*nothing; give the path"):
        find(tmp_path / "nothing")


def test_a_directory_is_no_program(tmp_path: Path) -> None:
    """A directory is reported like a missing program."""
    with pytest.raises(DataPlaneError, match="no Envoy program"):
        find(tmp_path)


def test_a_file_without_permission_is_an_error(tmp_path: Path) -> None:
    """The error gives the command that makes the program executable."""
    path = program(tmp_path, "exit 0")
    path.chmod(0o644)
    with pytest.raises(DataPlaneError, match=rf"not executable; make it so with: chmod \+x {path}"):
        find(path)


def test_a_program_for_another_machine_is_an_error(tmp_path: Path) -> None:
    """A file that the system cannot execute does not run here, and the error has the system's words."""
    path = tmp_path / "envoy"
    path.write_bytes(b"\x7fELF of another machine")
    path.chmod(0o755)
    with pytest.raises(DataPlaneError, match=r"does not run here: .*Exec format error"):
        find(path)


def test_a_failing_program_is_quoted(tmp_path: Path) -> None:
    """What the program said before it failed is in the error."""
    with pytest.raises(DataPlaneError, match=r"GLIBC_2\.31 not found"):
        find(program(tmp_path, "echo 'GLIBC_2.31 not found' >&2; exit 1"))


def test_a_silent_failure_has_its_status(tmp_path: Path) -> None:
    """A program that says nothing is described by its exit status."""
    with pytest.raises(DataPlaneError, match="it ended with status 3"):
        find(program(tmp_path, "exit 3"))


def test_another_program_is_not_taken_for_envoy(tmp_path: Path) -> None:
    """A program that does not print a version as Envoy does is no Envoy; its first line is enough to see that."""
    path = program(tmp_path, "echo hello; echo licence")
    with pytest.raises(DataPlaneError, match=rf"{path} is not Envoy: asked for its version it says 'hello'") as raised:
        find(path)
    assert "licence" not in str(raised.value)
