"""Through a real Envoy, weights are kept exactly and broken shares are refused exactly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from support.backends import Backend
from support.clients import ask_many
from support.envoys import serving_envoy
from support.plans import Change, forward, pool
from support.ports import Ports
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.plan.outcome import Live


@asynccontextmanager
async def backends(*names: str) -> AsyncIterator[dict[str, Backend]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(Backend(name)) for name in names}


def pools(present: dict[str, Backend]) -> Change:
    return {key: value for name, one in present.items() for key, value in pool(name, one.port).items()}


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_weights_are_kept_within_two_points(ports: Ports, concurrency: int) -> None:
    """70/30/0 holds over 3,000 connections, with one worker and with two; weight 0 is never served."""
    port = ports.reserve()
    async with backends("a", "b", "c") as present, serving_envoy(EnvoyOptions(concurrency=concurrency)) as envoy:
        await envoy.until_applied(pools(present), forward(port, ("a", 70), ("b", 30), ("c", 0)))
        tally = await ask_many(port, 3000, concurrency=16)
        assert abs(tally.share("a") - 70) < 2
        assert abs(tally.share("b") - 30) < 2
        assert present["c"].accepted == 0
        assert not tally.refused


async def test_all_to_one(ports: Ports) -> None:
    """100/0 sends everything to the first."""
    port = ports.reserve()
    async with backends("a", "b") as present, serving_envoy() as envoy:
        await envoy.until_applied(pools(present), forward(port, ("a", 100), ("b", 0)))
        tally = await ask_many(port, 300)
        assert tally.served == {"a": 300}


async def test_greatest_weights(ports: Ports) -> None:
    """Weights up to 1,000,000 are kept."""
    port = ports.reserve()
    async with backends("a", "b") as present, serving_envoy() as envoy:
        await envoy.until_applied(pools(present), forward(port, ("a", 1_000_000), ("b", 500_000)))
        tally = await ask_many(port, 900)
        assert abs(tally.served["a"] - 600) <= 2


async def test_sixteen_backends(ports: Ports) -> None:
    """16 backends each get their share."""
    port = ports.reserve()
    names = [f"backend-{number}" for number in range(16)]
    async with backends(*names) as present, serving_envoy() as envoy:
        await envoy.until_applied(pools(present), forward(port, *((name, 1 + i % 2) for i, name in enumerate(names))))
        tally = await ask_many(port, 2400)
        for number, name in enumerate(names):
            assert abs(tally.served[name] - 100 * (1 + number % 2)) <= 5, tally.served


async def test_missing_share_is_refused_at_once(ports: Ports) -> None:
    """30 % on a missing Service: 30 % of connections end at once, p99 under 100 ms, 70 % are served."""
    port = ports.reserve()
    async with backends("a") as present, serving_envoy() as envoy:
        await envoy.until_applied(pools(present), forward(port, ("a", 70), (None, 30)))
        tally = await ask_many(port, 3000, concurrency=16)
        assert abs(tally.refused_share - 30) < 2
        assert abs(tally.share("a") - 70) < 2
        assert tally.refusal_percentile(99) < 0.1


@pytest.mark.parametrize(
    "shares",
    [
        pytest.param([(None, 1), (None, 3)], id="all missing"),
        pytest.param([("empty", 1)], id="no endpoints"),
        pytest.param([("unknown", 1)], id="a pool the plan does not have"),
        pytest.param([("a", 0)], id="weights sum to 0"),
        pytest.param([], id="no backends"),
    ],
)
async def test_nothing_usable_refuses_everything(ports: Ports, shares: list[tuple[str | None, int]]) -> None:
    """A listener with nothing usable is Live and ends every connection at once."""
    port = ports.reserve()
    async with backends("a") as present, serving_envoy() as envoy:
        await envoy.until_applied(pools(present), pool("empty"), forward(port, *shares))
        await envoy.until(port, Live)
        tally = await ask_many(port, 200)
        assert tally.refused_share == 100
        assert tally.refusal_percentile(99) < 0.1


async def test_listener_without_a_match_refuses_everything(ports: Ports) -> None:
    """A socket without any match is served by refusal too."""
    port = ports.reserve()
    plan = forward(port, route=None)
    bare = {key: value for key, value in plan.items() if key == next(iter(plan))}
    async with serving_envoy() as envoy:
        await envoy.until_applied(bare)
        await envoy.until(port, Live)
        assert (await ask_many(port, 50)).refused_share == 100


async def test_empty_share_is_refused_and_given_to_nobody(ports: Ports) -> None:
    """A backend without endpoints has its share refused, and served again when endpoints come."""
    port = ports.reserve()
    async with backends("a", "b") as present, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", present["a"].port), pool("b"), forward(port, ("a", 1), ("b", 1)))
        tally = await ask_many(port, 400)
        assert abs(tally.refused_share - 50) <= 1
        assert abs(tally.served["a"] - 200) <= 2


async def test_two_refs_to_one_service(ports: Ports) -> None:
    """Two refs to the same Service count as their sum, and endpoints get equal parts."""
    port = ports.reserve()
    async with backends("a", "b", "c") as present, serving_envoy() as envoy:
        both = pool("both", present["a"].port, present["b"].port)
        await envoy.until_applied(
            both, pool("c", present["c"].port), forward(port, ("both", 20), ("c", 40), ("both", 40))
        )
        tally = await ask_many(port, 1000)
        assert {name: round(tally.share(name)) for name in "abc"} == {"a": 30, "b": 30, "c": 40}


async def test_overlapping_refs_keep_their_shares(ports: Ports) -> None:
    """50 on [A], 50 on [A,B], 100 refused: 37.5 %, 12.5 % and 50 %."""
    port = ports.reserve()
    async with backends("a", "b") as present, serving_envoy() as envoy:
        overlap = pool("ab", present["a"].port, present["b"].port)
        plan = forward(port, ("a", 50), ("ab", 50), (None, 100))
        await envoy.until_applied(overlap, pool("a", present["a"].port), plan)
        tally = await ask_many(port, 2000)
        assert abs(tally.served["a"] - 750) <= 4
        assert abs(tally.served["b"] - 250) <= 4
        assert abs(tally.refused.total() - 1000) <= 4
