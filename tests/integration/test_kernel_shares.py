"""Weights are exact shares of connections in the kernel too, and a refused share is answered by a reset.

By IPv4 and IPv6: each family has endpoints of its own, and its own way through the table.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from support.backends import Backend
from support.chance import likely
from support.clients import Ending, Tally, ask_many
from support.kernels import PORT, KernelRuns, to
from support.manifests import backend, gateway, listener, parent, tcproute
from support.netns import BACKEND_4, BACKEND_6, FRONT_4, FRONT_6, World, needs_hosts

pytestmark = needs_hosts()

POINTS = 2.0
"""How far a share may be from its weight, in percent of all connections."""

LIMIT = 0.5
"""Seconds within which a refused connection has to be over."""

FAMILIES = ((BACKEND_4, FRONT_4), (BACKEND_6, FRONT_6))
"""Where backends are, and where their clients of the same family connect."""


async def shared(kernel: KernelRuns, weights: dict[str, int], arguments: tuple[str, ...]) -> None:
    """Serve a port by backends with these weights."""
    refs = [backend(name, weight=weight) for name, weight in weights.items()]
    await kernel.serve(
        gateway("edge", [listener("tcp", PORT)]), tcproute("app", [parent("edge")], refs), arguments=arguments
    )


async def servers(stack: AsyncExitStack, hosts: World, host: str, *names: str) -> list[Backend]:
    """A server for each name, at an address of the backends' host."""
    return [await stack.enter_async_context(Backend(name, host=host, at=hosts.backends)) for name in names]


async def test_weights_are_shares_of_connections(kernel: KernelRuns, hosts: World) -> None:
    """Of 70, 30 and 0 each backend serves its share within two points, its endpoints evenly; weight 0 serves none."""
    weights, count = {"most": 70, "some": 30, "none": 0}, 10_000
    tallies: list[Tally] = []
    async with AsyncExitStack() as stack:
        names = ("most", "most", "most", "most", "some", "none")
        by_family = [await servers(stack, hosts, host, *names) for host, _ in FAMILIES]
        await shared(kernel, weights, to(*by_family[0], *by_family[1]))
        for members, (_, address) in zip(by_family, FAMILIES, strict=True):
            tally = await ask_many(PORT, count, host=address, concurrency=16)
            tallies.append(tally)
            for name, weight in weights.items():
                assert tally.served[name] in likely(count, weight / 100, among=6)
            for server in members[:4]:
                assert server.accepted in likely(count, 0.7 / 4, among=8)
    for name, weight in weights.items():
        # Two points of 10,000 are left by chance once in 80,000 times, of 20,000 once in 1,000,000,000.
        served = sum(tally.served[name] for tally in tallies)
        assert 100 * served / (2 * count) == pytest.approx(weight, abs=POINTS)
    assert not any(tally.refused for tally in tallies)


async def test_all_or_nothing(kernel: KernelRuns, hosts: World) -> None:
    """Of 100 and 0 one backend serves everything, the other nothing."""
    async with AsyncExitStack() as stack:
        members = [one for host, _ in FAMILIES for one in await servers(stack, hosts, host, "all", "none")]
        await shared(kernel, {"all": 100, "none": 0}, to(*members))
        for _, address in FAMILIES:
            tally = await ask_many(PORT, 500, host=address)
            assert (tally.served["all"], tally.total) == (500, 500)


async def test_extreme_weights(kernel: KernelRuns, hosts: World) -> None:
    """One in a million is next to nothing, and still in the rules."""
    async with AsyncExitStack() as stack:
        members = [one for host, _ in FAMILIES for one in await servers(stack, hosts, host, "all", "one")]
        await shared(kernel, {"all": 1_000_000, "one": 1}, to(*members))
        for _, address in FAMILIES:
            tally = await ask_many(PORT, 500, host=address)
            assert not tally.refused
            assert tally.served["one"] in likely(500, 1 / 1_000_001, among=2)
        rules = hosts.gateway.ruleset("chain", "inet", "tidegate-default", f"choice/tcp/any/{PORT}")
    assert "numgen random mod 1000001 < 1 " in rules


async def test_sixteen_backends_of_fifty_endpoints(kernel: KernelRuns, hosts: World) -> None:
    """Backends share by weight, and each one's endpoints evenly."""
    names, count = [f"app-{number}" for number in range(16)], 4_000
    async with AsyncExitStack() as stack:
        by_family = [await servers(stack, hosts, host, *names * 50) for host, _ in FAMILIES]
        await shared(kernel, dict.fromkeys(names, 1), to(*by_family[0], *by_family[1]))
        for members, (_, address) in zip(by_family, FAMILIES, strict=True):
            tally = await ask_many(PORT, count, host=address, concurrency=16)
            assert not tally.refused
            for name in names:
                assert tally.served[name] in likely(count, 1 / 16, among=32)
            # Five connections for each endpoint on average: few get none, and nobody gets very many.
            assert all(server.accepted in likely(count, 1 / 800, among=1_600) for server in members)
            assert sum(not server.accepted for server in members) in likely(800, (1 - 1 / 800) ** count, among=2)


async def test_share_of_a_missing_service_is_refused_by_a_reset(kernel: KernelRuns, hosts: World) -> None:
    """With 30 of 100 on a Service that does not exist, 30 % of connections are refused at once, 70 % are served."""
    async with AsyncExitStack() as stack:
        members = [one for host, _ in FAMILIES for one in await servers(stack, hosts, host, "app")]
        await shared(kernel, {"app": 70, "missing": 30}, to(*members))
        for _, address in FAMILIES:
            tally = await ask_many(PORT, 2_500, host=address, concurrency=16)
            assert tally.served["app"] in likely(2_500, 0.7, among=2)
            assert tally.served["app"] + tally.refused[Ending.NOT_LISTENING] == tally.total
            assert tally.refusal_percentile(99) < LIMIT
