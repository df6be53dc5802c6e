"""The meter asks Envoys for counters, not too often, and remembers across controllers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web

from support.planes import short_directory
from support.plans import listener_key, route_key
from support.waiting import eventually
from tidegate.dataplanes.envoy.admin_client import AdminClient
from tidegate.dataplanes.envoy.generations import Generation
from tidegate.dataplanes.envoy.meter import TrafficMeter
from tidegate.dataplanes.envoy.process import ProcessId
from tidegate.dataplanes.traffic import Series

SERIES = Series(listener_key("listener"), route_key("route"))


class CountingEnvoy:
    """As much of a generation as the meter needs: a name, and an admin interface that counts connections."""

    def __init__(self, name: str, socket: Path) -> None:
        self.name = name
        self.opened = 0
        self.asked = 0
        self.admin = AdminClient(socket)
        self.process = ProcessId(pid=1, started="1", boot="1")

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        stats = [{"name": "tcp.prefix.downstream_cx_total", "value": self.opened}]
        return web.Response(text=json.dumps({"stats": stats}))


@asynccontextmanager
async def envoy(name: str = "1-1") -> AsyncIterator[CountingEnvoy]:
    """An Envoy that answers."""
    with short_directory() as directory:
        present = CountingEnvoy(name, directory / "admin.sock")
        runner = web.ServerRunner(web.Server(present.answer), shutdown_timeout=0.01)
        await runner.setup()
        await web.UnixSite(runner, str(directory / "admin.sock")).start()
        try:
            yield present
        finally:
            await present.admin.close()
            await runner.cleanup()


def meter(path: Path, *envoys: CountingEnvoy, former: bool = False) -> TrafficMeter:
    owned = {"prefix": SERIES}
    return TrafficMeter(
        path,
        generations=lambda: [cast("Generation", one) for one in envoys],
        owners=lambda: {} if former else owned,
        former_owners=lambda: owned if former else {},
    )


async def opened(meter: TrafficMeter) -> int:
    await meter.look()
    return sum(one.opened for one in await meter.traffic())


async def test_counters_of_all_envoys_are_added(tmp_path: Path) -> None:
    """Two generations side by side count together."""
    async with envoy("1-1") as one, envoy("2-2") as other:
        one.opened, other.opened = 3, 4
        assert await opened(meter(tmp_path / "traffic", one, other)) == 7


async def test_fresh_answers_are_not_asked_for_again(tmp_path: Path) -> None:
    """Whoever asks twice in a moment gets the same answer, and Envoy is asked once."""
    async with envoy() as one:
        counters = meter(tmp_path / "traffic", one)
        one.opened = 1
        first = await counters.traffic()
        one.opened = 2
        assert await counters.traffic() == first
        assert one.asked == 1


async def test_counters_go_on_after_a_restart(tmp_path: Path) -> None:
    """What was written down is gone on from, without counting an adopted Envoy twice."""
    async with envoy() as one:
        before = meter(tmp_path / "traffic", one)
        one.opened = 5
        assert await opened(before) == 5
        await before.save()
        one.opened = 8
        after = meter(tmp_path / "traffic", one)
        await after.load()
        assert await opened(after) == 8


async def test_counters_of_an_ended_envoy_stay(tmp_path: Path) -> None:
    """An Envoy that ended between two controllers, or under this one, keeps its count; a new one adds."""
    async with envoy("1-1") as one, envoy("2-2") as other:
        before = meter(tmp_path / "traffic", one)
        one.opened, other.opened = 5, 2
        assert await opened(before) == 5
        before.retire(cast("Generation", one))
        assert sum(found.opened for found in await before.traffic()) == 5
        await before.save()
        after = meter(tmp_path / "traffic", other)
        await after.load()
        assert await opened(after) == 7


async def test_unreadable_file_begins_anew(tmp_path: Path) -> None:
    """A broken file costs the old counts, nothing else."""
    path = tmp_path / "traffic"
    path.write_text("{")
    async with envoy() as one:
        counters = meter(path, one)
        await counters.load()
        one.opened = 1
        assert await opened(counters) == 1


async def test_silent_envoy_is_left_out(tmp_path: Path) -> None:
    """An Envoy that does not answer changes no counter."""
    silent = CountingEnvoy("1-1", tmp_path / "missing.sock")
    async with envoy("2-2") as one:
        one.opened = 2
        assert await opened(meter(tmp_path / "traffic", silent, one)) == 2
    await silent.admin.close()


async def test_unwritable_file_is_tried_again(tmp_path: Path) -> None:
    """What could not be written down is written at the next opportunity."""
    folder = tmp_path / "missing"
    async with envoy() as one:
        counters = meter(folder / "traffic", one)
        await counters.look()
        await counters.save()
        folder.mkdir()
        await counters.save()
        assert (folder / "traffic").exists()


async def test_former_owner_gets_its_connections(tmp_path: Path) -> None:
    """A route that left the plan before the first look is still counted, while its connections are open."""
    async with envoy() as one:
        counters = meter(tmp_path / "traffic", one, former=True)
        one.opened = 1
        assert await opened(counters) == 1


@pytest.mark.parametrize(("soon", "within"), [(True, 1), (False, 4)])
async def test_looks_by_itself(tmp_path: Path, within: float, *, soon: bool) -> None:
    """Running, the meter looks from time to time, and at once when something is about to go."""
    async with envoy() as one, asyncio.TaskGroup() as group:
        counters = meter(tmp_path / "traffic", one)
        task = group.create_task(counters.run())
        if soon:
            counters.look_soon()

        async def asked() -> bool:
            return one.asked == 1

        await eventually(asked, what="a look", within=within)
        task.cancel()


async def test_last_look_has_little_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Envoy that hangs does not delay its own end."""
    monkeypatch.setattr("tidegate.dataplanes.envoy.meter.LAST_LOOK_SECONDS", 0.05)
    hanging = CountingEnvoy("1-1", tmp_path / "admin.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "admin.sock"))
        silent.listen()
        async with asyncio.timeout(5):
            await meter(tmp_path / "traffic", hanging).last_look(cast("Generation", hanging))
        await hanging.admin.close()
