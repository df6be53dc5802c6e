"""The controller as `tidegate manifests` installs it: under its own service account and roles, it does all."""

from __future__ import annotations

from support.backends import Backend
from support.clients import who_serves
from support.cluster import install
from support.controllers import SYSTEM_NAMESPACE, World, condition_of
from support.manifests import backend, gateway, listener, parameters, parent, tcproute
from support.waiting import eventually
from tidegate.installation.manifests import documents
from tidegate.installation.options import NAME, Options

PORT = 9300


async def installed(world: World) -> None:
    """Everything that an installation applies is there, and a replica runs under its account."""
    namespace, *others = [dict(document.manifest) for document in documents(Options())]
    await world.api.apply(namespace)
    await install(world.api, others)
    controller = await world.controller(kubeconfig=await world.kubeconfig_of(NAME, SYSTEM_NAMESPACE))
    await controller.wait_leads()


def refusals(world: World) -> list[str]:
    """Lines of the log in which the API server refuses something."""
    return [line for one in world.controllers for line in one.text().splitlines() if "orbidden" in line]


async def test_the_own_role_is_enough_from_the_first_object_to_the_last(world: World) -> None:
    """Statuses, Events, data planes, their parameters and their end: nothing is forbidden."""
    await installed(world)
    async with Backend("app", host=world.kubelet.node) as app:
        await world.backend("app", [(app.host, app.port)])
        reference = {"group": "tidegate.dev", "kind": "GatewayParameters", "name": "two"}
        edge = gateway("edge", [listener("tcp", PORT)])
        edge["spec"]["infrastructure"] = {"labels": {"team": "a"}, "parametersRef": reference}
        two = parameters("two", replicas=2, service={"type": "ClusterIP"}, drainSeconds=1)
        await world.apply(two, edge, tcproute("app", [parent("edge")], [backend("app"), backend("missing", weight=0)]))
        await world.wait_programmed("edge", within=40)
        host = await world.reach("edge", PORT)
        assert await who_serves(PORT, host=host) == "app"
        service = await world.api.get("Service", "edge-tidegate")
        shown = await world.api.get("Gateway", "edge")
        assert shown["status"]["addresses"][0]["value"] == service["spec"]["clusterIP"]
        assert service["metadata"]["labels"]["team"] == "a"

        async def ready() -> int:
            return sum(pod.ready for pod in world.kubelet.pods_of("edge-tidegate"))

        await eventually(ready, lambda count: count == 2, what="two proxies are ready", within=30)
        assert await world.api.find("PodDisruptionBudget", "edge-tidegate") is not None

        async def told() -> set[str]:
            return {event["reason"] for event in await world.api.items("Event")}

        await eventually(told, lambda reasons: {"Accepted", "BackendNotFound"} <= reasons, what="events", within=20)
        found = await world.api.get("GatewayClass", "tidegate")
        assert condition_of(found["status"]["conditions"], "SupportedVersion") == ("True", "SupportedVersion")
        await world.api.delete("Gateway", "edge")
        await world.api.wait_gone("Deployment", "edge-tidegate")
        await world.api.wait_gone("Service", "edge-tidegate")
    assert refusals(world) == []


async def test_parameters_that_are_missing_are_said_and_found_later(world: World) -> None:
    """A Gateway whose parameters do not exist is not accepted, with the reason; it is as soon as they do."""
    await installed(world)
    edge = gateway("edge", [listener("tcp", PORT)])
    reference = {"group": "tidegate.dev", "kind": "GatewayParameters", "name": "late"}
    edge["spec"]["infrastructure"] = {"parametersRef": reference}
    await world.apply(edge)
    await world.api.wait_condition("Gateway", "edge", "Accepted", "False", reason="InvalidParameters")
    await world.apply(parameters("late", service={"type": "NodePort"}))
    await world.wait_programmed("edge")
    assert (await world.api.get("Service", "edge-tidegate"))["spec"]["type"] == "NodePort"


async def test_labels_of_the_infrastructure_are_withdrawn(world: World) -> None:
    """What leaves the Gateway's specification leaves the generated objects; other people's labels stay."""
    await installed(world)
    edge = gateway("edge", [listener("tcp", PORT)])
    edge["spec"]["infrastructure"] = {"labels": {"team": "a"}, "annotations": {"note": "b"}}
    await world.apply(edge)
    await world.api.wait(
        "Service", "edge-tidegate", lambda found: found["metadata"]["labels"].get("team") == "a", what="labelled"
    )
    await world.api.patch("Service", "edge-tidegate", {"metadata": {"labels": {"mine": "stays"}}})
    del edge["spec"]["infrastructure"]
    await world.apply(edge)
    found = await world.api.wait(
        "Service", "edge-tidegate", lambda found: "team" not in found["metadata"]["labels"], what="withdrawn"
    )
    assert found["metadata"]["labels"]["mine"] == "stays"
    assert "note" not in found["metadata"].get("annotations", {})
