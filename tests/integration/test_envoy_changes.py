"""Changes reach a real Envoy at once and close no connection."""

from __future__ import annotations

import asyncio
import random

from support.backends import Backend
from support.clients import ask_many, connection, crowd, who_serves
from support.envoys import serving_envoy
from support.planes import Serving
from support.plans import Change, forward, pool, remove, socket_key
from support.ports import Ports
from support.waiting import eventually
from tidegate.plan.outcome import Live, Pending


async def until_served(port: int, name: str, *, within: float = 2.0) -> None:
    async def probe() -> str:
        return await who_serves(port)

    await eventually(probe, lambda served: served == name, what=f"{name} serves", within=within)


async def test_new_endpoints_take_effect_and_stay_live(ports: Ports) -> None:
    """A pool's new endpoint serves new connections; the listener, unchanged, never leaves Live."""
    port = ports.reserve()
    async with Backend("a") as a, Backend("b") as b, serving_envoy() as envoy:
        await envoy.until_applied(pool("p", a.port), forward(port, "p"))
        reported = len(envoy.history)
        for one in (b, a) * 20:
            envoy.apply(pool("p", one.port))
            await until_served(port, one.name)
        assert len(envoy.history) == reported


async def test_swapped_ports_refuse_nobody(ports: Ports) -> None:
    """Two listeners that swap their ports take effect without a refused connection."""
    first, second = ports.reserve(), ports.reserve()
    async with Backend("a") as a, Backend("b") as b, serving_envoy() as envoy:
        pools = pool("a", a.port) | pool("b", b.port)
        await envoy.until_applied(
            pools, forward(first, "a", listener="foo", route="a"), forward(second, "b", listener="bar", route="b")
        )
        async with asyncio.TaskGroup() as group:
            probes = [group.create_task(ask_many(port, 1000)) for port in (first, second)]
            await envoy.until_applied(
                forward(first, "b", listener="bar", route="b"), forward(second, "a", listener="foo", route="a")
            )
        for probe in probes:
            assert not probe.result().refused
        assert await who_serves(first) == "b"
        assert await who_serves(second) == "a"


async def test_renamed_listener_keeps_its_connections(ports: Ports) -> None:
    """A listener under another name keeps its socket: nobody is refused, no connection ends."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a", listener="old"))
        async with crowd(port, 20) as present, asyncio.TaskGroup() as group:
            probe = group.create_task(ask_many(port, 500))
            await envoy.until_applied(forward(port, "a", listener="new"))
            await present.check()
            assert not present.broken
        assert not probe.result().refused


async def test_removed_listener_accepts_nothing_and_keeps_connections(ports: Ports) -> None:
    """After a removal, the port refuses connections, and those open go on."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a"))
        async with connection(port) as client:
            assert await client.line() == "a"
            envoy.apply(remove(port))
            await until_served(port, "connection refused")
            assert socket_key(port) not in envoy.outcomes
            assert await client.echoes("still here")


async def test_listener_comes_back(ports: Ports) -> None:
    """A listener that was removed and added again serves again."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        plan = forward(port, "a")
        await envoy.until_applied(pool("a", a.port), plan)
        for _ in range(5):
            envoy.apply(remove(port))
            await until_served(port, "connection refused")
            await envoy.until_applied(plan)
            await envoy.until(port, Live)
            assert await who_serves(port) == "a"


async def test_remove_and_add_in_one_breath(ports: Ports) -> None:
    """A removal that is taken back before Envoy has answered leaves the listener serving."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        plan = forward(port, "a")
        await envoy.until_applied(pool("a", a.port), plan)
        for _ in range(20):
            envoy.apply(remove(port))
            envoy.apply(plan)
        await envoy.until(port, Live)
        await until_served(port, "a")


async def test_pending_until_the_revision_serves(ports: Ports) -> None:
    """A new revision is Pending first and Live only when new connections are served by it."""
    port = ports.reserve()
    async with Backend("a") as a, Backend("b") as b, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), pool("b", b.port), forward(port, "a"))
        for name in "bababa":
            plan = forward(port, name)
            envoy.history.clear()
            await envoy.until_applied(plan)
            assert await who_serves(port) == name
            assert [type(report.outcome) for report in envoy.history] in ([Pending, Live], [Live])


async def test_backend_under_another_label_keeps_its_connections(ports: Ports) -> None:
    """What endpoints carry for the logs may change without closing a connection."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("one", a.port), pool("two", a.port), forward(port, ("one", 1), (None, 1)))
        await envoy.until_applied(forward(port, "one"))
        async with crowd(port, 20) as present:
            for name in ("two", "one", "two"):
                await envoy.until_applied(forward(port, name))
            await present.check()
            assert not present.broken


async def test_two_hundred_connections_survive_a_hundred_changes(ports: Ports) -> None:
    """With 200 echo connections open, 100 random changes reset none; new ones follow the newest state."""
    dice = random.Random(7)
    port, others = ports.reserve(), [ports.reserve() for _ in range(5)]
    async with Backend("a") as a, Backend("b") as b, Backend("c") as c, serving_envoy() as envoy:
        addresses = {"a": a.port, "b": b.port, "c": c.port}
        pools: Change = {key: value for name, one in addresses.items() for key, value in pool(name, one).items()}
        await envoy.until_applied(pools, forward(port, ("a", 1), ("b", 1)), *(forward(one, "a") for one in others))
        async with crowd(port, 200) as present:
            for step in range(100):
                await _change(envoy, dice, port, others, addresses)
                if step % 10 == 9:
                    await present.check()
            await envoy.until_applied(pools, forward(port, "c", route="last"))
            assert (await ask_many(port, 50)).served == {"c": 50}
            await present.check()
            assert not present.broken
            assert present.backends.total() == 200


async def _change(envoy: Serving, dice: random.Random, port: int, others: list[int], addresses: dict[str, int]) -> None:
    names = list(addresses)
    match dice.randrange(5):
        case 0:
            shares = [(name, dice.randrange(0, 100)) for name in dice.sample(names, dice.randrange(1, 4))]
            await envoy.until_applied(forward(port, *shares))
        case 1:
            chosen = [addresses[name] for name in dice.sample(names, dice.randrange(0, 4))]
            envoy.apply(pool(dice.choice(names), *chosen))
        case 2:
            await envoy.until_applied(forward(port, dice.choice(names), route=f"route-{dice.randrange(9)}"))
        case 3:
            envoy.apply(remove(dice.choice(others)))
        case _:
            await envoy.until_applied(forward(dice.choice(others), dice.choice(names), listener="other"))
