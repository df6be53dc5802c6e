"""The finalizer of a GatewayClass on a real API server: what is in use stays until it is free."""

from __future__ import annotations

import asyncio

from support.cluster import Cluster
from support.waiting import eventually
from tidegate.kube.config import connected
from tidegate.names import CONTROLLER_NAME, GATEWAY_GROUP
from tidegate.reporting.finalizers import FINALIZER, ClassFinalizers

OTHER = "example.com/other"


async def test_a_class_goes_when_its_last_gateway_has_gone(cluster: Cluster) -> None:
    """Deleted while it is in use it stays; another finalizer is left alone."""
    name = f"class-{cluster.namespace}"
    await cluster.api.apply(
        {
            "apiVersion": f"{GATEWAY_GROUP}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": name, "finalizers": [OTHER]},
            "spec": {"controllerName": CONTROLLER_NAME},
        }
    )

    async def finalizers() -> list[str]:
        found = await cluster.api.find("GatewayClass", name)
        kept: list[str] = found["metadata"].get("finalizers", []) if found is not None else ["gone"]
        return kept

    async with connected(kubeconfig=cluster.kubeconfig) as client, asyncio.TaskGroup() as tasks:
        keeper = ClassFinalizers(client)
        task = tasks.create_task(keeper.run())
        keeper.set({name: True})
        await eventually(finalizers, lambda found: found == [OTHER, FINALIZER], what="the class is kept")
        await cluster.api.delete("GatewayClass", name)
        await cluster.api.patch("GatewayClass", name, {"metadata": {"finalizers": [FINALIZER]}})
        assert await finalizers() == [FINALIZER]
        keeper.set({name: False})
        await eventually(finalizers, lambda found: found == ["gone"], what="the class has gone")
        task.cancel()
