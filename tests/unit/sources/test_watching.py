"""The system's news of a directory, translated; with real directories."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from watchfiles._rust_notify import WatchfilesRustInternalError

from support.input_files import DEADLINE_S
from tidegate.sources.inotify import Event, Mask
from tidegate.sources.listing import Listing, list_files
from tidegate.sources.watching import EVERYTHING, NOTHING, News, Seen, Watcher, WatchfilesNews, system_news

BOTH = pytest.mark.parametrize("open_news", [system_news, WatchfilesNews], ids=["system", "watchfiles"])
Opening = Callable[[Iterable[str]], News | None]


def files_of(seen: Seen) -> frozenset[str]:
    """All files that were told of."""
    return seen.whole | seen.writing | seen.changed


async def until_seen(watcher: Watcher, *, names: bool = False) -> Seen:
    """The next news that speak of files, or of names."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            seen = await watcher.wait(DEADLINE_S)
            if seen.names if names else files_of(seen):
                return seen


async def quiet(watcher: Watcher) -> None:
    """Takes what is still on its way."""
    while await watcher.wait(0.2) != NOTHING:
        pass


@BOTH
async def test_a_changed_file_is_told_by_the_name_the_user_gave(tmp_path: Path, open_news: Opening) -> None:
    """Also when the directory is reached by a link, or the file is one."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.yaml").write_text("1")
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "single.yaml").symlink_to(real / "a.yaml")
    watcher = Watcher(open_news)
    for given in (tmp_path / "link", tmp_path / "single.yaml"):
        listing = list_files([str(given)])
        assert await watcher.watch(listing)
        (real / "a.yaml").write_text("2")
        assert files_of(await until_seen(watcher)) == frozenset(listing.files)
        await quiet(watcher)
    await watcher.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of writers")
async def test_linux_tells_when_a_writer_is_done(tmp_path: Path) -> None:
    """While it writes, when it closes, and when a file is put in place whole."""
    a = tmp_path / "a.yaml"
    a.write_text("1")
    watcher = Watcher()
    await watcher.watch(list_files([str(tmp_path)]))
    with a.open("a") as file:
        file.write("2")
        file.flush()
        assert await watcher.wait(DEADLINE_S) == Seen(writing=frozenset({str(a)}))
    assert await watcher.wait(DEADLINE_S) == Seen(whole=frozenset({str(a)}))
    (tmp_path / ".new").write_text("3")
    (tmp_path / ".new").replace(a)
    assert (await until_seen(watcher)).whole == {str(a)}
    a.chmod(0o600)
    assert (await until_seen(watcher)).changed == {str(a)}
    await watcher.close()


@BOTH
async def test_names_that_matter_and_names_that_do_not(tmp_path: Path, open_news: Opening) -> None:
    """New manifests, directories and link swaps ask for a new listing; other files are nobody's business."""
    (tmp_path / "sub").mkdir()
    watcher = Watcher(open_news)
    await watcher.watch(list_files([str(tmp_path)]))
    (tmp_path / ".a.yaml.swp").write_text("")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "a.yaml~").write_text("")
    assert await watcher.wait(0.3) == NOTHING
    for make in (
        lambda: (tmp_path / "a.yaml").write_text(""),
        lambda: (tmp_path / "sub" / "b.yaml").write_text(""),
        (tmp_path / "new").mkdir,
        lambda: (tmp_path / "..data").symlink_to("sub"),
        lambda: (tmp_path / "sub").rename(tmp_path / "bus"),
    ):
        make()
        assert (await until_seen(watcher, names=True)).names
        await quiet(watcher)
    await watcher.close()


async def test_directories_are_watched_anew_only_when_they_change(tmp_path: Path) -> None:
    """The same directories keep their watch; others get a new one."""
    watcher = Watcher()
    (tmp_path / "a.yaml").write_text("")
    assert await watcher.watch(list_files([str(tmp_path)]))
    assert not await watcher.watch(list_files([str(tmp_path)]))
    (tmp_path / "sub").mkdir()
    assert await watcher.watch(list_files([str(tmp_path)]))
    (tmp_path / "other").mkdir()
    (tmp_path / "sub").rmdir()
    (tmp_path / "other").rename(tmp_path / "sub")
    assert await watcher.watch(list_files([str(tmp_path)])), "another directory in the same place"
    await watcher.close()


