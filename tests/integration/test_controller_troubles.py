"""What goes wrong with a Gateway's data plane is told where people look, and costs no traffic that it need not cost."""

from __future__ import annotations

from support.backends import Backend
from support.clients import connection, until_served
from support.cluster import install
from support.controllers import LEASE_SECONDS, World, condition_of
from support.manifests import PARAMETERS, Manifest, backend, gateway, listener, parameters, parent, service, tcproute
from support.waiting import eventually, steadily
from tidegate.installation import crd

PORT = 9300


def edge(*ports: int, **spec: object) -> Manifest:
    """A Gateway with a listener for each port."""
    return gateway("edge", [listener(f"tcp-{port}", port) for port in ports], **spec)


async def events(world: World) -> dict[str, str]:
    """The newest text of each reason for which something was told of the Gateway."""
    found = await world.api.items("Event")
    return {event["reason"]: event["message"] for event in found if event["involvedObject"]["name"] == "edge"}


async def used_up(world: World, quota: str) -> None:
    """A quota with nothing left, as the quota controller tells the API server."""
    hard = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {quota: "0"}}}
    await world.apply(hard)
    await world.api.patch_status("ResourceQuota", "none", {"hard": {quota: "0"}, "used": {quota: "0"}})


async def test_parameters_that_go_take_no_traffic_along(world: World) -> None:
    """The last ones stay in force, also for a controller that never saw them, and what is not about them goes on."""
    await install(world.api, [crd.definition()])
    controller = await world.controller()
    async with Backend("here", host=world.kubelet.node) as here, Backend("there", host=world.kubelet.node) as there:
        await world.backend("app", [(here.host, here.port)])
        infrastructure = {"parametersRef": {**PARAMETERS, "name": "mine"}}
        mine = parameters("mine", service={"type": "ClusterIP"}, drainSeconds=1, accessLog="json")
        await world.apply(mine, edge(PORT, infrastructure=infrastructure))
        await world.apply(tcproute("app", [parent("edge")], [backend("app")]))
        await world.wait_programmed("edge")
        host = await world.reach("edge", PORT)
        objects = [await world.api.get(kind, "edge-tidegate") for kind in ("Deployment", "Service", "ConfigMap")]
        async with connection(PORT, host=host) as held:
            assert await held.line() == "here"
            await world.api.delete("GatewayParameters", "mine")
            await world.api.wait_condition("Gateway", "edge", "Accepted", "False", reason="InvalidParameters")
            await controller.kill()
            await world.restart(controller)
            await world.backend("app", [(there.host, there.port)])
            await until_served(host, PORT, "there")
            (pod,) = world.kubelet.pods_of("edge-tidegate")
            assert pod.container is not None
            log = pod.container.log

            async def logged() -> str:
                await until_served(host, PORT, "there")
                return log.read_text(encoding="utf-8")

            await eventually(logged, lambda text: f"{there.host}:{there.port}" in text, what="the access log goes on")
            for before in objects:
                after = await world.api.get(before["kind"], "edge-tidegate")
                assert (after["metadata"]["uid"], after["spec" if "spec" in after else "data"]) == (
                    before["metadata"]["uid"],
                    before["spec" if "spec" in before else "data"],
                )
            await world.apply(mine)
            await world.wait_programmed("edge")
            assert await held.echoes("through all of it")


async def test_an_address_that_is_not_to_be_had_costs_no_traffic(world: World) -> None:
    """The Gateway says that it does not have it; its Service and those connected through it stay."""
    await install(world.api, [crd.definition()])
    await world.controller()
    infrastructure = {"parametersRef": {**PARAMETERS, "name": "inside"}}
    await world.apply(parameters("inside", service={"type": "ClusterIP"}), edge(PORT, infrastructure=infrastructure))
    await world.wait_programmed("edge")
    before = await world.api.get("Service", "edge-tidegate")
    taken = (await world.api.get("Service", "kubernetes", namespace="default"))["spec"]["clusterIP"]
    asked = [{"type": "IPAddress", "value": taken}]
    await world.apply(edge(PORT, infrastructure=infrastructure, addresses=asked))
    await world.api.wait_condition("Gateway", "edge", "Programmed", "False", reason="AddressNotUsable")

    async def told() -> str:
        return (await events(world)).get("InfrastructureFailed", "")

    await eventually(told, lambda text: taken in text, what="an event says why", within=10)
    assert (await world.api.get("Service", "edge-tidegate"))["metadata"]["uid"] == before["metadata"]["uid"]
    await world.apply(edge(PORT, infrastructure=infrastructure))
    await world.wait_programmed("edge")


async def test_a_name_that_somebody_has_is_left_to_them(world: World) -> None:
    """The Gateway says so in its status, the Service is not touched, and once it has gone all is well."""
    await world.controller()
    await world.apply(service("edge-tidegate", 1234))
    theirs = await world.api.get("Service", "edge-tidegate")
    await world.apply(edge(PORT))

    async def told() -> str:
        return (await events(world)).get("InfrastructureFailed", "")

    await eventually(told, lambda text: "is there already" in text, what="an event says why", within=20)
    shown = await world.api.wait_condition("Gateway", "edge", "Programmed", "False", reason="AddressNotAssigned")
    assert "not tidegate's" in str(shown["status"]["conditions"])
    assert (await world.api.get("Service", "edge-tidegate"))["spec"] == theirs["spec"]
    await world.api.delete("Service", "edge-tidegate")
    await world.wait_programmed("edge")


