"""Several replicas of the control plane, and proxies that lose theirs: who leads knows, and traffic never notices."""

from __future__ import annotations

import json
import signal

from support.backends import Backend
from support.certificates import Issuer
from support.clients import crowd, probing, who_serves
from support.fleets import GRACE, Pods, addresses, replica
from support.planes import Serving
from support.plans import Change, forward, pool, socket_key
from support.ports import Ports
from support.proxies import ProxyPod
from support.waiting import eventually
from tidegate.dataplanes.envoy.fleet import EnvoyFleet
from tidegate.dataplanes.envoy.keepalive import ANSWER_SECONDS, SILENT_SECONDS
from tidegate.plan.outcome import Failed, FailureReason, Live, Pending

A = "team-a/gw"


def follow(follower: EnvoyFleet, leader: EnvoyFleet) -> None:
    """Let one replica report to another."""
    follower.follow(f"127.0.0.1:{leader.port}")


def give(some: tuple[EnvoyFleet, Serving], plan: Change, *ready: ProxyPod) -> None:
    """What every replica learns from the API server: the plan, and who is ready."""
    plane, present = some
    present.apply(plan)
    plane.set_ready(A, addresses(*ready))


async def test_the_leader_knows_what_proxies_of_a_follower_serve(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """With every proxy at a follower, the leader's outcomes are as if they were its own."""
    port = ports.reserve()
    plan = forward(port, address="*", scope=A)
    async with replica(issuer, A) as one, replica(issuer, A) as two:
        (leader, at_leader), (follower, _) = one, two
        follow(follower, leader)
        pod = made.run(A, follower.port)
        give(one, plan, pod)
        give(two, plan, pod)
        await at_leader.until(port, Live, address="*", scope=A, within=15.0)
        assert leader.covers(A)
        newer = forward(port, address="*", scope=A, route="newer")
        give(one, newer, pod)
        waiting = await at_leader.until(port, Pending, address="*", scope=A, revision=revision(newer, port))
        assert waiting.message == ""
        give(two, newer, pod)
        await at_leader.until(port, Live, address="*", scope=A, revision=revision(newer, port))


async def test_a_failure_at_a_follower_reaches_the_leader(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """Why a listener cannot be opened is told in the same words."""
    port = ports.reserve()
    plan = forward(port, address="*", scope=A)
    async with Backend("stranger", host="0.0.0.0", port=port), replica(issuer, A) as one, replica(issuer, A) as two:
        (leader, at_leader), (follower, _) = one, two
        follow(follower, leader)
        pod = made.run(A, follower.port, host_network=True)
        give(one, plan, pod)
        give(two, plan, pod)
        failed = await at_leader.until(port, Failed, address="*", scope=A, within=15.0)
        assert failed.reason is FailureReason.PORT_UNAVAILABLE


async def test_a_follower_that_is_replaced(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """A proxy whose replica ends and which comes back elsewhere is served right through, in the leader's eyes too."""
    port, control = ports.reserve(), ports.reserve()
    plan = forward(port, address="*", scope=A)
    async with replica(issuer, A) as one:
        leader, at_leader = one
        pod = made.run(A, control)
        give(one, plan, pod)
        async with replica(issuer, A, port=control) as two:
            follow(two[0], leader)
            give(two, plan, pod)
            await at_leader.until(port, Live, address="*", scope=A, within=15.0)
            at_leader.history.clear()
        async with replica(issuer, A, port=control) as three:
            follow(three[0], leader)
            give(three, plan, pod)
            newer = forward(port, address="*", scope=A, route="newer")
            await three[1].until(port, Live, address="*", scope=A)
            assert at_leader.history == []
            give(one, newer, pod)
            give(three, newer, pod)
            await at_leader.until(port, Live, address="*", scope=A, revision=revision(newer, port))
        # Nobody reports the proxy any more.
        await at_leader.until(port, Pending, address="*", scope=A, within=GRACE + 3)


async def test_another_replica_takes_the_lead(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """The leader ends: the next one knows its own proxies at once, and those of the others as soon as they report."""
    port, other = ports.reserve(), ports.reserve()
    plan = forward(port, address="*", scope=A) | forward(other, address="*", scope=A)
    async with replica(issuer, A) as two, replica(issuer, A) as three:
        (second, at_second), (third, _) = two, three
        mine, theirs = made.run(A, second.port), made.run(A, third.port)
        async with replica(issuer, A) as one:
            first, at_first = one
            for some in (one, two, three):
                give(some, plan, mine, theirs)
            follow(second, first)
            follow(third, first)
            await at_first.until(port, Live, address="*", scope=A, within=15.0)
            await covered(first)
            await at_second.until(port, Live, address="*", scope=A)
            assert not second.covers(A)
            at_second.history.clear()
        second.lead()
        follow(third, second)
        await covered(second)
        assert at_second.history == []


async def test_traffic_goes_on_without_a_control_plane(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """While no replica is there, connections go on and new ones are served; afterwards changes arrive again."""
    port, control = ports.reserve(), ports.reserve()
    async with Backend("a") as a, Backend("b") as b:
        pod = made.run(A, control)
        async with replica(issuer, A, port=control) as some:
            give(some, pool("a", a.port) | forward(port, "a", address="*", scope=A), pod)
            await some[1].until(port, Live, address="*", scope=A, within=15.0)
        async with crowd(port, 10) as clients, probing(port) as probe:
            await eventually(pod.is_connected, lambda still: not still, what="the control plane is gone")
            assert await pod.is_ready()
            async with replica(issuer, A, port=control) as some:
                give(some, pool("a", b.port) | forward(port, "a", address="*", scope=A), pod)

                async def served() -> str:
                    return await who_serves(port)

                await eventually(served, lambda name: name == "b", what="the change has arrived", within=10.0)
            await clients.check()
            assert not clients.broken
            assert not probe.tally.refused


async def test_a_proxy_that_comes_back_is_sent_only_what_changed(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """After a change of replica a proxy keeps what it has, byte for byte, and gets what is new."""
    port, other, control = ports.reserve(), ports.reserve(), ports.reserve()
    pod = made.run(A, control)
    async with replica(issuer, A, port=control) as some:
        give(some, forward(port, address="*", scope=A), pod)
        await some[1].until(port, Live, address="*", scope=A, within=15.0)
    before = await updated_at(pod)
    async with replica(issuer, A, port=control) as some:
        give(some, forward(port, address="*", scope=A) | forward(other, address="*", scope=A), pod)
        await some[1].until(other, Live, address="*", scope=A, within=10.0)
        await some[1].until(port, Live, address="*", scope=A)
    after = await updated_at(pod)
    assert len(after) == 2 * len(before)
    assert before.items() <= after.items()


async def test_a_restarted_proxy_has_to_earn_it_again(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """A container that was restarted counts for nothing of what the one before it had, until it has it too."""
    port = ports.reserve()
    async with replica(issuer, A, grace=60.0) as some:
        plane, present = some
        pod = made.run(A, plane.port)
        give(some, forward(port, address="*", scope=A), pod)
        await present.until(port, Live, address="*", scope=A, within=15.0)
        present.history.clear()
        pod.process.kill()
        pod.start()

        async def told() -> int:
            return len(present.history)

        await eventually(told, lambda count: count >= 2, what="it came back", within=15.0)
        outcomes = [type(report.outcome) for report in present.history]
        assert outcomes[0] is Pending
        assert outcomes[-1] is Live


async def test_a_proxy_that_hangs_is_noticed(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """A proxy that answers nothing any more, and whose connection nobody closes, counts for some seconds only."""
    port = ports.reserve()
    async with replica(issuer, A, grace=0.0) as some:
        plane, present = some
        pod = made.run(A, plane.port)
        give(some, forward(port, address="*", scope=A), pod)
        await present.until(port, Live, address="*", scope=A, within=15.0)
        pod.process.send(signal.SIGSTOP)
        await present.until(port, Pending, address="*", scope=A, within=SILENT_SECONDS + ANSWER_SECONDS + 3)
        pod.process.send(signal.SIGCONT)
        await present.until(port, Live, address="*", scope=A, within=10.0)


def revision(plan: Change, port: int) -> str:
    """The revision that a plan has for a port."""
    value = plan[socket_key(port, "*", A)]
    return getattr(value, "revision", "")


async def covered(plane: EnvoyFleet) -> None:
    """Wait until a replica knows all proxies that are ready."""

    async def known() -> bool:
        return plane.covers(A)

    await eventually(known, what="all ready proxies are known", within=15.0)


async def updated_at(pod: ProxyPod) -> dict[str, str]:
    """When each dynamic listener and cluster of a proxy was last set."""
    found: dict[str, str] = {}
    for mask, key in (("dynamic_listeners", "active_state"), ("dynamic_active_clusters", "")):
        body = json.loads(await pod.admin.get(f"/config_dump?resource={mask}"))
        for config in body.get("configs", ()):
            state = config[key] if key else config
            name = (state.get("listener") or state.get("cluster"))["name"]
            found[f"{mask} {name}"] = state["last_updated"]
    return found
