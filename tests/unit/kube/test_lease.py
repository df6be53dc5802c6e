"""The rules of the election, with a server that fails when it is told to. A real one is in tests/cluster_api."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from support.scripted_api import ScriptedApi, refusal, serving, waits
from support.waiting import eventually, steadily
from tidegate.kube.config import connected
from tidegate.kube.lease import Election, Following, Leading, Member, Standing, Terms

TERMS = Terms(lease=2, renew_within=1.0, retry=0.1)
"""Quick, and still with a leader that steps down well before others may take over."""


class LeaseServer:
    """Stores one Lease. ``failing`` makes it refuse everything with this status; ``mute`` makes it say nothing."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.failing: int | None = None
        self.mute = False
        self.writes = 0
        self._version = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.mute:
            return await waits(request)
        if self.failing is not None:
            return _refused(self.failing, "Failing")
        if request.method == "GET":
            return _refused(404, "NotFound") if self.lease is None else web.json_response(self.lease)
        return self._write(json.loads(await request.text()), creates=request.method == "POST")

    def _write(self, body: dict[str, Any], *, creates: bool) -> web.Response:
        if creates and self.lease is not None:
            return _refused(409, "AlreadyExists")
        if not creates and self.lease is None:
            return _refused(404, "NotFound")
        if self.lease is not None and body["metadata"].get("resourceVersion") != self._stored_version:
            return _refused(409, "Conflict")
        self._version += 1
        self.writes += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self.lease = body
        return web.json_response(body)

    @property
    def holder(self) -> str | None:
        """Who holds the lease by what is stored."""
        return None if self.lease is None else self.lease["spec"].get("holderIdentity")

    @property
    def _stored_version(self) -> Any:
        assert self.lease is not None
        return self.lease["metadata"]["resourceVersion"]


def _refused(status: int, reason: str) -> web.Response:
    return web.json_response(refusal(status, reason), status=status)


class Replica:
    """Takes part in an election until it is stopped, or killed, which releases nothing."""

    def __init__(self, api: ScriptedApi, name: str, terms: Terms = TERMS) -> None:
        self.member = Member(name, f"{name}.example:1")
        self.standings: list[Standing] = []
        self.election: Election | None = None
        self._api = api
        self._terms = terms
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        async with connected(kubeconfig=self._api.kubeconfig) as client:
            self.election = Election(client, namespace="ns", name="leader", member=self.member, terms=self._terms)
            await self.election.run(self.standings.append)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        self._task = tasks.create_task(self.run())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def becomes(self, standing: Standing, *, within: float = 10.0) -> None:
        """Returns once this is its newest standing."""

        async def newest() -> Standing | None:
            return self.standings[-1] if self.standings else None

        await eventually(newest, lambda now: now == standing, what=f"{self.member} is {standing}", within=within)


@contextlib.asynccontextmanager
async def electing(*names: str) -> AsyncIterator[tuple[LeaseServer, dict[str, Replica], asyncio.TaskGroup]]:
    """A server and replicas, none of them started."""
    server = LeaseServer()
    async with serving(server.handle) as api, asyncio.TaskGroup() as tasks:
        replicas = {name: Replica(api, name) for name in names}
        try:
            yield server, replicas, tasks
        finally:
            for replica in replicas.values():
                if replica._task is not None:
                    await replica.stop()


async def test_first_one_leads_and_the_others_know_where_it_is() -> None:
    """One of several leads; a follower learns its identity and its address."""
    async with electing("a", "b") as (server, replicas, tasks):
        replicas["a"].start(tasks)
        await replicas["a"].becomes(Leading())
        replicas["b"].start(tasks)
        await replicas["b"].becomes(Following(Member("a", "a.example:1")))
        assert server.holder == "a"
        assert replicas["a"].election is not None
        assert replicas["a"].election.leads
        assert replicas["b"].election is not None
        assert not replicas["b"].election.leads


async def test_leader_renews_and_stays() -> None:
    """Well beyond the duration of a lease nothing changes, and only the leader writes."""
    async with electing("a", "b") as (server, replicas, tasks):
        replicas["a"].start(tasks)
        await replicas["a"].becomes(Leading())
        replicas["b"].start(tasks)
        writes = server.writes

        async def writes_now() -> int:
            return server.writes

        await eventually(writes_now, lambda now: now > writes + 30, what="it was renewed for 3 s", within=10)
        assert replicas["a"].standings == [Leading()]
        assert replicas["b"].standings == [Following(replicas["a"].member)]


async def test_clean_stop_hands_over_at_once() -> None:
    """A leader that stops releases the lease: the next one need not wait until it expires."""
    async with electing("a", "b") as (_, replicas, tasks):
        replicas["a"].start(tasks)
        await replicas["a"].becomes(Leading())
        replicas["b"].start(tasks)
        await replicas["b"].becomes(Following(replicas["a"].member))
        await replicas["a"].stop()
        await replicas["b"].becomes(Leading(), within=TERMS.lease / 2)


