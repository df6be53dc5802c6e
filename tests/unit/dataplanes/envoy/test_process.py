"""Processes are started apart from us, recognised later, and awaited to their end."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from support.waiting import eventually
from tidegate.dataplanes.envoy.process import Process, ProcessId, identify, launch
from tidegate.errors import DataPlaneError

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


async def test_output_and_directory(tmp_path: Path) -> None:
    """A process runs in the given directory and appends what it says to the given file."""
    output = tmp_path / "output"
    output.write_text("before\n")
    directory = tmp_path / "a directory with spaces"
    directory.mkdir()
    code = "import os, sys; print(os.getcwd(), flush=True); print('error', file=sys.stderr)"
    process = launch((sys.executable, "-c", code), directory=directory, output=output)
    assert await process.wait() == "it ended with status 0"
    assert output.read_text() == f"before\n{directory}\nerror\n"


async def test_own_session_and_default_signals(tmp_path: Path) -> None:
    """It has a session of its own and none of the signals that Python ignores."""
    code = "import os, signal; print(os.getsid(0) == os.getpid(), signal.getsignal(signal.SIGPIPE))"
    # Python itself ignores SIGPIPE again at its start, so a shell that prints its own signals is asked.
    script = "grep SigIgn /proc/self/status"
    output = tmp_path / "output"
    await launch((sys.executable, "-c", code), directory=tmp_path, output=output).wait()
    assert output.read_text().startswith("True")
    if sys.platform == "linux":
        await launch(("/bin/sh", "-c", script), directory=tmp_path, output=output).wait()
        ignored = int(output.read_text().split()[-1], 16)
        assert not ignored & (1 << (signal.SIGPIPE - 1))


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGKILL, "it was ended by signal 9 (SIGKILL)"), (signal.SIGTERM, "it was ended by signal 15 (SIGTERM)")],
)
async def test_end_by_signal_is_told(tmp_path: Path, number: signal.Signals, words: str) -> None:
    """How a child ended is known."""
    process = launch(SLEEP, directory=tmp_path, output=tmp_path / "output")
    assert process.alive
    async with asyncio.TaskGroup() as group:
        ending = group.create_task(process.wait())
        await asyncio.sleep(0)
        process.send(number)
    assert ending.result() == words
    assert not process.alive


async def test_stranger_is_watched_too(tmp_path: Path) -> None:
    """The end of a process that is not our child is noticed, though not how it ended."""
    pid_file = tmp_path / "pid"
    script = f"({SLEEP[0]} -c '{SLEEP[2]}' & echo $! > {pid_file}) "
    await launch(("/bin/sh", "-c", script), directory=tmp_path, output=tmp_path / "output").wait()
    identity = identify(int(pid_file.read_text()))
    assert identity is not None
    stranger = Process(identity)
    async with asyncio.TaskGroup() as group:
        ending = group.create_task(stranger.wait())
        await asyncio.sleep(0)
        stranger.send(signal.SIGKILL)
    assert ending.result() == "it ended"


async def test_wait_for_what_has_ended(tmp_path: Path) -> None:
    """Waiting for a process that is gone returns at once."""
    process = launch(("/bin/true",), directory=tmp_path, output=tmp_path / "output")
    await process.wait()
    async with asyncio.timeout(1):
        await Process(process.identity).wait()
        await process.wait()


async def test_another_process_with_the_same_number_is_not_ours(tmp_path: Path) -> None:
    """A process number that was given anew is not taken for the process, and gets no signals."""
    process = launch(SLEEP, directory=tmp_path, output=tmp_path / "output")
    other = Process(msgspec.structs.replace(process.identity, started="1"))
    assert not other.alive
    other.send(signal.SIGKILL)
    assert process.alive
    process.send(signal.SIGKILL)
    await process.wait()
    after_boot = Process(msgspec.structs.replace(process.identity, boot="another"))
    assert not after_boot.alive


async def test_identity_survives_encoding(tmp_path: Path) -> None:
    """An identity that was written down recognises the process."""
    process = launch(SLEEP, directory=tmp_path, output=tmp_path / "output")
    again = Process(msgspec.json.decode(msgspec.json.encode(process.identity), type=ProcessId))
    assert again.alive
    again.send(signal.SIGKILL)
    await process.wait()
    assert not again.alive


async def test_cancelled_wait_leaves_the_process_alone(tmp_path: Path) -> None:
    """Whoever stops waiting does not stop the process."""
    process = launch(SLEEP, directory=tmp_path, output=tmp_path / "output")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await process.wait()
    assert process.alive
    process.send(signal.SIGKILL)
    await process.wait()


async def test_program_that_cannot_run_says_so_in_its_output(tmp_path: Path) -> None:
    """A missing program ends at once, and the shell's words are in the output."""
    output = tmp_path / "output"
    process = launch((tmp_path / "missing",), directory=tmp_path, output=output)
    assert await process.wait() == "it ended with status 127"
    assert "missing" in output.read_text()


def test_unusable_output_is_an_error(tmp_path: Path) -> None:
    """Nothing is started when its output could not be kept."""
    with pytest.raises(DataPlaneError, match="cannot start"):
        launch(SLEEP, directory=tmp_path, output=tmp_path / "missing" / "output")


async def test_ended_child_is_not_identified(tmp_path: Path) -> None:
    """A child that has ended but was not waited for does not count as running."""
    process = launch(("/bin/true",), directory=tmp_path, output=tmp_path / "output")

    async def gone() -> bool:
        return identify(process.pid) is None

    await eventually(gone, what="the child is no longer identified")
    assert await process.wait() == "it ended with status 0"
