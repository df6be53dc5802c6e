"""Lines of a growing file are relayed once and in order, across every kind of rotation."""

# ruff: noqa: ASYNC240 - the files of these tests are small, and writing them at once is the point.
from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.backends import Backend
from support.clients import who_serves
from support.running import running
from support.static_envoy import cluster, proxy, static_envoy
from support.waiting import eventually
from tidegate.dataplanes.envoy.accesslog import AccessLogOptions, access_log
from tidegate.dataplanes.envoy.logtail import LONGEST_LINE, LogTail, Position, Rotation
from tidegate.errors import DataPlaneError

POLL = 0.005


async def reaches(lines: list[str], expected: list[str]) -> None:
    """Wait until exactly these lines were relayed."""

    async def relayed() -> list[str]:
        return lines

    await eventually(relayed, lambda now: now == expected, what=f"lines {expected[-3:]}")


async def becomes(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds."""

    async def probe() -> bool:
        return condition()

    await eventually(probe, what=what)


def append(path: Path, text: str) -> None:
    """Write at the end of the file."""
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "envoy.log"


async def test_file_that_comes_later(path: Path) -> None:
    """The file may be made after the start, and its lines are relayed as they come."""
    lines: list[str] = []
    async with running(LogTail(path, lines.append, poll=POLL).run()):
        await asyncio.sleep(0)
        append(path, "one\ntwo\n")
        await reaches(lines, ["one", "two"])
        append(path, "three\n")
        await reaches(lines, ["one", "two", "three"])


async def test_partial_lines(path: Path) -> None:
    """A line is relayed when its end is written, empty lines never."""
    lines: list[str] = []
    async with running(LogTail(path, lines.append, poll=POLL).run()):
        append(path, "be")
        append(path, "gun\r\n\nnext\nha")
        await reaches(lines, ["begun", "next"])
        append(path, "lf\n")
        await reaches(lines, ["begun", "next", "half"])


async def test_end_relays_what_is_there(path: Path) -> None:
    """Cancelled, the tail relays what was written last, even without a line end."""
    lines: list[str] = []
    append(path, "one\n")
    async with running(LogTail(path, lines.append, poll=60).run()):
        await reaches(lines, ["one"])
        append(path, "two\nlast words")
    assert lines == ["one", "two", "last words"]


async def test_start_at_the_end(path: Path) -> None:
    """Started at the end, only what is written from then on is relayed."""
    append(path, "old\n")
    lines: list[str] = []
    tail = LogTail(path, lines.append, start="end", poll=POLL)
    async with running(tail.run()):
        await becomes(lambda: tail.position is not None, "file opened")
        append(path, "new\n")
        await reaches(lines, ["new"])


async def test_goes_on_where_another_was(path: Path) -> None:
    """A position given on relays every line exactly once over two tails."""
    append(path, "one\ntwo\n")
    lines: list[str] = []
    first = LogTail(path, lines.append, poll=POLL)
    async with running(first.run()):
        await reaches(lines, ["one", "two"])
    append(path, "three\n")
    assert first.position is not None
    async with running(LogTail(path, lines.append, start=first.position, poll=POLL).run()):
        await reaches(lines, ["one", "two", "three"])


async def test_position_in_another_file(path: Path) -> None:
    """A position in a file that is gone begins at the first line of the present one."""
    append(path, "one\n")
    lines: list[str] = []
    other = Position(inode=path.stat().st_ino + 1, offset=3)
    async with running(LogTail(path, lines.append, start=other, poll=POLL).run()):
        await reaches(lines, ["one"])


async def test_position_in_a_file_renamed_meanwhile(path: Path) -> None:
    """When the file was rotated between two tails, the rest of the old one and all of the new one are relayed."""
    append(path, "one\ntwo\n")
    position = Position(inode=path.stat().st_ino, offset=4)
    path.rename(path.with_name("envoy.log.1"))
    append(path, "three\n")
    lines: list[str] = []
    async with running(LogTail(path, lines.append, start=position, poll=POLL).run()):
        await becomes(lambda: len(lines) == 2, "both files relayed")
    assert sorted(lines) == ["three", "two"]


async def test_long_lines_and_odd_bytes(path: Path) -> None:
    """A line is cut at the limit, and bytes that are not UTF-8 are replaced."""
    path.write_bytes(b"x" * (3 * LONGEST_LINE) + b"\n\xff!\n")
    lines: list[str] = []
    async with running(LogTail(path, lines.append, poll=POLL).run()):
        await reaches(lines, ["x" * LONGEST_LINE, "\ufffd!"])


async def test_cut_by_somebody_else(path: Path) -> None:
    """A file that was cut to nothing is followed from its new beginning."""
    lines: list[str] = []
    async with running(LogTail(path, lines.append, poll=POLL).run()):
        append(path, "a long first line\n")
        await reaches(lines, ["a long first line"])
        os.truncate(path, 0)
        append(path, "next\n")
        await reaches(lines, ["a long first line", "next"])


async def test_renamed_by_somebody_else(path: Path) -> None:
    """After a rename both files are followed, until the old one was still for long enough."""
    lines: list[str] = []
    tail = LogTail(path, lines.append, poll=POLL, still=0.05)
    async with running(tail.run()):
        with path.open("a") as old:
            old.write("one\n")
            old.flush()
            await reaches(lines, ["one"])
            path.rename(path.with_name("old"))
            old.write("two\n")
            old.flush()
            await reaches(lines, ["one", "two"])
            append(path, "three\n")
            await reaches(lines, ["one", "two", "three"])
            old.write("four\n")
            old.flush()
            await reaches(lines, ["one", "two", "three", "four"])
        await becomes(lambda: not tail._former, "old file left")


async def test_copy_and_cut(path: Path) -> None:
    """A file that its writer keeps open is copied and cut when full; earlier copies move up, the oldest goes."""
    lines: list[str] = []
    rotation = Rotation(max_bytes=100, keep=2)
    with path.open("ab", buffering=0) as writer:
        async with running(LogTail(path, lines.append, rotation=rotation, poll=POLL).run()):
            for number in range(4):
                writer.write(f"{number}{'x' * 120}\n".encode())
                await becomes(lambda: path.stat().st_size == 0, "file cut")
                await becomes(lambda wanted=number + 1: len(lines) == wanted, "line relayed")  # type: ignore[misc]
    assert [line[0] for line in lines] == ["0", "1", "2", "3"]
    assert path.with_name("envoy.log.1").read_text().startswith("3")
    assert path.with_name("envoy.log.2").read_text().startswith("2")
    assert sorted(file.name for file in path.parent.iterdir()) == ["envoy.log", "envoy.log.1", "envoy.log.2"]
    assert path.with_name("envoy.log.1").stat().st_mode & 0o077 == 0


async def test_rename_and_reopen(path: Path) -> None:
    """A full file is renamed and its writer asked to open it anew; no line is lost or doubled."""
    lines: list[str] = []
    writers = [path.open("ab", buffering=0)]

    async def reopen() -> None:
        writers.pop().close()
        writers.append(path.open("ab", buffering=0))

    rotation = Rotation(max_bytes=100, keep=2, reopen=reopen)
    async with running(LogTail(path, lines.append, rotation=rotation, poll=POLL, still=0.05).run()):
        for number in range(300):
            writers[0].write(f"line {number}\n".encode())
            if number % 10 == 0:
                await asyncio.sleep(0)
        await reaches(lines, [f"line {number}" for number in range(300)])
    writers.pop().close()
    assert path.with_name("envoy.log.2").exists()
    assert not path.with_name("envoy.log.3").exists()


async def test_reopen_that_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the writer cannot be reached it is asked again, and its lines are relayed meanwhile."""
    monkeypatch.setattr("tidegate.dataplanes.envoy.logtail._RETRY_SECONDS", 0.02)
    lines: list[str] = []
    asked: list[int] = []
    with path.open("ab", buffering=0) as writer:

        async def reopen() -> None:
            asked.append(1)
            if len(asked) < 3:
                raise DataPlaneError("Envoy does not answer")
            path.touch()

        rotation = Rotation(max_bytes=10, reopen=reopen)
        async with running(LogTail(path, lines.append, rotation=rotation, poll=POLL).run()):
            writer.write(b"a long first line\n")
            await becomes(lambda: bool(asked), "asked")
            writer.write(b"still here\n")
            await reaches(lines, ["a long first line", "still here"])
            await becomes(path.exists, "opened anew")
            append(path, "new\n")
            await reaches(lines, ["a long first line", "still here", "new"])


async def test_opened_anew_at_the_last_moment(path: Path) -> None:
    """A file that Envoy makes between the look and the decision to rotate is not taken for the old one."""
    lines: list[str] = []
    asked: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        if line == "to the old file":
            path.write_text("to the new file\n")

    async def reopen() -> None:
        asked.append("reopen")

    append(path, "long enough to be rotated\n")
    async with running(LogTail(path, on_line, rotation=Rotation(max_bytes=20, reopen=reopen), poll=POLL).run()):
        await becomes(lambda: asked == ["reopen"], "rotated")
        append(path.with_name("envoy.log.1"), "to the old file\n")
        await reaches(lines, ["long enough to be rotated", "to the old file", "to the new file"])
    assert asked == ["reopen"]


async def test_rename_that_came_no_further(path: Path) -> None:
    """A file renamed by a tail that then ended is opened anew by the next one."""
    append(path.with_name("envoy.log.1"), "one\ntwo\n")
    position = Position(inode=path.with_name("envoy.log.1").stat().st_ino, offset=4)
    lines: list[str] = []

    async def reopen() -> None:
        append(path, "three\n")

    async with running(LogTail(path, lines.append, start=position, rotation=Rotation(reopen=reopen), poll=POLL).run()):
        await reaches(lines, ["two", "three"])


async def test_cannot_be_rotated(path: Path) -> None:
    """A rotation that fails leaves the file as it is and the lines coming."""
    lines: list[str] = []
    path.with_name("envoy.log.new").mkdir()
    async with running(LogTail(path, lines.append, rotation=Rotation(max_bytes=1), poll=POLL).run()):
        append(path, "one\n")
        await reaches(lines, ["one"])
        append(path, "two\n")
        await reaches(lines, ["one", "two"])


async def test_cannot_be_read(path: Path) -> None:
    """A path that is no file is an error that names it."""
    path.mkdir()
    with pytest.raises(DataPlaneError, match=r"envoy\.log"):
        await LogTail(path, [].append, poll=POLL).run()


async def test_more_than_one_piece(path: Path) -> None:
    """A file of many pieces is relayed in whole, while others get their turn."""
    count = 60_000
    path.write_text("".join(f"line {number}\n" for number in range(count)))
    lines: list[str] = []
    async with running(LogTail(path, lines.append, poll=POLL).run()):
        await becomes(lambda: len(lines) == count, "all relayed")
    assert lines[0] == "line 0"
    assert lines[-1] == f"line {count - 1}"


async def test_access_log_of_a_real_envoy(path: Path) -> None:
    """Every connection's line is relayed once, while Envoy is asked over and over to open its file anew."""
    loggers = access_log(AccessLogOptions(format="text", path=path), listener="default/edge/foo", route="default/app")
    clusters, count = [], 300
    lines: list[str] = []
    asked: list[bytes] = []
    async with Backend("one") as backend:
        clusters.append(cluster("all", {"default/one:80": backend.port}))
        async with static_envoy({"foo": proxy("foo", "all", *loggers)}, clusters) as envoy:

            async def reopen() -> None:
                asked.append(await envoy.admin.post("/reopen_logs"))

            rotation = Rotation(max_bytes=4000, keep=2, reopen=reopen)
            async with running(LogTail(path, lines.append, rotation=rotation, poll=POLL).run()):
                for _ in range(count):
                    assert await who_serves(envoy.port["foo"]) == "one"
                await becomes(lambda: len(lines) >= count, "a line per connection")
    assert len(lines) == len(set(lines)) == count
    assert all(line.endswith("detail=-") for line in lines)
    assert len(asked) >= 3
