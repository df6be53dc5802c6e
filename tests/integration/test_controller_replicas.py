"""Several replicas: one writes, all serve; leaders and API servers go, traffic and statuses do not suffer."""

from __future__ import annotations

import signal

import pytest

from support.backends import Backend
from support.clients import connection, who_serves
from support.controllers import LEASE_SECONDS, World
from support.manifests import Manifest, backend, gateway, listener, parent, tcproute
from support.waiting import eventually, steadily

PORT = 9300


async def edge(world: World, app: Backend) -> str:
    """One listener, one route; gives the address of a proxy that serves it."""
    await world.backend("app", [(app.host, app.port)])
    await world.apply(gateway("edge", [listener("tcp", PORT)]), tcproute("app", [parent("edge")], [backend("app")]))
    await world.wait_programmed("edge")
    return await world.reach("edge", PORT)


def programmed(found: Manifest) -> str:
    """The status of a Gateway's condition Programmed."""
    return next(one["status"] for one in found["status"]["conditions"] if one["type"] == "Programmed")


async def test_programmed_holds_through_a_change_of_leader_with_every_proxy_on_the_follower(world: World) -> None:
    """The leader hears of the follower's proxies; the next leader knows before it writes, so nothing flickers."""
    first = await world.controller()
    await first.wait_leads()
    second = await world.controller()
    world.front.targets[:] = [second.xds]
    async with Backend("app", host=world.kubelet.node) as app:
        host = await edge(world, app)
        third = await world.controller()
        world.front.targets[:] = [second.xds, third.xds]
        before = await world.api.get("Gateway", "edge")
        async with connection(PORT, host=host) as held:
            assert await held.line() == "app"
            await first.kill()

            async def shown() -> str:
                return programmed(await world.api.get("Gateway", "edge"))

            async def leads() -> bool:
                return await second.leads() or await third.leads()

            await eventually(leads, what="another replica leads", within=4 * LEASE_SECONDS)
            await steadily(shown, lambda status: status == "True", what="Programmed", during=3.0, every=0.05)
            after = await world.api.get("Gateway", "edge")
            assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"], "nothing was written"
            assert await held.echoes("did not notice")
        await world.apply(gateway("edge", [listener("tcp", PORT), listener("more", PORT + 1)]))
        await world.wait_listeners("edge", {"tcp": ("True", 1), "more": ("True", 1)})


async def test_only_the_leader_writes(world: World) -> None:
    """The follower decides the same and serves, but leaves the API server alone."""
    first = await world.controller()
    await first.wait_leads()
    second = await world.controller()
    async with Backend("app", host=world.kubelet.node) as app:
        await edge(world, app)
        assert await first.metric("tidegate_status_writes_total", outcome="written") > 0
        assert await second.metric("tidegate_status_writes_total") == 0
        assert not await second.leads()


async def test_a_leader_that_ends_in_order_hands_over_at_once(world: World) -> None:
    """It releases the Lease, so nobody waits for that to expire."""
    first = await world.controller()
    await first.wait_leads()
    second = await world.controller()
    first.send(signal.SIGTERM)
    assert await first.ended() == 0
    await second.wait_leads(within=LEASE_SECONDS)


async def test_a_leader_that_stood_still_follows_and_writes_nothing(world: World) -> None:
    """Another one has taken over meanwhile; what the former leader knew and was about to do is of no account."""
    first = await world.controller()
    await first.wait_leads()
    second = await world.controller()
    world.front.targets[:] = [second.xds]
    async with Backend("app", host=world.kubelet.node) as app:
        host = await edge(world, app)
        async with connection(PORT, host=host) as held:
            assert await held.line() == "app"
            first.send(signal.SIGSTOP)
            await second.wait_leads(within=4 * LEASE_SECONDS)
            await world.apply(gateway("edge", [listener("tcp", PORT), listener("more", PORT + 1)]))
            await world.wait_listeners("edge", {"tcp": ("True", 1), "more": ("True", 1)})
            assert len((await world.api.get("Service", "edge-tidegate"))["spec"]["ports"]) == 2
            kinds = ("Service", "Deployment", "Secret", "ConfigMap", "ServiceAccount")

            async def versions() -> list[str]:
                found = [await world.api.get("Gateway", "edge")]
                found += [await world.api.get(kind, "edge-tidegate") for kind in kinds]
                return [one["metadata"]["resourceVersion"] for one in found]

            before = await versions()
            first.send(signal.SIGCONT)
            await first.wait_text(f'"leader": "{second.name}"', within=4 * LEASE_SECONDS)
            await steadily(versions, lambda now: now == before, what="nothing is written", during=2.0, every=0.1)
            assert await held.echoes("did not notice")
        assert not await first.leads()


@pytest.mark.parametrize("how", ["ended", "stood still"])
async def test_traffic_goes_on_and_statuses_converge_after_the_api_server_was_away(world: World, how: str) -> None:
    """Nothing is closed meanwhile; afterwards what changed arrives, with a write or two, not with a storm."""
    controller = await world.controller()
    async with Backend("app", host=world.kubelet.node) as app, Backend("next", host=world.kubelet.node) as following:
        host = await edge(world, app)
        await world.backend("next", [(following.host, following.port)])
        async with connection(PORT, host=host) as held:
            assert await held.line() == "app"
            server = world.cluster.server
            if how == "ended":
                server.process.kill()
            else:
                server.process.send(signal.SIGSTOP)
            await steadily(
                lambda: who_serves(PORT, host=host), lambda name: name == "app", what="traffic", during=8.0, every=0.1
            )
            assert (await controller.get("/healthz"))[0] == 200
            if how == "ended":
                await server.restart()
            else:
                server.process.send(signal.SIGCONT)
            written = await controller.metric("tidegate_status_writes_total", outcome="written")
            await world.apply(tcproute("app", [parent("edge")], [backend("next")]))

            async def served() -> str:
                return await who_serves(PORT, host=host)

            await eventually(served, lambda name: name == "next", what="the change arrives", within=40)
            await world.wait_route("app", "Accepted", "True", "Accepted", within=40)
            assert await controller.metric("tidegate_status_writes_total", outcome="written") - written <= 6
            assert await held.echoes("through all of it")
