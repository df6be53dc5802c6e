"""The loop between a source and a data plane, with both in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from support.manifests import backend, gateway, listener, parent, service, slice_of, tcproute
from support.resources import gateway_key, route_key, socket_key, typed
from support.waiting import eventually
from tidegate.controller.reconciler import Reconciler
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision, DecisionChange
from tidegate.core.tables import APIS, CLUSTER
from tidegate.dataplanes.recording import RecordingDataPlane
from tidegate.model.apis import InstalledApis
from tidegate.model.kinds import Resource, key_of
from tidegate.model.status import GatewayStatus, Status
from tidegate.names import ObjectKey
from tidegate.plan.outcome import AddressReport, Failed, FailureReason, Live, SocketReport
from tidegate.plan.types import Socket
from tidegate.sources.base import Batch, Change
from tidegate.telemetry.metrics import Metrics


class MemorySource:
    """A source that delivers what a test puts into it."""

    def __init__(self) -> None:
        self._batches: asyncio.Queue[Batch] = asyncio.Queue()

    def put(self, *resources: Resource, gone: tuple[ObjectKey, ...] = ()) -> None:
        """Deliver resources, and the end of others, as one batch."""
        changes = [Change(key=key_of(resource), resource=resource) for resource in resources]
        changes += [Change(key=key, resource=None) for key in gone]
        self.deliver(Batch(changes=tuple(changes)))

    def deliver(self, batch: Batch) -> None:
        """Deliver a batch as it is."""
        self._batches.put_nowait(batch)

    async def batches(self) -> AsyncIterator[Batch]:
        """The batches as they were put."""
        while True:
            yield await self._batches.get()


class Bench:
    """A reconciler at work, and all statuses that it published in order."""

    def __init__(self, *, automatic: bool = True) -> None:
        self.source = MemorySource()
        self.plane = RecordingDataPlane(automatic=automatic)
        self.published: list[Mapping[ObjectKey, Status | None]] = []
        self.metrics = Metrics(version="0", data_plane="recording")
        self.reconciler = Reconciler(
            decision=Decision(CoreConfig(features=self.plane.features)),
            source=self.source,
            plane=self.plane,
            metrics=self.metrics,
            published=self.published.append,
        )
        self.plane.report(AddressReport(scope="standalone", addresses=("192.0.2.1",)))

    def status(self, key: ObjectKey) -> Status | None:
        """The status in force."""
        return self.reconciler.board.statuses.get(key)

    def of(self, key: ObjectKey) -> list[Status | None]:
        """Every status of an object that was published."""
        return [one[key] for one in self.published if key in one]

    def live(self) -> None:
        """Report every planned socket Live."""
        for key, value in self.plane.plan.items():
            if isinstance(value, Socket):
                self.plane.report(SocketReport(socket=value.key, outcome=Live(revision=value.revision)))
            assert key is not None


@contextlib.asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    """The reconciler runs while the block lasts."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(bench.reconciler.run())
        try:
            yield bench
        finally:
            task.cancel()


def example(weight: int = 1) -> list[Resource]:
    """One listener, one route, one backend."""
    documents = [
        gateway("edge", [listener("db", 5432)]),
        tcproute("db", [parent("edge")], [backend("db", weight=weight)]),
        service("db"),
        *slice_of("db", [("127.0.0.1", 7000)]),
    ]
    return [typed(document, order) for order, document in enumerate(documents)]


async def until(bench: Bench, key: ObjectKey) -> Status:
    """The first status of an object."""

    async def look() -> Status | None:
        return bench.status(key)

    found = await eventually(look, what=f"a status of {key}")
    assert found is not None
    return found


def programmed(status: Status) -> tuple[str, str]:
    """Status and reason of a Gateway's Programmed condition."""
    assert isinstance(status, GatewayStatus)
    found = next(one for one in status.conditions if one.type == "Programmed")
    return found.status, found.reason


async def test_first_batch_reaches_the_plane_whole_and_is_published_once() -> None:
    """One change is one apply, and one status per object, written after its outcome."""
    async with running(Bench()) as bench:
        bench.source.put(*example())
        status = await until(bench, gateway_key("edge"))
        await until(bench, route_key("db"))
        assert programmed(status) == ("True", "Programmed")
        assert len(bench.plane.changes) == 1
        assert len(bench.of(gateway_key("edge"))) == 1
        assert len(bench.of(route_key("db"))) == 1


