"""Generations of Envoy are started, found again, and leave nothing behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
import structlog.testing

from support.planes import short_directory
from support.waiting import eventually
from tidegate.dataplanes.envoy import binary, generations
from tidegate.dataplanes.envoy.bootstrap import BootstrapOptions, bootstrap
from tidegate.dataplanes.envoy.generations import Generation, Recipe
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.errors import DataPlaneError


@pytest.fixture
def base() -> Iterator[Path]:
    """A base directory; nothing runs in it after the test."""
    with short_directory() as path:
        yield path
        for one in generations.survivors(path):
            one.process.send(signal.SIGKILL)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """How a plane with one worker starts Envoy."""
    return Recipe(
        binary=binary.find(None),
        bootstrap=bootstrap(BootstrapOptions()),
        arguments=EnvoyOptions(concurrency=1).arguments(),
    )


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def until_ready(generation: Generation) -> None:
    async def answers() -> bool:
        try:
            return bool(await generation.admin.get("/server_info"))
        except DataPlaneError:
            return False

    await eventually(answers, what="Envoy answers")


async def test_started_generation_is_found_again(base: Path, recipe: Recipe) -> None:
    """A later controller finds the process, its directory, its recipe and whether it drains."""
    started = generations.start(base, recipe)
    await until_ready(started)
    (found,) = generations.survivors(base)
    assert found.process.identity == started.process.identity
    assert (found.number, found.name, found.directory) == (1, started.name, base / "gen-1")
    assert found.digest == recipe.digest
    assert not found.draining
    await found.drain()
    assert generations.survivors(base)[0].draining
    assert await found.active_connections() == 0
    assert await found.listener_names() == set()
    await found.end()
    await started.admin.close()
    assert generations.survivors(base) == []
    assert names(base) == [generations.LOG_FILE]


async def test_two_generations_side_by_side(base: Path, recipe: Recipe) -> None:
    """Generations have numbers and directories of their own, oldest first."""
    first, second = generations.start(base, recipe), generations.start(base, recipe)
    assert [one.number for one in generations.survivors(base)] == [1, 2]
    assert first.name != second.name
    await first.end()
    third = generations.start(base, recipe)
    assert third.number == 3
    await second.end()
    await third.end()


async def test_remains_of_the_dead_are_removed(base: Path, recipe: Recipe) -> None:
    """Directories without a living process, and with an unreadable record, go."""
    dead = generations.start(base, recipe)
    dead.process.send(signal.SIGKILL)
    await dead.process.wait()
    broken = base / "gen-7"
    broken.mkdir()
    (broken / "generation.json").write_text("{")
    (base / "gen-8").mkdir()
    (base / "other").mkdir()
    assert generations.survivors(base) == []
    assert names(base) == [generations.LOG_FILE, "other"]


async def test_dead_envoy_does_not_answer(base: Path, recipe: Recipe) -> None:
    """Questions to a dead process are errors for people."""
    dead = generations.start(base, recipe)
    dead.process.send(signal.SIGKILL)
    await dead.process.wait()
    with pytest.raises(DataPlaneError, match="does not answer"):
        await dead.active_connections()
    await dead.end()


def test_digest_is_of_everything(recipe: Recipe) -> None:
    """Program, bootstrap and arguments each change the digest; moving words between them does too."""
    other = msgspec.structs.replace(recipe.binary, digest="x")
    variants = [
        recipe,
        msgspec.structs.replace(recipe, binary=other),
        msgspec.structs.replace(recipe, bootstrap=b"x"),
        msgspec.structs.replace(recipe, arguments=("a", "b")),
        msgspec.structs.replace(recipe, arguments=("ab",)),
    ]
    assert len({one.digest for one in variants}) == len(variants)
    elsewhere = msgspec.structs.replace(recipe.binary, path=Path("/elsewhere"))
    assert msgspec.structs.replace(recipe, binary=elsewhere).digest == recipe.digest


def test_directory_is_private(base: Path) -> None:
    """The base directory is made for this user alone."""
    directory = base / "new" / "deep"
    generations.check_directory(directory)
    assert directory.stat().st_mode & 0o777 == 0o700


def test_directory_with_a_long_path_is_refused(tmp_path: Path) -> None:
    """A path that is too long for sockets is an error that says by how much."""
    with pytest.raises(DataPlaneError, match="bytes too long"):
        generations.check_directory(tmp_path / ("x" * 100))


def test_directory_that_cannot_be_made_is_refused(base: Path) -> None:
    """A file in the way is an error for people."""
    (base / "file").touch()
    with pytest.raises(DataPlaneError, match="cannot use the directory"):
        generations.check_directory(base / "file" / "below")


async def test_removed_directory_is_made_again(base: Path, recipe: Recipe) -> None:
    """That somebody removed the base directory does not keep the next Envoy from starting."""
    directory = base / "state"
    started = generations.start(directory, recipe)
    assert generations.survivors(directory)
    await started.end()


def test_directory_that_cannot_be_read_is_an_error(base: Path) -> None:
    """Without a directory, what runs is unknown, and that is said."""
    with pytest.raises(DataPlaneError, match="cannot read the directory"):
        generations.survivors(base / "gone")


def test_process_without_a_record_is_ended(base: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it cannot be written down who was started, as on a full disk, it is ended: nobody could find it."""
    monkeypatch.setattr(generations, "_RECORD_FILE", "missing/generation.json")
    before = set(psutil.Process().children())
    with pytest.raises(DataPlaneError, match="cannot write"):
        generations.start(base, recipe)
    started = set(psutil.Process().children()) - before
    assert not [one for one in started if one.status() != psutil.STATUS_ZOMBIE]
    assert names(base) == [generations.LOG_FILE]


async def test_drains_even_when_that_cannot_be_written_down(
    base: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that cannot be written does not keep an Envoy from draining."""
    started = generations.start(base, recipe)
    await until_ready(started)
    with monkeypatch.context() as context, structlog.testing.capture_logs() as events:
        context.setattr(generations, "_RECORD_FILE", "missing/generation.json")
        await started.drain()
    assert started.draining
    assert [event["event"] for event in events] == ["draining of envoy not written down"]
    await started.end()
