"""Files as a stream: edits in every manner that editors and tools have, with real files and deadlines."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import os
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.input_files import BROKEN, DEADLINE_S, file_of, names, next_of, route, route_key
from tidegate.errors import SourceError
from tidegate.model.kinds import Resource
from tidegate.model.routes import TCPRoute
from tidegate.sources import files as files_module
from tidegate.sources.base import Batch
from tidegate.sources.files import FilesSource
from tidegate.sources.watching import Watcher, WatchfilesNews, system_news


@pytest.fixture(params=[system_news, WatchfilesNews], ids=["system", "watchfiles"])
def both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs with the system's own news and with those of watchfiles."""
    monkeypatch.setattr(files_module, "Watcher", functools.partial(Watcher, request.param))


def port(resource: Resource | None) -> int | None:
    """The backend port of a route."""
    assert isinstance(resource, TCPRoute)
    return resource.spec.rules[0].backend_refs[0].port


@contextlib.asynccontextmanager
async def streaming(source: FilesSource) -> AsyncIterator[AsyncIterator[Batch]]:
    """The batches of a source, closed in the end."""
    async with contextlib.aclosing(source.batches()) as batches:
        yield batches


async def changes(batches: AsyncIterator[Batch]) -> dict[str, Resource | None]:
    """The next changes of objects."""
    while not (found := names(await next_of(batches))):
        pass
    return found


@pytest.mark.usefixtures("both")
async def test_an_edit_is_delivered(tmp_path: Path) -> None:
    """A file that is written to gives its changed object."""
    a = tmp_path / "a.yaml"
    a.write_text(file_of([route("a"), route("b")]))
    async with streaming(FilesSource([str(a)])) as batches:
        first = await next_of(batches)
        assert list(names(first)) == ["a", "b"]
        assert first.diagnostics == ()
        for number in range(1, 4):
            a.write_text(file_of([route("a"), route("b", port=number)]))
            found = await changes(batches)
            assert list(found) == ["b"]
            assert port(found["b"]) == number


@pytest.mark.usefixtures("both")
async def test_an_atomic_replacement_is_delivered(tmp_path: Path) -> None:
    """As editors and tools do: write beside it, rename over it; and aside and back."""
    a = tmp_path / "a.yaml"
    a.write_text(route("a"))
    async with streaming(FilesSource([str(tmp_path)])) as batches:
        await next_of(batches)
        (tmp_path / ".a.yaml.tmp").write_text(route("a", port=1))
        (tmp_path / ".a.yaml.tmp").replace(a)
        assert port((await changes(batches))["a"]) == 1
        a.rename(tmp_path / "a.yaml~")
        a.write_text(route("a", port=2))
        assert port((await changes(batches))["a"]) == 2


@pytest.mark.usefixtures("both")
async def test_a_mounted_config_map_swaps_its_links(tmp_path: Path) -> None:
    """All files change at once by one renamed link, as kubelet does it."""
    for version, number in (("..1", 1), ("..2", 2)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(route("a", port=number))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    async with streaming(FilesSource([str(tmp_path)])) as batches:
        assert port(names(await next_of(batches))["a"]) == 1
        (tmp_path / "..tmp").symlink_to("..2")
        (tmp_path / "..tmp").rename(tmp_path / "..data")
        assert port((await changes(batches))["a"]) == 2


@pytest.mark.usefixtures("both")
async def test_files_and_directories_come_and_go(tmp_path: Path) -> None:
    """New files, files in new directories, removed files and removed directories."""
    (tmp_path / "a.yaml").write_text(route("a"))
    async with streaming(FilesSource([str(tmp_path)])) as batches:
        await next_of(batches)
        (tmp_path / "b.yaml").write_text(route("b"))
        assert list(await changes(batches)) == ["b"]
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "c.yaml").write_text(route("c"))
        assert list(await changes(batches)) == ["c"]
        (tmp_path / "sub" / "c.yaml").write_text(route("c", port=1))
        assert port((await changes(batches))["c"]) == 1
        (tmp_path / "b.yaml").unlink()
        assert await changes(batches) == {"b": None}
        (tmp_path / "sub").rename(tmp_path / ".hidden")
        assert await changes(batches) == {"c": None}


