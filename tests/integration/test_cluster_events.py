"""Events on a real API server: accepted, counted up, and seen by those who read the older kind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from support import manifests
from support.cluster import Cluster
from support.cluster_statuses import key_of
from support.manifests import Manifest
from support.statuses import crd_default, raw_condition
from support.waiting import eventually
from tidegate.kube.config import connected
from tidegate.names import CONTROLLER_NAME, GATEWAY_GROUP
from tidegate.reporting.base import Subject, Written
from tidegate.reporting.events import EventRecorder
from tidegate.reporting.happenings import Tone


@contextlib.asynccontextmanager
async def recording(cluster: Cluster) -> AsyncIterator[EventRecorder]:
    """A recorder that writes to the cluster."""
    async with connected(kubeconfig=cluster.kubeconfig) as client, asyncio.TaskGroup() as tasks:
        recorder = EventRecorder(client, controller_name=CONTROLLER_NAME, instance="tidegate-0")
        task = tasks.create_task(recorder.run())
        await asyncio.sleep(0)
        try:
            yield recorder
        finally:
            task.cancel()


def subject_of(found: Manifest) -> Subject:
    """What events call an object."""
    return Subject(key_of(found), "v1", found["metadata"]["uid"])


async def events(cluster: Cluster, count: int, namespace: str | None = None) -> list[Manifest]:
    """The events of a namespace, once there are so many, as ``kubectl get events`` reads them: of the core group."""
    path = f"/api/v1/namespaces/{namespace or cluster.namespace}/events"

    async def probe() -> list[Manifest]:
        page = await cluster.api.request("GET", path)
        found: list[Manifest] = [one for one in page["items"] if one.get("reportingComponent") == CONTROLLER_NAME]
        return found

    return await eventually(probe, lambda found: len(found) >= count, what=f"{count} events")


async def test_an_event_is_of_its_object(cluster: Cluster) -> None:
    """``kubectl describe`` finds it by the object's name and uid."""
    (found,) = await cluster.api.apply(manifests.gateway("gw", [manifests.listener("tcp", 80)]))
    async with recording(cluster) as recorder:
        recorder.wrote(
            Written(
                subject=subject_of(found),
                before=crd_default("Accepted", "Programmed"),
                after={
                    "conditions": [raw_condition(), raw_condition("Programmed", "False", reason="AddressNotUsable")]
                },
            )
        )
        accepted, unusable = sorted(await events(cluster, 2), key=lambda one: one["reason"])
    assert accepted["involvedObject"] == {
        "apiVersion": f"{GATEWAY_GROUP}/v1",
        "kind": "Gateway",
        "namespace": cluster.namespace,
        "name": "gw",
        "uid": found["metadata"]["uid"],
    }
    assert (accepted["type"], accepted["reason"], accepted["message"]) == ("Normal", "Accepted", "text")
    assert (unusable["type"], unusable["reason"]) == ("Warning", "AddressNotUsable")


async def test_an_event_of_a_class_is_in_the_default_namespace(cluster: Cluster) -> None:
    """An object that is in none has to have its events somewhere."""
    name = f"class-{cluster.namespace}"
    (found,) = await cluster.api.apply(
        {
            "apiVersion": f"{GATEWAY_GROUP}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": name},
            "spec": {"controllerName": CONTROLLER_NAME},
        }
    )
    async with recording(cluster) as recorder:
        recorder.wrote(Written(subject=subject_of(found), before={}, after={"conditions": [raw_condition()]}))
        told = await events(cluster, 1, "default")
    assert [one["involvedObject"]["name"] for one in told] == [name]


async def test_a_series_counts_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """One event stands for all repetitions; with a name and a text as long as they may be."""
    monkeypatch.setattr("tidegate.reporting.journal.UPDATE_S", 0.05)
    (found,) = await cluster.api.apply(manifests.gateway(f"{'g' * 199}.{'w' * 53}", [manifests.listener("tcp", 80)]))
    async with recording(cluster) as recorder:

        def tell() -> None:
            recorder.tell(
                subject_of(found), tone=Tone.WARNING, reason="ProvisioningFailed", note="ü" * 2000, action="Provision"
            )

        tell()
        await events(cluster, 1)
        for _ in range(3):
            tell()

        async def count() -> int:
            (event,) = await events(cluster, 1)
            series: dict[str, int] = event.get("series") or {}
            return series.get("count", 1)

        await eventually(count, lambda counted: counted == 4, what="four times")
