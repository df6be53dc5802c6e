"""Proxies come and go: by the number that is wanted, and because they are replaced. Nobody loses a connection early."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from support.backends import Backend
from support.clients import Conversation, connection, who_serves
from support.cluster import install
from support.cluster_kubelet import Pod
from support.cluster_roles import serving
from support.controllers import World
from support.manifests import PARAMETERS, backend, gateway, listener, parameters, parent, tcproute
from support.waiting import eventually
from tidegate.installation import crd

PORT = 9300
DRAIN_SECONDS = 6


async def ready(world: World, count: int) -> list[Pod]:
    """The pods, once so many are there and ready."""

    async def found() -> list[Pod]:
        return world.kubelet.pods_of("edge-tidegate")

    return await eventually(
        found, lambda pods: len(pods) == count == sum(pod.ready for pod in pods), what=f"{count} pods", within=30
    )


async def closed_after(held: Conversation, since: float) -> float:
    """How many seconds after ``since`` the other side ended a connection that is used all the time."""

    async def answers() -> bool:
        try:
            return await held.echoes("still there")
        except ConnectionError:
            return False

    await eventually(answers, lambda answer: not answer, what="the connection ends", within=40, every=0.05)
    return time.monotonic() - since


@contextlib.asynccontextmanager
async def clients(world: World) -> AsyncIterator[dict[str, int]]:
    """Somebody who connects to the Gateway again and again while the block runs; gives what became of that."""
    became: dict[str, int] = {}

    async def work() -> None:
        while True:
            for address, port in await serving(world.api, "edge-tidegate", PORT) or [("", 0)]:
                answer = await who_serves(port, host=address) if address else "nobody is ready"
                became[answer] = became.get(answer, 0) + 1
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        yield became
        working.cancel()


async def test_no_connection_is_closed_before_its_time(world: World) -> None:
    """From 1 proxy to 3 and back, then a new template: those that go wait for their connections, new ones are served
    all the time, and nothing of it shows in the Gateway's status.
    """
    await install(world.api, [crd.definition()])
    await world.controller()
    async with Backend("app", host=world.kubelet.node) as app, contextlib.AsyncExitStack() as stack:
        await world.backend("app", [(app.host, app.port)])
        infrastructure = {"parametersRef": {**PARAMETERS, "name": "size"}}
        await world.apply(
            parameters("size", replicas=1, drainSeconds=DRAIN_SECONDS),
            gateway("edge", [listener("tcp", PORT)], infrastructure=infrastructure),
            tcproute("app", [parent("edge")], [backend("app")]),
        )
        before = await world.wait_programmed("edge")
        await world.apply(parameters("size", replicas=3, drainSeconds=DRAIN_SECONDS))
        held: dict[str, Conversation] = {}
        for pod in await ready(world, 3):
            held[pod.name] = await stack.enter_async_context(connection(PORT, host=pod.address))
            assert await held[pod.name].line() == "app"
        async with clients(world) as became:
            began = time.monotonic()
            await world.apply(parameters("size", replicas=1, drainSeconds=DRAIN_SECONDS))
            (stays,) = await ready(world, 1)
            goes = [one for name, one in held.items() if name != stays.name]
            lasted = await asyncio.gather(*(closed_after(one, began) for one in goes))
            assert min(lasted) >= DRAIN_SECONDS
            assert await held[stays.name].echoes("not concerned")
            # This replaces the pod, whose own drain time counts.
            began = time.monotonic()
            await world.apply(parameters("size", replicas=1, drainSeconds=1))
            assert await closed_after(held[stays.name], began) >= DRAIN_SECONDS
        assert became.keys() == {"app"}
        after = await world.api.get("Gateway", "edge")
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
