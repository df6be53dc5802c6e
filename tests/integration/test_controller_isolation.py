"""A replica that hears nothing of the API server: its proxies get a better one if there is one, and lose nothing."""

from __future__ import annotations

import asyncio

from support.backends import Backend
from support.clients import connection, who_serves
from support.controllers import LEASE_SECONDS, Controller, World, condition_of
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


async def test_a_leader_that_alone_is_cut_off_has_nothing_taken_back(world: World) -> None:
    """The next one does not hear of its proxies, which go on serving: it writes of all other Gateways."""
    seconds = 8  # Long enough for proxies of a replica that ended to have come long before these are sent away.
    terms = ("--lease-duration", f"{seconds}s")
    async with world.way_to_the_api() as (way, kubeconfig), Backend("app", host=world.kubelet.node) as app:
        first = await world.controller(*terms, kubeconfig=kubeconfig)
        await first.wait_leads()
        second = await world.controller(*terms)
        await world.backend("app", [(app.host, app.port)])
        world.front.targets[:] = [first.xds]
        host = await edge(world)
        world.front.targets[:] = [second.xds]
        await world.apply(gateway("other", [listener("tcp", PORT)]))
        await world.wait_programmed("other")
        before = await world.api.get("Gateway", "edge")

        async def shown() -> list[str]:
            found = await world.api.get("Gateway", "edge")
            holders = (found["status"], *found["status"]["listeners"])
            return [condition_of(one["conditions"], "Programmed")[0] for one in holders]

        async def hands_over() -> None:
            await second.wait_leads(within=4 * seconds)
            await world.apply(gateway("other", [listener("tcp", PORT), listener("more", PORT + 1)]))
            await world.wait_listeners("other", {"tcp": ("True", 0), "more": ("True", 0)}, within=8)
            assert SENT_AWAY not in first.text(), "nobody waited for the others"
            configured = second.text().count("proxy configured")
            await first.wait_text(SENT_AWAY, within=4 * seconds)

            async def count() -> int:
                return second.text().count("proxy configured")

            await eventually(count, lambda now: now == configured + 1, what="the proxy has come", within=10)

        async with connection(PORT, host=host) as held:
            assert await held.line() == "app"
            way.targets = []
            way.cut()
            async with asyncio.TaskGroup() as tasks:
                over = tasks.create_task(hands_over())
                while not over.done():
                    await steadily(shown, lambda found: found == ["True"] * 2, what="Programmed", during=1.0, every=0.1)
            await steadily(shown, lambda found: found == ["True"] * 2, what="Programmed", during=2.0, every=0.1)
            after = await world.api.get("Gateway", "edge")
            assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"], "nothing was written"
            assert await held.echoes("did not notice")


async def test_proxies_that_came_back_to_a_replica_that_stays_cut_off_are_sent_away_again(world: World) -> None:
    """The Service left nobody out while nobody heard the API server, and does so once another replica hears it."""
    first = await world.controller()
    await first.wait_leads()
    async with world.way_to_the_api() as (way, kubeconfig):
        second = await world.controller(kubeconfig=kubeconfig)
        world.front.targets[:] = [second.xds]
        await world.apply(gateway("edge", [listener("tcp", PORT)]))
        await world.wait_programmed("edge")
        way.targets = []
        way.cut()
        await second.wait_text(SENT_AWAY, within=5 * LEASE_SECONDS)
        configured = second.text().count("proxy configured")

        async def count() -> int:
            return second.text().count("proxy configured")

        await eventually(count, lambda now: now == configured + 1, what="the proxy is back", within=10)
        world.front.targets[:] = [first.xds]
        await first.wait_text("proxy configured", within=8 * LEASE_SECONDS)
        assert second.text().count(SENT_AWAY) == 2


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
