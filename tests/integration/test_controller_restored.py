"""A cluster whose data are restored from a backup: what is older than what we saw is the truth all the same."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.backends import Backend
from support.clients import connection, until_served
from support.controllers import World
from support.manifests import Manifest, backend, gateway, listener, parent, tcproute
from support.waiting import eventually

PORT = 9300


def routed(name: str) -> Manifest:
    """The route, with its one backend."""
    return tcproute("app", [parent("edge")], [backend(name)])


def ports(*numbers: int) -> Manifest:
    """The Gateway, with a listener at each of these ports."""
    return gateway("edge", [listener(f"tcp-{one}", one) for one in numbers])


async def test_what_a_restored_cluster_says_holds(world: World, tmp_path: Path) -> None:
    """Traffic, statuses and the Service follow, without a restart of the controller; connections live through it."""
    controller = await world.controller()
    server = world.cluster.server
    async with Backend("app", host=world.kubelet.node) as app, Backend("next", host=world.kubelet.node) as following:
        for one in (app, following):
            await world.backend(one.name, [(one.host, one.port)])
        await world.apply(ports(PORT), routed("app"))
        await world.wait_programmed("edge")
        host = await world.reach("edge", PORT)
        async with connection(PORT, host=host) as held:
            assert await held.line() == "app"
            await server.stop()
            shutil.copytree(server.store, tmp_path / "backup")
            await server.resume()
            for number in range(1, 6):
                await world.apply(ports(PORT, PORT + number), routed("next"))
                await world.wait_listeners("edge", {f"tcp-{PORT}": ("True", 1), f"tcp-{PORT + number}": ("True", 1)})
            await until_served(host, PORT, "next")
            await server.stop()
            shutil.rmtree(server.store)
            shutil.copytree(tmp_path / "backup", server.store)
            await server.resume()
            await until_served(host, PORT, "app", within=60)

            async def led() -> list[int]:
                return [one["port"] for one in (await world.api.get("Service", "edge-tidegate"))["spec"]["ports"]]

            await eventually(led, lambda now: now == [PORT], what="the Service is as before", within=20)
            await world.wait_listeners("edge", {f"tcp-{PORT}": ("True", 1)}, within=40)
            await controller.wait_leads()
            await world.apply(ports(PORT, PORT + 9), routed("next"))
            await world.wait_listeners("edge", {f"tcp-{PORT}": ("True", 1), f"tcp-{PORT + 9}": ("True", 1)}, within=40)
            assert await led() == [PORT, PORT + 9]
            await until_served(host, PORT, "next")
            await world.wait_route("app", "Accepted", "True", "Accepted")
            assert await held.echoes("through all of it")
