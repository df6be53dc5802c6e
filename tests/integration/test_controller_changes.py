"""Changes in a cluster while connections live: none is closed, and new ones follow the newest configuration."""

from __future__ import annotations

from support.backends import Backend
from support.clients import Served, ask, ask_many, connection, until_served
from support.controllers import World
from support.manifests import backend, gateway, grant, listener, parent, tcproute
from support.waiting import eventually

PORT = 9300


async def test_weights_are_exact_and_a_missing_service_keeps_its_share(world: World) -> None:
    """70 to 30; then half of all connections are refused, because half of the weight names no Service."""
    await world.controller()
    async with Backend("one", host=world.kubelet.node) as one, Backend("two", host=world.kubelet.node) as two:
        await world.backend("one", [(one.host, one.port)])
        await world.backend("two", [(two.host, two.port)])
        shares = [backend("one", weight=70), backend("two", weight=30)]
        await world.apply(gateway("edge", [listener("tcp", PORT)]), tcproute("app", [parent("edge")], shares))
        await world.wait_programmed("edge")
        host = await world.reach("edge", PORT)
        async with connection(PORT, host=host) as held:
            greeting = await held.line()
            tally = await ask_many(PORT, 1000, host=host)
            assert abs(tally.share("one") - 70) <= 2
            assert abs(tally.share("two") - 30) <= 2
            broken = [backend("one", weight=50), backend("missing", weight=50)]
            await world.apply(tcproute("app", [parent("edge")], broken))
            await world.wait_route("app", "ResolvedRefs", "False", "BackendNotFound")

            async def two_is_out() -> bool:
                return not (await ask_many(PORT, 20, host=host)).served["two"]

            await eventually(two_is_out, what="the new weights are in force")
            tally = await ask_many(PORT, 400, host=host)
            assert abs(tally.share("one") - 50) <= 2
            assert abs(tally.refused_share - 50) <= 2
            assert await held.echoes(f"{greeting} is still there")


async def test_a_grant_opens_and_its_end_closes_a_foreign_backend(world: World) -> None:
    """Without a ReferenceGrant the share is refused; with one it is served; revoked, it is refused again."""
    await world.controller()
    other = f"{world.namespace}-other"
    await world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
    async with Backend("foreign", host=world.kubelet.node) as foreign:
        await world.backend("foreign", [(foreign.host, foreign.port)], namespace=other)
        await world.apply(
            gateway("edge", [listener("tcp", PORT)]),
            tcproute("app", [parent("edge")], [backend("foreign", namespace=other)]),
        )
        await world.wait_route("app", "ResolvedRefs", "False", "RefNotPermitted")
        host = await world.reach("edge", PORT)
        await until_served(host, PORT, "closed without a byte")
        await world.apply(grant("let-in", namespace=other, from_namespace=world.namespace))
        await world.wait_route("app", "ResolvedRefs", "True", "ResolvedRefs")
        await until_served(host, PORT, "foreign")
        async with connection(PORT, host=host) as held:
            assert await held.line() == "foreign"
            await world.api.delete("ReferenceGrant", "let-in", namespace=other)
            await world.wait_route("app", "ResolvedRefs", "False", "RefNotPermitted")
            await until_served(host, PORT, "closed without a byte")
            assert await held.echoes("as before")


async def test_the_older_of_two_routes_serves_and_the_other_takes_over(world: World) -> None:
    """Both are accepted and counted; when the older one goes, the other serves, and its connections stay."""
    await world.controller()
    async with Backend("old", host=world.kubelet.node) as old, Backend("new", host=world.kubelet.node) as new:
        await world.backend("old", [(old.host, old.port)])
        await world.backend("new", [(new.host, new.port)])
        await world.apply(gateway("edge", [listener("tcp", PORT)]))
        # Ages have seconds; of two routes of the same second the name decides.
        await world.apply(tcproute("a-first", [parent("edge")], [backend("old")]))
        await world.apply(tcproute("b-second", [parent("edge")], [backend("new")]))
        await world.wait_listeners("edge", {"tcp": ("True", 2)}, within=30)
        for name in ("a-first", "b-second"):
            await world.wait_route(name, "Accepted", "True", "Accepted")
        host = await world.reach("edge", PORT)
        assert (await ask_many(PORT, 40, host=host)).served == {"old": 40}
        async with connection(PORT, host=host) as held:
            assert await held.line() == "old"
            await world.api.delete("TCPRoute", "a-first")
            await until_served(host, PORT, "new")
            await world.wait_listeners("edge", {"tcp": ("True", 1)})
            assert await held.echoes("not closed")