async def test_a_missing_path_is_watched_from_above(tmp_path: Path) -> None:
    """The nearest directory that is there tells of its return."""
    watcher = Watcher()
    await watcher.watch(list_files([str(tmp_path / "no" / "such" / "dir")]))
    (tmp_path / "no").mkdir()
    assert (await until_seen(watcher, names=True)).names
    await watcher.close()


async def test_a_wait_ends_by_time_and_by_a_wake(tmp_path: Path) -> None:
    """Without news a wait returns nothing."""
    watcher = Watcher()
    assert await watcher.wait(0) == NOTHING
    await watcher.watch(list_files([str(tmp_path)]))
    assert await watcher.wait(0.01) == NOTHING
    asyncio.get_running_loop().call_later(0.01, watcher.wake)
    async with asyncio.timeout(DEADLINE_S):
        assert await watcher.wait(1000) == NOTHING
    watcher.wake()
    await watcher.close()


async def test_an_error_of_the_watch_means_that_anything_may_have_changed(tmp_path: Path) -> None:
    """The watch begins anew at the next call."""

    class Failing:
        async def wait(self, wake: asyncio.Future[None], timeout: float) -> None:
            return None

        async def close(self) -> None:
            pass

    news: list[News] = [Failing()]
    watcher = Watcher(lambda directories: news.pop() if news else system_news(directories))
    listing = list_files([str(tmp_path)])
    await watcher.watch(listing)
    assert await watcher.wait(DEADLINE_S) == EVERYTHING
    assert await watcher.watch(listing)
    (tmp_path / "a.yaml").write_text("")
    assert (await until_seen(watcher, names=True)).names
    await watcher.close()


async def test_lost_events_ask_for_a_new_listing(tmp_path: Path) -> None:
    """An overflow says nothing of names, so everything has to be looked at."""

    class Overflowing:
        async def wait(self, wake: asyncio.Future[None], timeout: float) -> list[Event]:
            return [Event("", Mask.OVERFLOW)]

        async def close(self) -> None:
            pass

    watcher = Watcher(lambda directories: Overflowing() if directories else None)
    await watcher.watch(list_files([str(tmp_path)]))
    assert await watcher.wait(DEADLINE_S) == EVERYTHING


async def test_an_error_of_watchfiles_is_a_lost_watch(tmp_path: Path) -> None:
    """Whatever it is: the watch is to begin anew."""
    news = WatchfilesNews([str(tmp_path)])
    wake = asyncio.get_running_loop().create_future()
    news._next = asyncio.get_running_loop().create_future()
    news._next.set_exception(WatchfilesRustInternalError())
    assert await news.wait(wake, DEADLINE_S) is None
    await news.close()


async def test_without_a_watch_a_wait_is_a_pause(tmp_path: Path) -> None:
    """Where the system refuses, the sweep has to do."""
    watcher = Watcher(lambda _: None)
    assert await watcher.watch(list_files([str(tmp_path)]))
    assert await watcher.wait(0.01) == NOTHING
    asyncio.get_running_loop().call_later(0.01, watcher.wake)
    async with asyncio.timeout(DEADLINE_S):
        assert await watcher.wait(1000) == NOTHING


@BOTH
async def test_nothing_runs_after_close(tmp_path: Path, open_news: Opening) -> None:
    """Threads end at once, also when a wait was cancelled."""
    watcher = Watcher(open_news)
    await watcher.watch(list_files([str(tmp_path)]))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(watcher.wait(1000))
        await asyncio.sleep(0)
        waiting.cancel()
    async with asyncio.timeout(1):
        await watcher.close()
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while any(thread.name.startswith("tidegate-watch") for thread in threading.enumerate()):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_directories_that_vanish_meanwhile_are_no_error(tmp_path: Path) -> None:
    """A listing is old when it is watched; the sweep sees to the rest."""
    watcher = Watcher()
    assert await watcher.watch(Listing((), (str(tmp_path / "gone"),)))
    await watcher.close()
