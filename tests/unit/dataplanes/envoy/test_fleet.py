"""The fleet passes values between its parts: plan to proxies, proxies to outcomes, replicas to the leader.

Here proxies are scripted; what real ones do is shown in ``tests/integration/test_fleet_*``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import FrameType
from typing import Any

import pytest
import structlog

from support.certificates import SERVER_NAME, Issuer
from support.fleets import gateway_key, plan_of, replica
from support.plans import forward, pool, remove, socket_key
from support.running import running
from support.streams import ScriptedProxy, secure_channel
from support.waiting import eventually
from tidegate.dataplanes.envoy.fleet import EnvoyFleet
from tidegate.dataplanes.envoy.fleetserver import REPORT
from tidegate.dataplanes.envoy.naming import socket_name
from tidegate.dataplanes.envoy.resources import Kind
from tidegate.errors import DataPlaneError
from tidegate.names import CONTROLLER_IDENTITY
from tidegate.plan.infrastructure import KeptInfrastructure
from tidegate.plan.outcome import Live
from tidegate.plan.types import PlanChange

A, B = "team-a/gw", "team-b/gw"


@asynccontextmanager
async def connected(
    issuer: Issuer, plane: EnvoyFleet, scope: str, proxy: ScriptedProxy
) -> AsyncIterator[ScriptedProxy]:
    """A scripted proxy of a scope with a stream while the block runs."""
    async with (
        secure_channel(plane.port, issuer.proxy(scope), issuer.authorities) as channel,
        running(proxy.run(channel)),
    ):
        await proxy.connected.wait()
        yield proxy


def calls(action: Callable[[], None]) -> int:
    """How many functions an action calls: what it costs, without a clock."""
    count = 0

    def tracer(_: FrameType, event: str, __: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    # A garbage collection in between would be counted as well.
    gc.collect()
    gc.disable()
    sys.setprofile(tracer)
    try:
        action()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


async def test_a_change_costs_the_same_with_a_hundred_gateways() -> None:
    """What a change costs does not grow with the Gateways that it does not concern, nor with their proxies."""
    issuer = Issuer()
    scopes = [f"team-{number}/gw" for number in range(100)]
    costs: dict[int, list[int]] = {}
    for count in (1, len(scopes)):
        async with replica(issuer, *scopes[:count]) as (plane, present), AsyncExitStack() as stack:
            for number, scope in enumerate(scopes[:count]):
                name = f"pool-{number}"
                present.apply(pool(name, 1), *(forward(port, name, address="*", scope=scope) for port in range(80, 85)))
                plane.set_ready(scope, frozenset({f"10.0.0.{number}"}))
                await stack.enter_async_context(
                    connected(issuer, plane, scope, ScriptedProxy("proxy", f"10.0.0.{number}"))
                )
            for scope in scopes[:count]:
                await present.until(84, Live, address="*", scope=scope, within=30.0)
            changes: list[PlanChange] = [
                pool("pool-0", 2),
                forward(80, "pool-0", address="*", scope=scopes[0], route="newer"),
                forward(85, "pool-0", address="*", scope=scopes[0]),
            ]
            costs[count] = [calls(lambda change=change: plane.apply(change)) for change in changes]
    assert costs[1] == costs[100]


async def test_a_proxy_that_opens_a_second_stream_loses_the_first() -> None:
    """The newest stream of a name counts; the one before is ended by us, and its end loses nothing."""
    issuer = Issuer()
    async with replica(issuer, A) as (plane, present):
        present.apply(forward(80, address="*", scope=A))
        plane.set_ready(A, frozenset({"10.0.0.1"}))
        async with connected(issuer, plane, A, ScriptedProxy("one", "10.0.0.1")) as first:
            await present.until(80, Live, address="*", scope=A)
            present.history.clear()
            async with connected(issuer, plane, A, ScriptedProxy("one", "10.0.0.1")) as second:
                async with asyncio.timeout(5):
                    await first.ended.wait()
                present.apply(forward(81, address="*", scope=A))
                await present.until(81, Live, address="*", scope=A)
                assert socket_name(socket_key(81, "*", A)) in second.holds[Kind.LISTENER]
                assert all(report.socket.port == 81 for report in present.history)


async def test_proxies_of_one_name_in_two_gateways_are_two() -> None:
    """Names of Pods are unique in a Gateway's namespace only."""
    issuer = Issuer()
    async with replica(issuer, A, B) as (plane, present):
        present.apply(forward(80, address="*", scope=A), forward(80, address="*", scope=B))
        plane.set_ready(A, frozenset({"10.0.0.1"}))
        plane.set_ready(B, frozenset({"10.0.0.2"}))
        async with (
            connected(issuer, plane, A, ScriptedProxy("one", "10.0.0.1")),
            connected(issuer, plane, B, ScriptedProxy("one", "10.0.0.2")),
        ):
            await present.until(80, Live, address="*", scope=A)
            await present.until(80, Live, address="*", scope=B)


