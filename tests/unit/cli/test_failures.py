"""What a person sees when a command fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.cli.failures import guarded
from tidegate.errors import DataPlaneError, SettingsError


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Error files of a test lie in its own directory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("TIDEGATE_DEBUG", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("error", "status"),
    [(SystemExit(3), 3), (SystemExit(None), 0), (SystemExit("x"), 2), (KeyboardInterrupt(), 130)],
)
def test_ends_have_their_status(error: BaseException, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Exits keep their status, an interrupt is 130, and neither says anything."""
    assert guarded(raising(error)) == status
    assert capsys.readouterr().err == ""


def test_a_known_failure_is_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    """An error that tidegate raises on purpose is one line and status 2."""
    assert guarded(raising(SettingsError("--name: wrong"))) == 2
    assert capsys.readouterr().err == "tidegate: --name: wrong\n"


def test_failures_of_tasks_are_told_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A group of known failures is a line each, however deep, and each once."""
    inner = BaseExceptionGroup("", [DataPlaneError("b"), DataPlaneError("a")])
    assert guarded(raising(BaseExceptionGroup("", [SettingsError("a"), inner]))) == 2
    assert capsys.readouterr().err == "tidegate: a\ntidegate: b\n"


def test_a_bug_is_one_line_that_names_a_file(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    """Nobody sees a traceback; it is in a private file that the line names."""
    assert guarded(raising(ValueError("first\nsecond"))) == 70
    text = capsys.readouterr().err
    (details,) = place.iterdir()
    assert text.count("\n") == 1
    assert "internal error (ValueError: first)" in text
    assert str(details) in text
    assert "Traceback" in details.read_text()
    assert details.stat().st_mode & 0o777 == 0o600


def test_a_bug_beside_a_known_failure_is_not_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    """Both are told, and the status is that of the bug."""
    assert guarded(raising(ExceptionGroup("", [SettingsError("a"), KeyError("b")]))) == 70
    assert "tidegate: a\n" in (text := capsys.readouterr().err)
    assert "KeyError" in text


def test_developers_can_see_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """TIDEGATE_DEBUG=1 prints it."""
    monkeypatch.setenv("TIDEGATE_DEBUG", "1")
    assert guarded(raising(SettingsError("x"))) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_failure_of_ours() -> None:
    """A closed pipe ends the command without a word."""
    script = (
        "import sys\n"
        "from tidegate.cli.failures import guarded\n"
        "from tidegate.cli.output import write\n"
        "sys.exit(guarded(lambda: [write('x' * 100000) for _ in range(100)] and None))\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", script], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_without_room_is_no_bug(unbuffered: str) -> None:
    """A full disk is one line and status 2, also at the end of the interpreter."""
    script = (
        "import sys\n"
        "from tidegate.cli.failures import guarded\n"
        "from tidegate.cli.output import write\n"
        "sys.exit(guarded(lambda: write('x')))\n"
    )
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, env=environment, check=False
        )
    assert (done.returncode, done.stderr) == (2, b"tidegate: cannot write to the output: No space left on device\n")