async def test_listeners_come_and_go_without_new_pods(world: World) -> None:
    """A listener that is added opens its port in the running proxy; one that is removed stops accepting only."""
    await world.controller()
    async with Backend("app", host=world.kubelet.node) as app:
        await world.backend("app", [(app.host, app.port)])
        first, second = listener("first", PORT), listener("second", PORT + 1)
        await world.apply(gateway("edge", [first]), tcproute("app", [parent("edge")], [backend("app")]))
        await world.wait_programmed("edge")
        host = await world.reach("edge", PORT)
        pods = [pod.name for pod in world.kubelet.pods]
        async with connection(PORT, host=host) as held:
            assert await held.line() == "app"
            await world.apply(gateway("edge", [first, second]))
            await world.wait_listeners("edge", {"first": ("True", 1), "second": ("True", 1)})
            assert await world.reach("edge", PORT + 1) == host
            assert isinstance(await ask(PORT + 1, host=host), Served)
            await world.apply(gateway("edge", [second]))
            await world.wait_listeners("edge", {"second": ("True", 1)})
            await until_served(host, PORT, "connection refused")
            assert await held.echoes("on a port that is closed")
        assert [pod.name for pod in world.kubelet.pods] == pods
        spec = (await world.api.get("Service", "edge-tidegate"))["spec"]
        assert [port["port"] for port in spec["ports"]] == [PORT + 1]


async def test_a_backend_moves_under_live_connections(world: World) -> None:
    """New connections go to where the Service runs now; the others stay where they are."""
    await world.controller()
    async with Backend("here", host=world.kubelet.node) as here, Backend("there", host=world.kubelet.node) as there:
        await world.backend("app", [(here.host, here.port)])
        await world.apply(gateway("edge", [listener("tcp", PORT)]), tcproute("app", [parent("edge")], [backend("app")]))
        await world.wait_programmed("edge")
        host = await world.reach("edge", PORT)
        async with connection(PORT, host=host) as held:
            assert await held.line() == "here"
            await world.backend("app", [(there.host, there.port)])
            await until_served(host, PORT, "there")
            assert await held.echoes("still here")


async def test_a_listener_is_programmed_no_sooner_than_the_service_leads_there(world: World) -> None:
    """What clients come through has the port by then; one that somebody takes away is put back, or reported missing."""
    await world.controller()
    await world.apply(gateway("edge", [listener("first", PORT)]))
    await world.wait_programmed("edge")
    for number in range(1, 6):
        more = [listener(f"more-{one}", PORT + one) for one in range(1, number + 1)]
        await world.apply(gateway("edge", [listener("first", PORT), *more]))
        await world.wait_listeners("edge", {"first": ("True", 0)} | {one["name"]: ("True", 0) for one in more})
        ports = (await world.api.get("Service", "edge-tidegate"))["spec"]["ports"]
        assert [one["targetPort"] for one in ports] == [PORT + one for one in range(number + 1)]

    # Twice in a row, so that the second time it is not put back at once: it is somebody else who keeps at it.
    for _ in range(2):
        elsewhere = {"spec": {"ports": [{"name": "tcp", "port": 9, "protocol": "TCP"}]}}
        await world.api.patch("Service", "edge-tidegate", elsewhere)

    async def led() -> set[int]:
        return {one["targetPort"] for one in (await world.api.get("Service", "edge-tidegate"))["spec"]["ports"]}

    wanted = {PORT + one for one in range(6)}
    await eventually(led, lambda ports: ports >= wanted, what="the ports are back", within=30)
    await world.wait_programmed("edge")
