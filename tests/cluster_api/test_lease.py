"""The election on a real API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from support.cluster import Cluster
from support.waiting import eventually
from tidegate.kube.config import connected
from tidegate.kube.lease import Election, Following, Leading, Member, Standing, Terms

TERMS = Terms(lease=3, renew_within=2.0, retry=0.2)
A, B = Member("a", "10.0.0.1:1"), Member("b", "10.0.0.2:1")


class Replica:
    def __init__(self, cluster: Cluster, member: Member) -> None:
        self.standing: Standing | None = None
        self._cluster = cluster
        self._member = member
        self._task: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        self._task = tasks.create_task(self._run())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def becomes(self, standing: Standing, *, within: float = 15) -> None:
        async def now() -> Standing | None:
            return self.standing

        await eventually(now, lambda found: found == standing, what=f"it is {standing}", within=within)

    async def _run(self) -> None:
        async with connected(kubeconfig=self._cluster.kubeconfig) as client:
            namespace = self._cluster.namespace
            election = Election(client, namespace=namespace, name="leader", member=self._member, terms=TERMS)
            await election.run(self._stand)

    def _stand(self, standing: Standing) -> None:
        self.standing = standing


@contextlib.asynccontextmanager
async def two(cluster: Cluster) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two replicas, of which the first one leads."""
    first, second = Replica(cluster, A), Replica(cluster, B)
    async with asyncio.TaskGroup() as tasks:
        first.start(tasks)
        await first.becomes(Leading())
        second.start(tasks)
        await second.becomes(Following(A))
        yield first, second
        await first.stop()
        await second.stop()


async def test_lease_names_its_holder_and_its_address(cluster: Cluster) -> None:
    """The Lease is valid to the API server, and says who leads, where, and since when."""
    async with two(cluster):
        lease = await cluster.api.get("Lease", "leader")
    assert lease["spec"]["holderIdentity"] == "a"
    assert lease["spec"]["leaseDurationSeconds"] == 3
    assert lease["spec"]["leaseTransitions"] == 0
    assert lease["metadata"]["annotations"] == {"tidegate.dev/address": "10.0.0.1:1"}


async def test_release_hands_over(cluster: Cluster) -> None:
    """A leader that stops leaves a Lease that the next one takes at once, and that one's release is valid too."""
    async with two(cluster) as (first, second):
        await first.stop()
        await second.becomes(Leading(), within=TERMS.lease)
        assert (await cluster.api.get("Lease", "leader"))["spec"]["leaseTransitions"] == 1
    lease = await cluster.api.get("Lease", "leader")
    assert lease["spec"].get("holderIdentity") is None
    assert "annotations" not in lease["metadata"]


async def test_lease_that_is_deleted_is_made_anew(cluster: Cluster) -> None:
    """The leader goes on leading."""
    async with two(cluster) as (first, second):
        before = await cluster.api.get("Lease", "leader")
        await cluster.api.delete("Lease", "leader")
        await cluster.api.wait(
            "Lease",
            "leader",
            lambda now: now["metadata"]["uid"] != before["metadata"]["uid"],
            what="there is a new one",
        )
        standings = {first.standing, second.standing}
        assert Leading() in standings
        assert len(standings) == 2


async def test_outage_ends_the_lead_and_its_end_brings_one_leader(own_cluster: Cluster) -> None:
    """Without a server nobody leads for longer than the lease allows; afterwards exactly one does."""
    async with two(own_cluster) as (first, second):
        own_cluster.server.process.kill()
        await first.becomes(Following())
        await own_cluster.server.restart()

        async def leaders() -> int:
            return [first.standing, second.standing].count(Leading())

        await eventually(leaders, lambda count: count == 1, what="one leads again", within=20)

        async def known() -> bool:
            follower, leader = (second, A) if first.standing == Leading() else (first, B)
            return follower.standing == Following(leader)

        await eventually(known, what="the other one knows", within=20)