async def test_stopping_follower_leaves_the_lease_alone() -> None:
    """Only the holder releases."""
    async with electing("a", "b") as (server, replicas, tasks):
        replicas["a"].start(tasks)
        await replicas["a"].becomes(Leading())
        replicas["b"].start(tasks)
        await replicas["b"].becomes(Following(replicas["a"].member))
        await replicas["b"].stop()
        assert server.holder == "a"


async def test_lease_of_a_dead_leader_expires_before_our_eyes() -> None:
    """What the lease says of its times does not matter: it is taken when nobody renewed it while we watched."""
    for times in ("2001-01-01T00:00:00.000000Z", "2101-01-01T00:00:00.000000Z"):
        async with electing("b") as (server, replicas, tasks):
            spec = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "renewTime": times, "acquireTime": times}
            server.lease = {"metadata": {"name": "leader", "resourceVersion": "0"}, "spec": spec}
            started = asyncio.get_running_loop().time()
            replicas["b"].start(tasks)
            await replicas["b"].becomes(Leading())
            assert asyncio.get_running_loop().time() - started >= 1.0
            assert replicas["b"].standings == [Following(Member("dead", "")), Leading()]


async def test_leader_that_cannot_renew_steps_down_and_comes_back() -> None:
    """The end of a lease is not the end of the replica: it follows, and leads again when it can."""
    async with electing("a") as (server, replicas, tasks):
        replicas["a"].start(tasks)
        await replicas["a"].becomes(Leading())
        server.failing = 500
        await replicas["a"].becomes(Following())
        server.failing = None
        await replicas["a"].becomes(Leading())


async def test_leader_without_an_answer_steps_down_before_others_may_lead() -> None:
    """A server that says nothing at all is noticed in time: never do two lead."""
    async with electing("a", "b") as (server, replicas, tasks):
        replicas["a"].start(tasks)
        await replicas["a"].becomes(Leading())
        replicas["b"].start(tasks)
        await replicas["b"].becomes(Following(replicas["a"].member))
        server.mute = True
        started = asyncio.get_running_loop().time()
        await replicas["a"].becomes(Following())
        assert asyncio.get_running_loop().time() - started < TERMS.lease
        assert not isinstance(replicas["b"].standings[-1], Leading)


async def test_short_outage_changes_nothing() -> None:
    """A leader keeps leading through errors as long as its lease allows."""
    async with electing("a") as (server, replicas, tasks):
        replicas["a"].start(tasks)
        await replicas["a"].becomes(Leading())
        server.failing = 503

        async def standings() -> list[Standing]:
            return replicas["a"].standings

        await steadily(standings, lambda now: now == [Leading()], what="it leads", during=TERMS.renew_within / 2)
        server.failing = None
        await steadily(standings, lambda now: now == [Leading()], what="it leads", during=TERMS.renew_within)


async def test_leader_whose_lease_was_taken_follows_the_new_one() -> None:
    """A conflict tells a leader that somebody else wrote, and reading tells who."""
    async with electing("a") as (server, replicas, tasks):
        replicas["a"].start(tasks)
        await replicas["a"].becomes(Leading())
        assert server.lease is not None
        spec = server.lease["spec"] | {"holderIdentity": "thief", "leaseDurationSeconds": 100}
        server.lease = {**server.lease, "spec": spec}
        server.lease["metadata"] = server.lease["metadata"] | {"resourceVersion": "900", "annotations": {}}
        await replicas["a"].becomes(Following(Member("thief", "")))


async def test_deleted_lease_is_made_again() -> None:
    """Somebody may delete the object: the leader makes it anew and goes on."""
    async with electing("a") as (server, replicas, tasks):
        replicas["a"].start(tasks)
        await replicas["a"].becomes(Leading())
        server.lease = None

        async def holder() -> str | None:
            return server.holder

        await eventually(holder, lambda now: now == "a", what="the lease is there again")
        assert replicas["a"].standings == [Leading()]


async def test_many_start_at_once_and_one_leads() -> None:
    """Of those who try to make the lease at the same time one succeeds, and the others follow it."""
    names = [f"r{number}" for number in range(8)]
    async with electing(*names) as (server, replicas, tasks):
        for replica in replicas.values():
            replica.start(tasks)

        async def settled() -> bool:
            return all(replica.standings for replica in replicas.values())

        await eventually(settled, what="everybody knows the leader")
        leaders = [name for name, replica in replicas.items() if replica.standings[-1] == Leading()]
        assert leaders == [server.holder]
        leader = replicas[leaders[0]].member
        others = [replica for name, replica in replicas.items() if name != leaders[0]]
        assert all(replica.standings == [Following(leader)] for replica in others)
