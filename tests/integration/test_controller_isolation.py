"""A replica that hears nothing of the API server: its proxies get a better one if there is one, and lose nothing."""

from __future__ import annotations

import asyncio

from support.backends import Backend
from support.clients import connection, who_serves
from support.controllers import LEASE_SECONDS, Controller, World
from support.manifests import Manifest, backend, gateway, listener, parent, tcproute
from support.waiting import eventually, steadily

PORT = 9300
SENT_AWAY = "proxies are sent to other replicas"


def routed(name: str) -> Manifest:
    """The route, with its one backend."""
    return tcproute("app", [parent("edge")], [backend(name)])


async def edge(world: World) -> str:
    """A Gateway that leads to the Service ``app``; gives the address of a proxy that serves it."""
    await world.apply(gateway("edge", [listener("tcp", PORT)]), routed("app"))
    await world.wait_programmed("edge")
    return await world.reach("edge", PORT)


async def readiness(replica: Controller) -> int:
    """What a kubelet is told."""
    return (await replica.get("/readyz"))[0]


async def test_a_replica_that_alone_is_cut_off_gives_its_proxies_to_another(world: World) -> None:
    """It says that it is not ready, and the proxies follow the newest configuration again; no connection is lost."""
    first = await world.controller()
    await first.wait_leads()
    async with (
        world.way_to_the_api() as (way, kubeconfig),
        Backend("app", host=world.kubelet.node) as app,
        Backend("next", host=world.kubelet.node) as following,
    ):
        second = await world.controller(kubeconfig=kubeconfig)
        world.front.targets[:] = [second.xds, first.xds]
        for one in (app, following):
            await world.backend(one.name, [(one.host, one.port)])
        host = await edge(world)
        async with connection(PORT, host=host) as held:
            assert await held.line() == "app"
            targets, way.targets = way.targets, []
            way.cut()
            await eventually(lambda: readiness(second), lambda status: status == 503, what="not ready", within=20)
            assert SENT_AWAY not in second.text()
            world.front.targets[:] = [first.xds]  # The kubelet tells the cluster, and the Service leaves it out.
            await world.apply(routed("next"))

            async def served() -> str:
                return await who_serves(PORT, host=host)

            await eventually(served, lambda name: name == "next", what="the change arrives", within=20)
            await world.wait_programmed("edge")
            assert (await second.get("/healthz"))[0] == 200
            assert await held.echoes("did not notice")
            way.targets = targets
            await second.wait_ready()


async def test_replicas_that_all_are_cut_off_go_on_serving_proxies(world: World) -> None:
    """There is no better one: proxies are sent away once, come back, get what is known, and lose nothing."""
    controller = await world.controller()
    async with Backend("app", host=world.kubelet.node) as app:
        await world.backend("app", [(app.host, app.port)])
        host = await edge(world)
        async with connection(PORT, host=host) as held:
            assert await held.line() == "app"
            world.cluster.server.process.kill()
            await eventually(lambda: readiness(controller), lambda status: status == 503, what="not ready", within=20)
            configured = controller.text().count("proxy configured")

            async def came_back() -> None:
                await controller.wait_text(SENT_AWAY, within=3 * LEASE_SECONDS)

                async def count() -> int:
                    return controller.text().count("proxy configured")

                await eventually(count, lambda now: now == configured + 1, what="the proxy is back", within=10)

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(came_back())
                await steadily(
                    lambda: who_serves(PORT, host=host), lambda name: name == "app", what="traffic", during=12.0,
                    every=0.1,
                )  # fmt: skip
            assert controller.text().count(SENT_AWAY) == 1, "once is enough"
            assert await held.echoes("did not notice")
            await world.cluster.server.restart()
            await controller.wait_ready()
            async with Backend("next", host=world.kubelet.node) as following:
                await world.backend("next", [(following.host, following.port)])
                await world.apply(routed("next"))

                async def served() -> str:
                    return await who_serves(PORT, host=host)

                await eventually(served, lambda name: name == "next", what="the change arrives", within=40)