@pytest.mark.usefixtures("both")
async def test_a_path_that_vanishes_is_watched_for_its_return(tmp_path: Path) -> None:
    """Its objects are deleted with a message, and come back with it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.yaml").write_text(route("a"))
    async with streaming(FilesSource([str(folder)])) as batches:
        await next_of(batches)
        folder.rename(tmp_path / "elsewhere")
        assert await changes(batches) == {"a": None}
        (tmp_path / "elsewhere").rename(folder)
        assert list(await changes(batches)) == ["a"]


@pytest.mark.usefixtures("both")
async def test_a_file_that_is_being_rewritten_deletes_nothing(tmp_path: Path) -> None:
    """Truncated, then written in two halves: no object is ever gone."""
    a = tmp_path / "a.yaml"
    text = file_of(route(f"r{i}") for i in range(20))
    a.write_text(text)
    async with streaming(FilesSource([str(a)])) as batches:
        await next_of(batches)
        with a.open("w") as file:
            file.flush()
            await asyncio.sleep(0.05)
            file.write(text[: len(text) // 2])
            file.flush()
            await asyncio.sleep(0.05)
            file.write(text[len(text) // 2 :] + "---\n" + route("new"))
        found = await changes(batches)
        assert list(found) == ["new"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of writers")
async def test_a_slow_writer_is_waited_for(tmp_path: Path) -> None:
    """A file that is written anew in pieces, with pauses, is read once, when its writer is done."""
    a = tmp_path / "a.yaml"
    a.write_text(file_of(route(f"r{i}") for i in range(3)))
    async with streaming(FilesSource([str(a)])) as batches:
        await next_of(batches)
        with a.open("w") as file:
            for i in range(3):
                file.write(route(f"r{i}", port=1) + "---\n")
                file.flush()
                await asyncio.sleep(0.3)
        assert {name: port(one) for name, one in (await changes(batches)).items()} == {"r0": 1, "r1": 1, "r2": 1}


async def test_a_broken_document_is_told_and_repaired(tmp_path: Path) -> None:
    """A batch without changes brings the message, the repair takes it away."""
    a = tmp_path / "a.yaml"
    a.write_text(route("a"))
    async with streaming(FilesSource([str(a)])) as batches:
        await next_of(batches)
        a.write_text(BROKEN)
        batch = await next_of(batches)
        assert batch.changes == ()
        assert [one.location.line for one in batch.diagnostics or ()] == [1]
        a.write_text(route("a", port=1))
        batch = await next_of(batches)
        assert port(names(batch)["a"]) == 1
        assert batch.diagnostics == ()


async def test_the_sweep_finds_what_nobody_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link above the given path is swapped, which no watch of the path's own directory sees."""
    monkeypatch.setattr(files_module, "SWEEP_S", 0.1)
    for version, number in (("v1", 1), ("v2", 2)):
        (tmp_path / version / "conf").mkdir(parents=True)
        (tmp_path / version / "conf" / "a.yaml").write_text(route("a", port=number))
    (tmp_path / "current").symlink_to("v1")
    async with streaming(FilesSource([str(tmp_path / "current" / "conf")])) as batches:
        await next_of(batches)
        (tmp_path / "next").symlink_to("v2")
        (tmp_path / "next").rename(tmp_path / "current")
        assert port((await changes(batches))["a"]) == 2
        (tmp_path / "v2" / "conf" / "a.yaml").write_text(route("a", port=3))
        assert port((await changes(batches))["a"]) == 3


async def test_without_a_watch_only_a_rescan_reads(tmp_path: Path) -> None:
    """`rescan` reads what changed at once."""
    a = tmp_path / "a.yaml"
    a.write_text(route("a"))
    source = FilesSource([str(tmp_path)], watch=False)
    async with streaming(source) as batches:
        await next_of(batches)
        a.write_text(route("a", port=1))
        source.nudge()
        assert await next_of(batches) == Batch(changes=())
        source.rescan()
        assert port((await changes(batches))["a"]) == 1


@pytest.mark.usefixtures("both")
async def test_a_rescan_reads_at_once_beside_the_watch(tmp_path: Path) -> None:
    """Also files in directories that are new."""
    (tmp_path / "a.yaml").write_text(route("a"))
    source = FilesSource([str(tmp_path)])
    async with streaming(source) as batches:
        await next_of(batches)
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "b.yaml").write_text(route("b"))
        source.rescan()
        assert list(await changes(batches)) == ["b"]


async def test_a_path_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    """Both ways to read say so."""
    source = FilesSource([str(tmp_path / "none.yaml")])
    with pytest.raises(SourceError, match="no such file"):
        source.load()
    async with streaming(source) as batches:
        with pytest.raises(SourceError, match="no such file"):
            await next_of(batches)


def test_everything_at_once(tmp_path: Path) -> None:
    """For dry runs: objects, messages, and where things stand."""
    (tmp_path / "a.yaml").write_text(file_of([route("a"), route("b", port=0)]))
    source = FilesSource([str(tmp_path)])
    loaded = source.load()
    assert [one.metadata.name for one in loaded.resources] == ["a"]
    assert len(loaded.diagnostics) == 1
    assert loaded.readable
    assert str(source.origin(route_key("b"), ("metadata", "name"))) == f"{tmp_path / 'a.yaml'}:17"
    (tmp_path / "b.yaml").write_text(BROKEN)
    assert not FilesSource([str(tmp_path)]).load().readable


async def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a pipe, to its end."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, os.fdopen(writer, "w") as feed:
        monkeypatch.setattr("sys.stdin", stdin)
        async with streaming(FilesSource(["-"])) as batches:
            feed.write(route("a"))
            feed.close()
            assert list(names(await next_of(batches))) == ["a"]


async def test_closing_does_not_wait_for_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to press a key to end the program."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, os.fdopen(writer, "w"):
        monkeypatch.setattr("sys.stdin", stdin)
        source = FilesSource(["-"])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), streaming(source) as batches:
                await anext(batches)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.get_running_loop().shutdown_default_executor()


def test_closed_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program without standard input cannot read it."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(SourceError, match="standard input is closed"):
        FilesSource(["-"]).load()


@pytest.mark.usefixtures("both")
async def test_nothing_is_left_running(tmp_path: Path) -> None:
    """A closed stream leaves no watching thread behind, promptly."""
    async with streaming(FilesSource([str(tmp_path)])) as batches:
        await next_of(batches)
    deadline = asyncio.get_running_loop().time() + 1
    while any(thread.name.startswith("tidegate-watch") for thread in threading.enumerate()):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
