"""The Gateway API guide's example in a cluster: two TCPRoutes carry traffic to the Services' pods."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.backends import Backend
from support.clients import ask_many, connection, who_serves
from support.controllers import World, condition_of
from support.manifests import backend, gateway, listener, parent, tcproute
from support.waiting import eventually

KINDS = {"kinds": [{"kind": "TCPRoute"}]}
GATEWAY = gateway(
    "my-tcp-gateway", [listener("foo", 8080, allowedRoutes=KINDS), listener("bar", 8090, allowedRoutes=KINDS)]
)


@asynccontextmanager
async def guide(world: World, *references: dict[str, object]) -> AsyncIterator[str]:
    """The guide's objects, the routes bound by ``references``; gives the address of a proxy."""
    async with Backend("foo", host=world.kubelet.node) as foo, Backend("bar", host=world.kubelet.node) as bar:
        await world.backend("my-foo-service", [(foo.host, foo.port)])
        await world.backend("my-bar-service", [(bar.host, bar.port)])
        await world.apply(
            GATEWAY,
            tcproute("tcp-app-1", [parent("my-tcp-gateway", **references[0])], [backend("my-foo-service")]),
            tcproute("tcp-app-2", [parent("my-tcp-gateway", **references[1])], [backend("my-bar-service")]),
        )
        await world.wait_programmed("my-tcp-gateway")
        yield await world.reach("my-tcp-gateway", 8080)


@pytest.mark.parametrize(
    "references",
    [({"sectionName": "foo"}, {"sectionName": "bar"}), ({"port": 8080}, {"port": 8090})],
    ids=["by-section-name", "by-port"],
)
async def test_streams_of_each_port_reach_its_service(world: World, references: tuple[dict[str, object], ...]) -> None:
    """All streams on 8080 reach the one Service, all on 8090 the other; binding by port gives the same."""
    await world.controller()
    async with guide(world, *references) as host:
        assert (await ask_many(8080, 50, host=host)).served == {"foo": 50}
        assert (await ask_many(8090, 50, host=host)).served == {"bar": 50}
        shown = await world.api.get("Gateway", "my-tcp-gateway")
        assert shown["status"]["addresses"] == [{"type": "IPAddress", "value": "192.0.2.1"}]
        await world.wait_listeners("my-tcp-gateway", {"foo": ("True", 1), "bar": ("True", 1)})
        for name in ("tcp-app-1", "tcp-app-2"):
            route = await world.wait_route(name, "Accepted", "True", "Accepted")
            (entry,) = route["status"]["parents"]
            assert condition_of(entry["conditions"], "ResolvedRefs") == ("True", "ResolvedRefs")


async def test_a_gateway_that_is_deleted_leaves_nothing_behind(world: World) -> None:
    """All that was made for it goes, and the routes' entries about it."""
    await world.controller()
    async with guide(world, {"sectionName": "foo"}, {"sectionName": "bar"}):
        await world.api.delete("Gateway", "my-tcp-gateway")

        async def left() -> list[str]:
            kinds = ("Deployment", "Service", "ServiceAccount", "ConfigMap", "Secret", "PodDisruptionBudget")
            label = "gateway.networking.k8s.io/gateway-name=my-tcp-gateway"
            found = [item for kind in kinds for item in await world.api.items(kind, labels=label)]
            return [f"{item['kind']} {item['metadata']['name']}" for item in found]

        await eventually(left, lambda names: not names, what="nothing is left", within=10)
        await world.api.wait(
            "TCPRoute", "tcp-app-1", lambda found: not found["status"]["parents"], what="no entry is left"
        )


async def test_a_connection_outlives_the_controller(world: World) -> None:
    """While the only replica is gone, traffic goes on; when it is back, nothing was closed and changes arrive."""
    controller = await world.controller()
    async with (
        guide(world, {"sectionName": "foo"}, {"sectionName": "bar"}) as host,
        connection(8080, host=host) as held,
    ):
        assert await held.line() == "foo"
        await controller.kill()
        assert await held.echoes("still here")
        assert await who_serves(8080, host=host) == "foo"
        await world.restart(controller)
        await world.apply(
            tcproute("tcp-app-1", [parent("my-tcp-gateway", sectionName="foo")], [backend("my-bar-service")])
        )

        async def served() -> str:
            return await who_serves(8080, host=host)

        await eventually(served, lambda name: name == "bar", what="the change arrives", within=30)
        assert await held.echoes("and now")
