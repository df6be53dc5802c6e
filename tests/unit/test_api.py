"""The Python API, as its documentation shows it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import tidegate
from support.manifests import backend, gateway, listener, parent, tcproute, write
from support.ports import Ports
from tidegate.plan.types import Socket


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory whose path is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="tg", dir="/tmp"))
    yield path
    shutil.rmtree(path)


def test_load_and_resolve(tmp_path: Path) -> None:
    """Manifests become resources, and resources a plan and statuses."""
    file = tmp_path / "gateway.yaml"
    write(file, gateway("edge", [listener("db", 5432)]), tcproute("db", [parent("edge")], [backend("db")]))
    loaded = tidegate.load([str(file)], backends=["db:6000=127.0.0.1:7001"])
    resolution = tidegate.resolve(loaded.resources)
    assert [value.key.port for value in resolution.plan.values() if isinstance(value, Socket)] == [5432]
    assert {key.kind for key in resolution.statuses} == {"Gateway", "TCPRoute"}


def test_a_missing_path_is_a_source_error(tmp_path: Path) -> None:
    """What cannot be read at all is an error of the API, with the path in its text."""
    with pytest.raises(tidegate.SourceError, match=r"nothing\.yaml"):
        tidegate.load([str(tmp_path / "nothing.yaml")])


def test_unknown_names_are_attribute_errors() -> None:
    """The lazy imports do not answer for what is not there."""
    with pytest.raises(AttributeError, match="nonsense"):
        _ = tidegate.nonsense  # type: ignore[attr-defined]


async def test_run_serves_until_it_is_stopped(tmp_path: Path, short_directory: Path, ports: Ports) -> None:
    """``run`` forwards with a real Envoy and ends when told."""
    file = tmp_path / "gateway.yaml"
    port = ports.reserve()
    write(file, gateway("edge", [listener("db", port)]))
    stop = asyncio.Event()
    settings = tidegate.RunSettings(paths=(str(file),), state_dir=short_directory / "state", drain_time=1.0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tidegate.run(settings, stop=stop))
        try:
            assert await _closed_at_once(port) == b""
        finally:
            stop.set()
    with contextlib.suppress(ConnectionRefusedError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        pytest.fail("still serving")


async def _closed_at_once(port: int) -> bytes:
    """What a listener without a route sends: nothing, and the end."""
    async with asyncio.timeout(10):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
                continue
            data = await reader.read()
            writer.close()
            return data