async def test_nothing_is_applied_before_the_first_batch() -> None:
    """An empty plan at start would take away what an adopted data plane serves."""
    async with running(Bench()) as bench:
        bench.plane.report(AddressReport(scope="standalone", addresses=("192.0.2.2",)))
        await asyncio.sleep(0)
        assert bench.plane.changes == []
        bench.source.put()

        async def applied() -> bool:
            return bool(bench.plane.changes)

        await eventually(applied, what="the first, empty plan")


async def test_an_outcome_that_does_not_come_is_published_as_pending() -> None:
    """A status waits a second for its outcome, then says that it is pending; the outcome then follows."""
    async with running(Bench(automatic=False)) as bench:
        bench.source.put(*example())
        assert programmed(await until(bench, gateway_key("edge"))) == ("False", "Pending")
        bench.live()

        async def live() -> bool:
            status = bench.status(gateway_key("edge"))
            return status is not None and programmed(status) == ("True", "Programmed")

        await eventually(live, what="Programmed")


async def test_outcomes_change_statuses_without_any_change_of_the_input() -> None:
    """A port that is lost while serving makes the listener not programmed, and comes back by itself."""
    async with running(Bench()) as bench:
        bench.source.put(*example())
        await until(bench, gateway_key("edge"))
        socket = bench.plane.plan[socket_key(5432)]
        assert isinstance(socket, Socket)
        lost = Failed(revision=socket.revision, reason=FailureReason.PORT_UNAVAILABLE, message="port 5432 is held")
        bench.plane.report(SocketReport(socket=socket.key, outcome=lost))

        async def failed() -> bool:
            status = bench.status(gateway_key("edge"))
            assert isinstance(status, GatewayStatus)
            return any(one.reason == "PortUnavailable" for one in status.listeners[0].conditions)

        await eventually(failed, what="PortUnavailable")
        bench.live()

        async def recovered() -> bool:
            return not await failed()

        await eventually(recovered, what="recovery")


async def test_a_deleted_object_loses_its_status_and_its_sockets() -> None:
    """What is gone from the input is gone from the plan and from the statuses."""
    async with running(Bench()) as bench:
        bench.source.put(*example())
        await until(bench, gateway_key("edge"))
        bench.source.put(gone=(gateway_key("edge"),))

        async def gone() -> bool:
            return gateway_key("edge") not in bench.reconciler.board.statuses and not bench.plane.plan.get(
                socket_key(5432)
            )

        await eventually(gone, what="the end of the Gateway")
        assert bench.of(gateway_key("edge"))[-1] is None


async def test_an_unrelated_object_changes_neither_plan_nor_statuses() -> None:
    """Nothing is applied and nothing is published when nothing that matters changed."""
    async with running(Bench()) as bench:
        bench.source.put(*example())
        await until(bench, route_key("db"))
        applied, published = len(bench.plane.changes), len(bench.published)
        bench.source.put(typed(service("unrelated")))
        bench.source.put(*[one for one in example(weight=7) if one.KIND == "TCPRoute"])

        async def followed() -> bool:
            return len(bench.plane.changes) > applied

        await eventually(followed, what="the change after the unrelated one")
        assert len(bench.plane.changes) == applied + 1
        assert all(set(one) <= {route_key("db"), gateway_key("edge")} for one in bench.published[published:])


async def test_what_was_decided_is_told_once_the_plane_has_it() -> None:
    """Who provides for a data plane hears of a change after the plane, in the same turn."""
    bench = Bench()
    told: list[tuple[int, DecisionChange]] = []
    reconciler = Reconciler(
        decision=Decision(CoreConfig(features=bench.plane.features, scope_per_gateway=True)),
        source=bench.source,
        plane=bench.plane,
        metrics=bench.metrics,
        decided=lambda change: told.append((len(bench.plane.changes), change)),
    )
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reconciler.run())
        bench.source.put(*example())

        async def heard() -> bool:
            return bool(told)

        await eventually(heard, what="something is decided")
        task.cancel()
    applied, change = told[0]
    assert applied == 1
    assert list(change.infrastructure) == [gateway_key("edge")]


async def test_installed_apis_reach_the_decision() -> None:
    """What the cluster has installed decides about its classes."""
    async with running(Bench()) as bench:
        bench.source.deliver(Batch(changes=(), apis=InstalledApis(bundle_versions={"gateways": "v1.6.1"})))

        async def known() -> bool:
            return bench.reconciler.decision.graph.get(APIS, CLUSTER) is not None

        await eventually(known, what="the installed APIs are known")
