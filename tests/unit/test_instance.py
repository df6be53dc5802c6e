"""The instance directory: private, locked, and found again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.admin.address import TcpAddress, UnixAddress
from tidegate.errors import InstanceError, SettingsError
from tidegate.instance import base_directory, claim, locate, running_instances, write_atomically

HOLDER = """
import sys
from tidegate.admin.address import TcpAddress
from tidegate.instance import claim
with claim(sys.argv[1]) as directory:
    directory.announce(TcpAddress("127.0.0.1", int(sys.argv[2])))
    if sys.argv[3]:
        directory.announce_drain(float(sys.argv[3]))
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory of the test's own, with a short path."""
    with tempfile.TemporaryDirectory(prefix="tg", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.fixture
def others() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that hold instances, ended with the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def hold(others: list[subprocess.Popen[str]], name: str, port: int = 1, *, drains: str = "") -> subprocess.Popen[str]:
    """Another process that runs as an instance, or drains for so many seconds."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, name, str(port), drains],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    others.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_directory_is_closed_to_others(home: Path) -> None:
    """Every directory that tidegate makes has mode 0700."""
    with claim("one") as directory:
        assert directory.path == home / "tidegate" / "one"
        assert directory.path.stat().st_mode & 0o777 == 0o700
        assert directory.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_second_instance_of_the_name_is_told_who_runs(others: list[subprocess.Popen[str]]) -> None:
    """The second one ends with the name, the process id, and what to do."""
    process = hold(others, "edge")
    with pytest.raises(InstanceError, match=rf"named edge is already running \(process {process.pid},.*--name"):
        claim("edge").__enter__()


def test_a_killed_instance_leaves_the_name_free(others: list[subprocess.Popen[str]]) -> None:
    """The lock goes with the process, so nothing has to be cleaned up."""
    process = hold(others, "edge")
    process.kill()
    process.wait()
    assert running_instances() == []
    with claim("edge"):
        pass


def test_looking_for_instances_does_not_disturb_one_that_starts() -> None:
    """An instance that is not announced yet is not listed, and keeps its lock."""
    with claim("edge"):
        assert running_instances() == []


def test_an_instance_ends_its_announcement() -> None:
    """After the end nobody finds the instance."""
    with claim("edge") as directory:
        directory.announce(TcpAddress("127.0.0.1", 1))
    assert not (directory.path / "instance.json").exists()


def test_an_instance_that_drains_says_so(others: list[subprocess.Popen[str]]) -> None:
    """It answers no more: who asks for it, and who wants to start in its place, is told how long that lasts at most."""
    hold(others, "edge", drains="60")
    pid = others[0].pid
    with pytest.raises(InstanceError, match=rf"instance edge is draining: .* at \d\d:\d\d:\d\d .* \(process {pid}\)"):
        locate()
    with pytest.raises(InstanceError, match=r"edge is still draining in .* at the latest; wait"), claim("edge"):
        pass


def test_an_instance_may_drain_for_ever() -> None:
    """However long the drain time is: then it is told on which day it ends."""
    with claim("edge") as directory:
        directory.announce(TcpAddress("127.0.0.1", 1))
        directory.announce_drain(1e300)
        with pytest.raises(InstanceError, match=r"at \d\d:\d\d:\d\d on 20\d\d-\d\d-\d\d at the latest"):
            locate()


def test_without_a_name_the_only_instance_is_meant(others: list[subprocess.Popen[str]]) -> None:
    """One that runs needs no name, whatever it is called."""
    hold(others, "edge", 4711)
    assert locate() == TcpAddress("127.0.0.1", 4711)


def test_without_a_name_the_default_is_meant_among_several(others: list[subprocess.Popen[str]]) -> None:
    """The instance called default is preferred."""
    hold(others, "edge", 1)
    hold(others, "default", 2)
    assert locate() == TcpAddress("127.0.0.1", 2)
    assert locate(name="edge") == TcpAddress("127.0.0.1", 1)


def test_several_instances_without_a_name_are_listed(others: list[subprocess.Popen[str]]) -> None:
    """Where it is not clear which one is meant, all are named."""
    hold(others, "a")
    hold(others, "b")
    with pytest.raises(InstanceError, match=r"several instances are running \(a, b\): choose one with --name"):
        locate()


def test_an_unknown_name_lists_those_that_run(others: list[subprocess.Popen[str]]) -> None:
    """The message says what runs, and how to start the one that was asked for."""
    hold(others, "edge")
    with pytest.raises(InstanceError, match=r"no instance named web is running; running: edge. Start one with"):
        locate(name="web")


def test_nothing_runs() -> None:
    """Without any instance the message says how to start one."""
    with pytest.raises(InstanceError, match=r"no instance is running. Start one with 'tidegate run PATH'"):
        locate()


def test_an_instance_is_found_by_its_directory_or_address(home: Path) -> None:
    """--state-dir and --admin lead there without a name."""
    place = home / "mine"
    with claim("x", place) as directory:
        directory.announce(UnixAddress(directory.socket_path("admin.sock")))
        found = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import pathlib, tidegate.instance as i; print(i.locate(state_dir=pathlib.Path({str(place)!r})))",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout == f"unix:{place}/admin.sock\n"
    assert locate(admin="127.0.0.1:9901") == TcpAddress("127.0.0.1", 9901)
    with pytest.raises(InstanceError, match="no instance is running in"):
        locate(state_dir=place)


def test_an_open_directory_is_refused(home: Path) -> None:
    """A directory with content that others may enter is not used, and the message says how to close it."""
    place = home / "open"
    place.mkdir()
    (place / "file").touch()
    place.chmod(0o755)
    with pytest.raises(SettingsError, match=f"chmod 700 {place}"):
        claim("x", place).__enter__()


def test_an_empty_directory_is_closed(home: Path) -> None:
    """An empty directory, as mktemp or mkdir makes it, becomes private."""
    place = home / "empty"
    place.mkdir(mode=0o755)
    with claim("x", place):
        assert place.stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_temporary_directory_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever plants a link at our place in a shared directory gets nothing."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    (home / "elsewhere").mkdir()
    (home / f"tidegate-{os.getuid()}").symlink_to(home / "elsewhere")
    with pytest.raises(SettingsError, match="is not a directory"):
        base_directory(create=True)


def test_a_runtime_directory_of_somebody_else_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable left over from another user falls back to a private directory in the temporary one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "missing"))
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    assert base_directory(create=True) == home / f"tidegate-{os.getuid()}"


def test_a_long_directory_is_refused_before_anything_starts(home: Path) -> None:
    """A path that no socket fits in is named, with its length and the flag."""
    place = home / ("x" * 90)
    with pytest.raises(SettingsError, match="choose a shorter directory"):
        claim("x", place).__enter__()


def test_a_file_in_place_of_the_directory_is_refused(home: Path) -> None:
    """The message says what is in the way."""
    (home / "file").touch()
    with pytest.raises(SettingsError, match=r"file cannot be used: File exists"):
        claim("x", home / "file").__enter__()


def test_files_are_replaced_in_one_step(home: Path) -> None:
    """A file is replaced as a whole, for the owner only, and nothing else stays behind."""
    path = home / "record"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(home.iterdir()) == [path]
