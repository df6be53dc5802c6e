"""Statuses on a real API server: accepted by its schemas, next to those of others, and as few writes as say it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support import manifests
from support.cluster import Cluster
from support.cluster_api import ApiError
from support.cluster_statuses import ClusterWriting, key_of, leading_in, writing_to
from support.manifests import Manifest, listener, parent
from support.statuses import (
    FOREIGN,
    class_status,
    condition,
    gateway_status,
    listener_status,
    raw_condition,
    raw_parent,
    route_status,
)
from support.waiting import eventually, silence
from tidegate.core.reasons import ConditionType
from tidegate.model.encode import status_to_mapping
from tidegate.model.routes import ParentReference
from tidegate.model.status import Status
from tidegate.names import CONTROLLER_NAME, GATEWAY_GROUP, ObjectKey
from tidegate.reporting.kubernetes import WriteOutcome

BACKENDS = [manifests.backend("web")]
FOREIGN_PARENT = {"group": GATEWAY_GROUP, "kind": "Gateway", "name": "theirs"}


def a_class(name: str) -> Manifest:
    """A GatewayClass of ours."""
    return {
        "apiVersion": f"{GATEWAY_GROUP}/v1",
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": CONTROLLER_NAME},
    }


def a_gateway(name: str, listeners: int = 1) -> Manifest:
    """A Gateway."""
    return manifests.gateway(name, [listener(f"l{number}", 8000 + number) for number in range(listeners)])


def a_route(name: str, *parents: Manifest, version: str = "v1") -> Manifest:
    """A TCPRoute; of the Gateway ``gw`` unless given."""
    return manifests.tcproute(name, parents or [parent("gw")], BACKENDS, version=version)


def untimed(value: Any) -> Any:
    """A raw status without its times."""
    match value:
        case dict():
            return {name: untimed(item) for name, item in value.items() if name != "lastTransitionTime"}
        case list():
            return [untimed(item) for item in value]
        case _:
            return value


async def settled(writing: ClusterWriting, outcome: WriteOutcome, count: int, kind: str = "") -> None:
    """Returns once there were so many outcomes for objects of a kind."""

    async def probe() -> int:
        return writing.count(outcome, kind)

    await eventually(probe, lambda found: found >= count, what=f"{count} times {outcome}", within=30)


async def quiet(writing: ClusterWriting, during: float = 0.5) -> None:
    """Fails when the writer asks anything of the server for a while."""
    await silence(writing.client.requests, during=during)


EVERY_CONDITION = tuple(condition(kind.value) for kind in ConditionType)
EVERY_STATUS: tuple[tuple[Manifest, Status], ...] = (
    (a_class("class"), class_status(features=tuple(f"Feature{number:02}" for number in range(64)))),
    (a_class("odd"), class_status(*EVERY_CONDITION, features=())),
    (
        a_gateway("full", 64),
        gateway_status(
            *(listener_status(f"l{number}", *EVERY_CONDITION, attached=5000) for number in range(64)),
            conditions=EVERY_CONDITION,
            addresses=("2001:db8::1", *(f"192.0.2.{number}" for number in range(15))),
        ),
    ),
    (a_gateway("empty"), gateway_status(addresses=())),
    (
        a_route(
            "full", parent("gw", sectionName="l0", port=8000), parent("gw", sectionName="l1", port=8001),
            parent("gw", namespace="elsewhere"), parent("gw", namespace="other", port=1),
        ),
        route_status(
            ParentReference(name="gw", section_name="l0", port=8000),
            ParentReference(name="gw", section_name="l1", port=8001),
            ParentReference(name="gw", namespace="elsewhere"),
            ParentReference(name="gw", namespace="other", port=1),
            conditions=EVERY_CONDITION,
        ),
    ),
    (a_route("crowd"), route_status(*(f"gw-{number}" for number in range(32)))),
)  # fmt: skip


async def _every_status(cluster: Cluster, version: str) -> None:
    """Every shape of status is taken by the server, reads as it was written, and is in place from then on."""
    async with leading_in(cluster, version) as writing:
        for document, status in EVERY_STATUS:
            route = document["kind"] == "TCPRoute"
            applied = {**document, "apiVersion": f"{GATEWAY_GROUP}/{version}"} if route else document
            (found,) = await cluster.api.apply(applied)
            writing.writer.publish({key_of(found): status})
        await settled(writing, WriteOutcome.WRITTEN, len(EVERY_STATUS))
        for document, status in EVERY_STATUS:
            found = await cluster.api.get(document["kind"], document["metadata"]["name"])
            assert untimed(found["status"]) == status_to_mapping(status)
        await quiet(writing)
        assert writing.count(WriteOutcome.WRITTEN) == len(EVERY_STATUS)
        assert writing.count(WriteOutcome.FAILED) == 0


async def test_every_status_is_accepted(cluster: Cluster) -> None:
    """The schemas of the standard channel take whatever we may say."""
    await _every_status(cluster, "v1")


@pytest.mark.parametrize("version", ["v1", "v1alpha2"])
async def test_every_status_is_accepted_by_the_experimental_channel(
    experimental_cluster: Cluster, version: str
) -> None:
    """Routes in their old version, too."""
    await _every_status(experimental_cluster, version)


async def test_a_patch_needs_the_version_that_was_seen(cluster: Cluster) -> None:
    """The precondition of every write: a merge patch of the status fails when anybody was faster, and has no say in
    anything but the status.
    """
    (found,) = await cluster.api.apply(a_gateway("gw"))
    body = {
        "metadata": {"resourceVersion": found["metadata"]["resourceVersion"], "labels": {"x": "y"}},
        "spec": {"gatewayClassName": "other"},
        "status": {"addresses": []},
    }
    changed = await cluster.api.patch("Gateway", "gw", body, subresource="status")
    assert changed["spec"] == found["spec"]
    assert "labels" not in changed["metadata"]
    with pytest.raises(ApiError) as refused:
        await cluster.api.patch("Gateway", "gw", body, subresource="status")
    assert refused.value.status == 409


async def test_entries_of_others_are_kept_byte_for_byte(cluster: Cluster) -> None:
    """At their index, through our first entry, its changes, and its withdrawal."""
    foreign = [
        raw_parent("gw", {**raw_condition("Accepted"), "message": 'ü "\\ \n'}, controller=FOREIGN),
        raw_parent("gw", raw_condition("x.example/T", reason="R"), controller=FOREIGN, sectionName="l0", port=8000),
    ]
    (found,) = await cluster.api.apply(a_route("route"))
    key = key_of(found)
    await cluster.api.patch_status("TCPRoute", "route", {"parents": foreign})
    stored = (await cluster.api.get("TCPRoute", "route"))["status"]["parents"]
    async with leading_in(cluster) as writing:
        steps: tuple[Status | None, ...] = (
            route_status("gw"), route_status("gw", "more"), route_status("more", generation=1), None,
        )  # fmt: skip
        for count, status in enumerate(steps, 1):
            writing.writer.publish({key: status})
            await settled(writing, WriteOutcome.WRITTEN, count)
            parents = (await cluster.api.get("TCPRoute", "route"))["status"]["parents"]
            assert parents[:2] == stored
            assert [entry["parentRef"]["name"] for entry in parents[2:]] == (
                [one.parent_ref.name for one in status.parents] if status is not None else []
            )


async def test_the_last_entry_leaves_an_empty_list(cluster: Cluster) -> None:
    """Stale entries go with their parentRefs, the last one too."""
    (found,) = await cluster.api.apply(a_route("route"))
    async with leading_in(cluster) as writing:
        writing.writer.publish({key_of(found): route_status("gw", "other")})
        await settled(writing, WriteOutcome.WRITTEN, 1)
        writing.writer.publish({key_of(found): route_status("other")})
        await settled(writing, WriteOutcome.WRITTEN, 2)
        parents = (await cluster.api.get("TCPRoute", "route"))["status"]["parents"]
        assert [entry["parentRef"]["name"] for entry in parents] == ["other"]
        writing.writer.publish({key_of(found): None})
        await settled(writing, WriteOutcome.WRITTEN, 3)
        assert (await cluster.api.get("TCPRoute", "route"))["status"] == {"parents": []}
        await quiet(writing)


async def test_entries_left_over_from_an_earlier_run_go(cluster: Cluster) -> None:
    """The route lost its parent while nobody looked; entries of others stay, and who is still ours is kept."""
    await cluster.api.apply(a_route("left"), a_route("kept"))
    theirs = raw_parent("theirs", controller=FOREIGN)
    for name in ("left", "kept"):
        await cluster.api.patch_status("TCPRoute", name, {"parents": [raw_parent("gw"), theirs]})
    kept = await cluster.api.get("TCPRoute", "kept")
    async with leading_in(cluster) as writing:
        writing.writer.publish({key_of(kept): route_status("gw")})
        writing.writer.complete()
        left = await cluster.api.wait(
            "TCPRoute", "left", lambda found: len(found["status"]["parents"]) == 1, what="our entry is gone"
        )
    assert left["status"]["parents"] == [theirs]
    assert await cluster.api.get("TCPRoute", "kept") == kept


async def test_nothing_is_written_when_nothing_changed(cluster: Cluster) -> None:
    """Neither by the writer that wrote it, nor by the next one: no request is made, the version stays."""
    (gateway, route) = await cluster.api.apply(a_gateway("gw"), a_route("route"))
    statuses = {key_of(gateway): gateway_status(listener_status("l0")), key_of(route): route_status("gw")}
    async with leading_in(cluster) as writing:
        writing.writer.publish(statuses)
        await settled(writing, WriteOutcome.WRITTEN, 2)
        writing.writer.publish(statuses)
        await settled(writing, WriteOutcome.UNCHANGED, 2)
        await quiet(writing)
        assert len(writing.client.requests) == 2
    before = [await cluster.api.get("Gateway", "gw"), await cluster.api.get("TCPRoute", "route")]
    async with leading_in(cluster) as later:
        later.writer.publish(statuses)
        later.writer.complete()
        await settled(later, WriteOutcome.UNCHANGED, 2)
        await quiet(later)
        assert later.client.requests == []
    assert [await cluster.api.get("Gateway", "gw"), await cluster.api.get("TCPRoute", "route")] == before


async def test_a_stale_view_meets_a_conflict_and_reads_again(cluster: Cluster) -> None:
    """Without any watch: what somebody else wrote in between is kept."""
    (found,) = await cluster.api.apply(a_route("route"))
    async with writing_to(cluster) as writing, writing.leading():
        writing.seen(found)
        await cluster.api.patch_status("TCPRoute", "route", {"parents": [raw_parent("theirs", controller=FOREIGN)]})
        writing.writer.publish({key_of(found): route_status("gw")})
        await settled(writing, WriteOutcome.WRITTEN, 1)
        assert [method for method, _ in writing.client.requests] == ["PATCH", "GET", "PATCH"]
    parents = (await cluster.api.get("TCPRoute", "route"))["status"]["parents"]
    assert [entry["controllerName"] for entry in parents] == [FOREIGN, CONTROLLER_NAME]


async def test_two_writers_of_one_list_lose_nothing(cluster: Cluster) -> None:
    """Another controller changes its entry as fast as it can while we change ours: both end as they were meant."""
    (found,) = await cluster.api.apply(a_route("route"))
    rounds = 40

    async def foreign_writer() -> None:
        for number in range(rounds):
            await _put_foreign(cluster, raw_parent("theirs", raw_condition(generation=number), controller=FOREIGN))

    async with leading_in(cluster) as writing, asyncio.TaskGroup() as tasks:
        other = tasks.create_task(foreign_writer())
        number = 0
        while not other.done():
            number += 1
            writing.writer.publish({key_of(found): route_status("gw", *(f"gw-{n}" for n in range(number % 5)))})
            await asyncio.sleep(0.02)
        writing.writer.publish({key_of(found): route_status("gw", "last")})

        def complete(route: Manifest) -> bool:
            entries = [(entry["controllerName"], entry["parentRef"]["name"]) for entry in route["status"]["parents"]]
            return sorted(entries) == [(FOREIGN, "theirs"), (CONTROLLER_NAME, "gw"), (CONTROLLER_NAME, "last")]

        route = await cluster.api.wait("TCPRoute", "route", complete, what="both lists are there")
        assert _generation_of_foreign(route) == rounds - 1
        assert writing.count(WriteOutcome.FAILED) == 0


async def _put_foreign(cluster: Cluster, entry: Manifest) -> None:
    """Put an entry in the place of its former version, as a controller does: with retries on conflict."""
    while True:
        route = await cluster.api.get("TCPRoute", "route")
        parents = [one for one in route.get("status", {}).get("parents", ()) if one["controllerName"] != FOREIGN]
        body = {
            "metadata": {"resourceVersion": route["metadata"]["resourceVersion"]},
            "status": {"parents": [entry, *parents]},
        }
        try:
            await cluster.api.patch("TCPRoute", "route", body, subresource="status")
        except ApiError as error:
            if error.status != 409:
                raise
        else:
            return


def _generation_of_foreign(route: Manifest) -> int:
    (entry,) = [one for one in route["status"]["parents"] if one["controllerName"] == FOREIGN]
    generation: int = entry["conditions"][0]["observedGeneration"]
    return generation


@pytest.mark.parametrize("change", ["removed", "altered"])
async def test_what_others_take_is_put_back(cluster: Cluster, change: str) -> None:
    """When another controller removes or alters our entry, the watch shows it."""
    (found,) = await cluster.api.apply(a_route("route"))
    theirs = raw_parent("theirs", controller=FOREIGN)
    async with leading_in(cluster) as writing:
        writing.writer.publish({key_of(found): route_status("gw")})
        await settled(writing, WriteOutcome.WRITTEN, 1)
        altered = [raw_parent("gw", raw_condition(status="False"))] if change == "altered" else []
        await cluster.api.patch_status("TCPRoute", "route", {"parents": [*altered, theirs]})
        await settled(writing, WriteOutcome.WRITTEN, 2)
        await quiet(writing)
    parents = (await cluster.api.get("TCPRoute", "route"))["status"]["parents"]
    assert theirs in parents
    assert untimed([one for one in parents if one != theirs]) == status_to_mapping(route_status("gw"))["parents"]


async def test_newer_knowledge_is_not_overwritten(cluster: Cluster) -> None:
    """Another replica wrote about a generation that we have not decided about yet."""
    (found,) = await cluster.api.apply(a_route("route"))
    async with leading_in(cluster) as writing:
        writing.writer.publish({key_of(found): route_status("gw")})
        await settled(writing, WriteOutcome.WRITTEN, 1)
        await cluster.api.apply(a_route("route", parent("gw"), parent("new")))
        entries = [raw_parent(name, raw_condition(generation=2)) for name in ("gw", "new")]
        await cluster.api.patch_status("TCPRoute", "route", {"parents": entries})
        writing.writer.publish({key_of(found): route_status("gw", conditions=(condition(reason="Stale"),))})
        await settled(writing, WriteOutcome.UNCHANGED, 1)
        await quiet(writing)
        assert (await cluster.api.get("TCPRoute", "route"))["status"]["parents"] == entries
        writing.writer.publish({key_of(found): route_status("gw", "new", generation=2)})
        await settled(writing, WriteOutcome.WRITTEN, 2)


async def test_an_invalid_status_is_not_sent_again(cluster: Cluster) -> None:
    """The server refuses it, says why, and is left in peace; the next status is written."""
    (found,) = await cluster.api.apply(a_gateway("gw"))
    async with leading_in(cluster) as writing:
        writing.writer.publish({key_of(found): gateway_status(addresses=("not an address",))})
        await settled(writing, WriteOutcome.FAILED, 1)
        await quiet(writing)
        writing.writer.publish({key_of(found): gateway_status()})
        await settled(writing, WriteOutcome.WRITTEN, 1)


async def test_a_recreated_object_gets_its_status(cluster: Cluster) -> None:
    """Deleted and made again under its name, with the same decision about it."""
    (found,) = await cluster.api.apply(a_gateway("gw"))
    async with leading_in(cluster) as writing:
        writing.writer.publish({key_of(found): gateway_status()})
        await settled(writing, WriteOutcome.WRITTEN, 1)
        await cluster.api.delete("Gateway", "gw")
        (again,) = await cluster.api.apply(a_gateway("gw"))
        await settled(writing, WriteOutcome.WRITTEN, 2)
    assert (await cluster.api.get("Gateway", "gw"))["status"]["attachedListenerSets"] == 0
    assert again["metadata"]["uid"] != found["metadata"]["uid"]


async def test_a_deleted_object_is_forgotten(cluster: Cluster) -> None:
    """Nobody writes to what is not there, also when its deletion is not known yet."""
    (found,) = await cluster.api.apply(a_gateway("gw"))
    await cluster.api.delete("Gateway", "gw")
    async with writing_to(cluster) as writing, writing.leading():
        writing.seen(found)
        writing.writer.publish({key_of(found): gateway_status()})
        await settled(writing, WriteOutcome.UNCHANGED, 1)
        await quiet(writing)
        assert [method for method, _ in writing.client.requests] == ["PATCH"]


@pytest.mark.timeout(300)
async def test_a_thousand_routes_are_at_most_a_hundred_gateway_writes(cluster: Cluster) -> None:
    """Attached all at once, each decided as it arrives: one write per route, few for the Gateway, and the right count
    soon after the last.
    """
    count = 1000
    (gateway,) = await cluster.api.apply(a_gateway("gw"))
    async with leading_in(cluster) as writing:
        attached: set[ObjectKey] = set()

        def decide(key: ObjectKey) -> None:
            """What the controller says about a route that it sees for the first time."""
            if key.kind == "TCPRoute" and key not in attached:
                attached.add(key)
                counted = gateway_status(listener_status("l0", attached=len(attached)))
                writing.writer.publish({key: route_status("gw"), key_of(gateway): counted})

        writing.decide = decide
        names = iter(range(count))

        async def create() -> None:
            for number in names:
                await cluster.api.create(a_route(f"route-{number}"))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(create())
        await cluster.api.wait(
            "Gateway",
            "gw",
            lambda found: found["status"]["listeners"][0]["attachedRoutes"] == count,
            what="all routes are counted",
            within=60,
        )
        await settled(writing, WriteOutcome.WRITTEN, count, kind="TCPRoute")
        await quiet(writing, during=1.0)
        assert writing.count(WriteOutcome.WRITTEN, "Gateway") <= 100
        assert writing.count(WriteOutcome.WRITTEN, "TCPRoute") == count
        assert writing.count(WriteOutcome.CONFLICT) == 0
        assert len(writing.client.requests) == writing.count(WriteOutcome.WRITTEN)


@pytest.mark.timeout(300)
async def test_a_server_that_was_away_is_not_stormed(own_cluster: Cluster) -> None:
    """What changed meanwhile is written once it is back, once per object; the rest is left alone."""
    count = 60
    gateway, *routes = await own_cluster.api.apply(a_gateway("gw"), *(a_route(f"r{number}") for number in range(count)))
    async with leading_in(own_cluster) as writing:
        writing.writer.publish(
            {key_of(gateway): gateway_status(), **{key_of(one): route_status("gw") for one in routes}}
        )
        await settled(writing, WriteOutcome.WRITTEN, 1 + count)
        own_cluster.server.process.kill()
        for number in range(50):
            writing.writer.publish({key_of(gateway): gateway_status(listener_status("l0", attached=number))})
            writing.writer.publish({key_of(routes[number]): route_status("gw", "other")})
            await asyncio.sleep(0.05)
        away = len(writing.client.requests)
        assert away - (1 + count) <= 20
        await own_cluster.server.restart()
        await settled(writing, WriteOutcome.WRITTEN, 1 + count + 1 + 50)
        await quiet(writing, during=2.0)
        assert writing.count(WriteOutcome.WRITTEN) == 1 + count + 1 + 50
        found = await own_cluster.api.get("Gateway", "gw")
        assert found["status"]["listeners"][0]["attachedRoutes"] == 49