async def test_a_proxy_that_dies_is_missed_and_told_of(world: World) -> None:
    """Programmed is False while nobody serves, and True again with the next one; events say both."""
    await world.controller()
    await world.apply(edge(PORT))
    await world.wait_programmed("edge")
    (pod,) = world.kubelet.pods_of("edge-tidegate")
    assert pod.container is not None
    pod.container.kill()
    await world.wait_programmed("edge", status="False")
    await world.wait_programmed("edge")

    async def told() -> dict[str, str]:
        return await events(world)

    wanted = {"Accepted", "Programmed", "DataPlaneLost"}
    await eventually(told, lambda found: wanted <= found.keys(), what="events", within=10)

    async def writes() -> float:
        return await world.controllers[0].metric("tidegate_status_writes_total", outcome="written")

    now = await writes()
    await steadily(writes, lambda count: count == now, what="no status is written", during=2.0)


async def test_a_quota_that_is_used_up_is_told_in_the_status_and_forgotten_when_it_is_over(world: World) -> None:
    """In the API server's words, with the reason that fits, and with one write, however often it is tried again."""
    quota = "count/deployments.apps"
    await used_up(world, quota)
    await world.controller()
    await world.apply(edge(PORT))
    shown = await world.api.wait_condition("Gateway", "edge", "Programmed", "False", reason="NoResources")
    assert f"exceeded quota: none, requested: {quota}=1" in str(shown["status"]["conditions"])

    async def version() -> str:
        return str((await world.api.get("Gateway", "edge"))["metadata"]["resourceVersion"])

    now = await version()
    await steadily(version, lambda found: found == now, what="no status is written", during=5.0)
    await world.api.delete("ResourceQuota", "none")
    await world.wait_programmed("edge")
    assert "quota" not in str((await world.api.get("Gateway", "edge"))["status"]["conditions"])


async def test_trouble_is_told_right_through_a_change_of_leader(world: World) -> None:
    """The next leader has to find out by itself, and does so before it writes."""
    await used_up(world, "count/services")
    first = await world.controller()
    await first.wait_leads()
    second = await world.controller()
    await world.apply(edge(PORT))
    await world.api.wait_condition("Gateway", "edge", "Programmed", "False", reason="NoResources")

    async def shown() -> tuple[str, str]:
        return condition_of((await world.api.get("Gateway", "edge"))["status"]["conditions"], "Programmed")

    await first.kill()
    await second.wait_leads(within=4 * LEASE_SECONDS)
    said = ("False", "NoResources")
    await steadily(shown, lambda found: found == said, what="the reason", during=4.0, every=0.02)


async def test_an_address_outside_of_the_cluster_is_told_in_the_words_of_the_api_server(world: World) -> None:
    """The Gateway that asks for it from the start has no Service, and hears why."""
    await install(world.api, [crd.definition()])
    await world.controller()
    infrastructure = {"parametersRef": {**PARAMETERS, "name": "inside"}}
    asked = [{"type": "IPAddress", "value": "192.0.2.200"}]
    inside = parameters("inside", service={"type": "ClusterIP"})
    await world.apply(inside, edge(PORT, infrastructure=infrastructure, addresses=asked))

    def told(found: Manifest) -> bool:
        conditions = found.get("status", {}).get("conditions", [])
        texts = [(one["reason"], one["message"]) for one in conditions if one["type"] == "Programmed"]
        return any(
            reason == "AddressNotUsable" and "failed to allocate IP 192.0.2.200" in text for reason, text in texts
        )

    await world.api.wait("Gateway", "edge", told, what="the status says why", within=20)
    await world.apply(edge(PORT, infrastructure=infrastructure))
    await world.wait_programmed("edge")


async def test_a_service_that_is_going_is_none_any_more(world: World) -> None:
    """While a finalizer holds it, its load balancer is taken down: nothing says that clients get through."""
    await world.controller()
    await world.apply(edge(PORT))
    await world.wait_programmed("edge")
    held = ["example.com/takes-its-time"]
    before = await world.api.patch("Service", "edge-tidegate", {"metadata": {"finalizers": held}})
    await world.api.delete("Service", "edge-tidegate")
    found = await world.wait_programmed("edge", status="False")
    assert found["status"].get("addresses", []) == []
    assert [condition_of(one["conditions"], "Programmed")[0] for one in found["status"]["listeners"]] == ["False"]
    assert "is being deleted" in str(found["status"]["conditions"])
    await world.api.patch("Service", "edge-tidegate", {"metadata": {"finalizers": None}})
    found = await world.wait_programmed("edge")
    assert found["status"]["addresses"]
    assert (await world.api.get("Service", "edge-tidegate"))["metadata"]["uid"] != before["metadata"]["uid"]
