"""The fleet keeps going through all that happens to it: on a real API server, with a controller's rights."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import pytest

from support.cluster import Cluster
from support.cluster_fleets import FleetBench, changed, fleet_in, identity_in
from support.running import running
from support.waiting import eventually
from tidegate.fleet.trust import Lifetimes
from tidegate.kube.rules import AUTHORITY_SECRET
from tidegate.names import proxy_identity
from tidegate.plan.infrastructure import KeptInfrastructure

MANAGED_BY = "app.kubernetes.io/managed-by"


@pytest.fixture
async def fleet(cluster: Cluster) -> AsyncIterator[FleetBench]:
    async with fleet_in(cluster) as one:
        yield one


async def test_nothing_is_left_of_a_gateway(fleet: FleetBench) -> None:
    """All objects go with their Gateway; those of others stay."""
    public, internal = await fleet.gateway(), await fleet.gateway("internal")
    fleet.want(public, internal)
    async with fleet.leading():
        await fleet.settled()
        before = await fleet.settled("internal-tidegate")
        fleet.want(internal)
        await fleet.settled(count=0)
        await fleet.quiet()
        assert not changed(before, await fleet.objects("internal-tidegate"))


async def test_gateway_of_another_class_is_renamed(fleet: FleetBench) -> None:
    """The objects have the name of Gateway and class: under the old name nothing is left."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        await fleet.settled()
        fleet.want(await fleet.gateway(class_name="internal"))
        await fleet.settled("public-internal")
        await fleet.settled(count=0)


async def test_leftovers_of_the_time_without_leader_are_removed(fleet: FleetBench) -> None:
    """A Gateway that went while nobody led is noticed by the next leader."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        await fleet.settled()
    fleet.want()
    async with fleet.leading():
        await fleet.settled(count=0)


async def test_nothing_is_removed_before_it_is_known_what_is_wanted(fleet: FleetBench, cluster: Cluster) -> None:
    """A leader that has not decided yet takes nothing for left over."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        await fleet.settled()
    async with fleet_in(cluster) as undecided:
        async with running(undecided.authority.follow(), undecided.fleet.run()):
            await undecided.quiet()
        assert len(await fleet.objects()) == 5


async def test_new_leader_changes_nothing(fleet: FleetBench) -> None:
    """Where all is as it should be, a new leader asks for nothing."""
    fleet.want(await fleet.gateway(parameters={"replicas": 2}, addresses=("192.0.2.7",)))
    async with fleet.leading():
        before = await fleet.settled(count=6)
    fleet.client.requests.clear()
    async with fleet.leading():
        await fleet.looked()
    assert not changed(before, await fleet.objects())
    assert {one.partition("/")[2] for _, one in fleet.client.requests} == {"last-tidegate"}


async def test_missing_right_is_told(cluster: Cluster) -> None:
    """Without a right to make Services the Gateway is told; with it, all goes on by itself."""
    async with fleet_in(cluster, without="services") as fleet:
        fleet.want(await fleet.gateway())
        async with fleet.leading():
            assert "forbidden" in (await fleet.told()).lower()
            await fleet.settled(count=4)
            async with fleet_in(cluster):
                await fleet.untroubled()
            await fleet.settled()


async def test_outage_of_the_api_server_is_survived(own_cluster: Cluster) -> None:
    """What is wanted during an outage is there after it, and nobody is told of trouble that is no Gateway's."""
    async with fleet_in(own_cluster) as fleet:
        first = await fleet.gateway()
        second = await fleet.gateway("internal")
        fleet.want(first)
        async with fleet.leading():
            await fleet.settled()
            own_cluster.server.process.kill()
            fleet.want(second)
            await own_cluster.server.restart()
            await eventually(
                lambda: fleet.objects("internal-tidegate"), lambda found: len(found) == 5, what="all", within=30
            )
            await eventually(fleet.objects, lambda found: not found, what="the other is gone", within=30)
            assert not fleet.troubles


SECOND = dt.timedelta(seconds=1)


async def test_certificates_are_renewed_and_no_pod_is_replaced(cluster: Cluster) -> None:
    """Before a certificate ends there is a new one, for kept data planes too, and nothing else changes."""
    lifetimes = Lifetimes(authority=3600 * SECOND, proxy=3 * SECOND)
    async with fleet_in(cluster, lifetimes=lifetimes) as fleet:
        public, internal = await fleet.gateway(), await fleet.gateway("internal")
        fleet.want(public, internal)
        async with fleet.leading():
            before = await fleet.settled()
            kept = await fleet.settled("internal-tidegate")
            fleet.fleet.set({internal.gateway: KeptInfrastructure(gateway=internal.gateway, name=internal.name)})

            async def renewed() -> set[str]:
                return changed(before, await fleet.objects()) | {
                    f"kept {kind}" for kind in changed(kept, await fleet.objects("internal-tidegate"))
                }

            await eventually(renewed, lambda seen: len(seen) >= 2, what="both are renewed", within=10)
            assert await renewed() == {"Secret", "kept Secret"}
            assert identity_in((await fleet.objects("internal-tidegate"))["Secret"]) == proxy_identity(internal.scope)


async def test_new_authority_reaches_every_proxy(fleet: FleetBench) -> None:
    """Whom to trust is in each Secret as soon as it is known."""
    fleet.want(await fleet.gateway(), await fleet.gateway("internal"))
    async with fleet.leading():
        before = await fleet.settled()
        await fleet.settled("internal-tidegate")
        await fleet.api.delete("Secret", AUTHORITY_SECRET)
        for name in ("public-tidegate", "internal-tidegate"):
            await fleet.until(
                "Secret", lambda one: one["data"]["ca.crt"] != before["Secret"]["data"]["ca.crt"], what="new", name=name
            )
        await fleet.quiet()
        assert changed(before, await fleet.objects()) == {"Secret"}


async def test_new_leader_keeps_certificates(fleet: FleetBench) -> None:
    """A change of leader is no reason for a new certificate."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        before = await fleet.settled()
    async with fleet.leading():
        await fleet.looked()
        assert await fleet.objects() == before
