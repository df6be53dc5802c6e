"""Weights are exact shares of connections in the kernel too, and a refused share is answered by a reset."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from support.backends import Backend
from support.clients import Ending, ask_many
from support.kernels import PORT, KernelRuns, to
from support.manifests import backend, gateway, listener, parent, tcproute
from support.netns import BACKEND_4, FRONT_4, World, needs_hosts

pytestmark = needs_hosts()

POINTS = 2.0
"""How far a share may be from its weight, in percent of all connections."""

LIMIT = 0.5
"""Seconds within which a refused connection has to be over."""


async def shared(kernel: KernelRuns, weights: dict[str, int], arguments: tuple[str, ...]) -> None:
    """Serve a port by backends with these weights."""
    refs = [backend(name, weight=weight) for name, weight in weights.items()]
    await kernel.serve(
        gateway("edge", [listener("tcp", PORT)]), tcproute("app", [parent("edge")], refs), arguments=arguments
    )


@pytest.mark.parametrize("weights", [(70, 30, 0), (100, 0)], ids=lambda weights: "/".join(map(str, weights)))
async def test_weights_are_shares_of_connections(kernel: KernelRuns, hosts: World, weights: tuple[int, ...]) -> None:
    """Every backend serves its share of 10,000 connections within two points; weight 0 serves none."""
    async with AsyncExitStack() as stack:
        backends = [
            await stack.enter_async_context(Backend(f"app-{number}", host=BACKEND_4, at=hosts.backends))
            for number in range(len(weights))
        ]
        shares = {one.name: weight for one, weight in zip(backends, weights, strict=True)}
        await shared(kernel, shares, to(*backends))
        tally = await ask_many(PORT, 10_000, host=FRONT_4, concurrency=16)
    assert not tally.refused
    for name, weight in shares.items():
        assert tally.share(name) == pytest.approx(100 * weight / sum(weights), abs=POINTS)
        assert weight or not tally.served[name]


async def test_extreme_weights(kernel: KernelRuns, hosts: World) -> None:
    """One in a million is next to nothing, and still in the rules."""
    async with (
        Backend("all", host=BACKEND_4, at=hosts.backends) as most,
        Backend("one", host=BACKEND_4, at=hosts.backends) as one,
    ):
        await shared(kernel, {"all": 1_000_000, "one": 1}, to(most, one))
        tally = await ask_many(PORT, 1_000, host=FRONT_4)
        rules = hosts.gateway.ruleset("chain", "inet", "tidegate-default", f"choice/tcp/any/{PORT}")
    assert not tally.refused
    assert tally.served["one"] <= 1
    assert "numgen random mod 1000001 < 1 " in rules


async def test_sixteen_backends_of_fifty_endpoints(kernel: KernelRuns, hosts: World) -> None:
    """Backends share by weight, and each one's endpoints evenly."""
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(Backend(f"app-{number % 16}", host=BACKEND_4, at=hosts.backends))
            for number in range(800)
        ]
        await shared(kernel, {f"app-{number}": 1 for number in range(16)}, to(*servers))
        tally = await ask_many(PORT, 4_000, host=FRONT_4, concurrency=16)
        used = sum(server.accepted > 0 for server in servers)
        busiest = max(server.accepted for server in servers)
    assert not tally.refused
    for number in range(16):
        assert tally.share(f"app-{number}") == pytest.approx(6.25, abs=POINTS)
    # Five connections for each endpoint on average: few get none, and nobody gets very many.
    assert used > 760
    assert busiest < 20


async def test_share_of_a_missing_service_is_refused_by_a_reset(kernel: KernelRuns, hosts: World) -> None:
    """With 30 of 100 on a Service that does not exist, 30 % of connections are refused at once, 70 % are served."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        await shared(kernel, {"app": 70, "missing": 30}, to(app))
        tally = await ask_many(PORT, 5_000, host=FRONT_4, concurrency=16)
    assert tally.share("app") == pytest.approx(70, abs=POINTS + 1)
    assert set(tally.refused) == {Ending.NOT_LISTENING}
    assert tally.refusal_percentile(99) < LIMIT
