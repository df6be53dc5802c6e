"""The composition root of a controller, without a cluster; with one, it is in ``tests/integration``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
import yaml

from support.ports import Ports
from support.waiting import eventually
from tidegate.admin.address import TcpAddress
from tidegate.app import controller
from tidegate.errors import SettingsError
from tidegate.settings import ControllerSettings


def settings(kubeconfig: Path, ports: Ports) -> ControllerSettings:
    return ControllerSettings(
        kubeconfig=kubeconfig,
        namespace="tidegate-system",
        replica="one",
        address="127.0.0.1:1",
        image="example/tidegate",
        control_plane="tidegate-controller.tidegate-system.svc:18000",
        xds_address="127.0.0.1:0",
        admin=TcpAddress("127.0.0.1", ports.reserve()),
    )


@pytest.fixture
def nowhere(tmp_path: Path, ports: Ports) -> Path:
    """A kubeconfig of a cluster that does not answer."""
    path = tmp_path / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{ports.reserve()}"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {}}],
                "current-context": "c",
            }
        )
    )
    return path


async def test_without_an_api_server_it_lives_waits_and_ends_in_order(nowhere: Path, ports: Ports) -> None:
    """It is alive, so that nobody restarts it in vain, but not ready, so that no proxy is sent to it."""
    wanted = settings(nowhere, ports)
    stop = asyncio.Event()
    async with aiohttp.ClientSession(f"http://{wanted.admin}") as http, asyncio.TaskGroup() as tasks:
        tasks.create_task(controller.run(wanted, stop=stop))

        async def status(path: str) -> int:
            try:
                async with http.get(path) as response:
                    return response.status
            except aiohttp.ClientError:
                return 0

        await eventually(lambda: status("/healthz"), lambda found: found == 200, what="it is alive")
        assert await status("/readyz") == 503
        async with http.get("/metrics") as response:
            assert "tidegate_ready 0.0" in await response.text()
        stop.set()


async def test_an_address_that_is_taken_ends_it_with_a_message(nowhere: Path, ports: Ports) -> None:
    """Nothing is tried with a cluster before."""
    wanted = settings(nowhere, ports)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", wanted.admin.port)  # type: ignore[union-attr]
    async with server:
        with pytest.raises(SettingsError, match="choose another with --admin"):
            await controller.run(wanted, stop=asyncio.Event())