async def test_nothing_is_removed_before_the_first_plan() -> None:
    """A replica that has just started, and knows its Gateways but not the plan, tells proxies nothing."""
    issuer = Issuer()
    async with replica(issuer, A) as (plane, present):
        proxy = ScriptedProxy("one", "10.0.0.1")
        proxy.holds[Kind.LISTENER] = {socket_name(socket_key(79, "*", A)): "from before"}
        async with connected(issuer, plane, A, proxy):
            plane.set_ready(A, frozenset({"10.0.0.1"}))
            assert proxy.holds[Kind.LISTENER]
            present.apply(forward(80, address="*", scope=A))
            await present.until(80, Live, address="*", scope=A)

            async def listeners() -> set[str]:
                return set(proxy.holds[Kind.LISTENER])

            only = {socket_name(socket_key(80, "*", A))}
            await eventually(listeners, lambda names: names == only, what="what is not planned is gone")


async def test_a_gateway_that_is_gone_leaves_nothing_behind() -> None:
    """When neither plan, infrastructure nor streams are left, the Gateway is forgotten."""
    issuer = Issuer()
    async with replica(issuer, A) as (plane, present):
        present.apply(forward(80, address="*", scope=A))
        async with connected(issuer, plane, A, ScriptedProxy("one", "10.0.0.1")):

            async def there() -> bool:
                return bool(plane._gateways[A].streams)

            await eventually(there, what="the proxy is connected")
            present.apply(remove(80, "*", A))
            plane.set_infrastructure({gateway_key(A): None})
            assert plane._gateways
        await eventually(lambda: _none(plane), what="nothing is left")


async def test_proxies_of_a_gateway_that_is_kept_are_served_after_a_restart() -> None:
    """A controller that starts while a Gateway is not accepted gives its proxies what is planned all the same."""
    issuer = Issuer()
    async with replica(issuer) as (plane, present):
        plane.set_infrastructure({gateway_key(A): KeptInfrastructure(gateway=gateway_key(A), name="gw-tidegate")})
        present.apply(forward(80, address="*", scope=A))
        proxy = ScriptedProxy("one", "10.0.0.1")
        async with connected(issuer, plane, A, proxy):

            async def listeners() -> set[str]:
                return set(proxy.holds[Kind.LISTENER])

            planned = {socket_name(socket_key(80, "*", A))}
            await eventually(listeners, lambda names: names == planned, what="it gets what is planned")


async def _none(plane: EnvoyFleet) -> bool:
    return not plane._gateways


async def test_a_report_that_is_not_understood_is_left_out() -> None:
    """A replica of another version may say things that we do not know, which is logged once: the rest is heard."""
    issuer = Issuer()
    service, method = REPORT
    settled = (
        b'[{"type": "Settled", "scope": "team-a/gw", "node": "one", "instance": "1", "addresses": ["10.0.0.1"],'
        b' "reports": [], "more": true}]'
    )
    hold = asyncio.Event()

    async def messages() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b'[{"type": "Unheard", "scope": "team-a/gw"}]'
        yield settled
        await hold.wait()

    with structlog.testing.capture_logs() as events:
        async with replica(issuer, A) as (plane, _):
            plane.set_ready(A, frozenset({"10.0.0.1"}))
            pair = issuer.pair(CONTROLLER_IDENTITY)
            async with secure_channel(plane.port, pair, issuer.authorities) as channel:
                call = channel.stream_unary(f"/{service}/{method}", bytes, bytes)(messages())

                async def covered() -> bool:
                    return plane.covers(A)

                await eventually(covered, what="the last message was heard")
                call.cancel()
    assert [event["event"] for event in events].count("report of a replica not understood") == 1


async def test_features_and_traffic() -> None:
    """It serves TCP like every Envoy of ours, and counts nothing itself."""
    async with replica(Issuer(), A) as (plane, _):
        assert plane.features.protocols == frozenset({"TCP"})
        assert await plane.traffic() == ()


async def test_cannot_start_where_somebody_listens() -> None:
    """An address that is taken is an error at the start, and closing afterwards is none."""
    issuer = Issuer()
    own = issuer.server()
    async with replica(issuer, A) as (plane, _):
        address = f"127.0.0.1:{plane.port}"
        second = EnvoyFleet(address=address, server_name=SERVER_NAME, credentials=lambda: own)
        with pytest.raises(DataPlaneError, match="cannot listen for proxies"):
            await second.start()
        await second.close(drain=None)


async def test_the_access_log_reaches_the_filters() -> None:
    """Switching it changes the filters of that Gateway and nothing else."""
    issuer = Issuer()
    async with replica(issuer, A) as (plane, present):
        present.apply(forward(80, address="*", scope=A))
        plane.set_ready(A, frozenset({"10.0.0.1"}))
        async with connected(issuer, plane, A, ScriptedProxy("one", "10.0.0.1")) as proxy:
            await present.until(80, Live, address="*", scope=A)
            before = {kind: dict(held) for kind, held in proxy.holds.items()}
            plane.set_infrastructure({gateway_key(A): plan_of(A, access_log="text")})

            async def other() -> bool:
                return proxy.holds[Kind.FILTER] != before[Kind.FILTER]

            await eventually(other, what="another filter")
            for kind in (Kind.CLUSTER, Kind.ASSIGNMENT, Kind.LISTENER):
                assert proxy.holds[kind] == before[kind]
