"""A proxy with much to serve is not ready before it serves all of it."""

from __future__ import annotations

import asyncio

from support.backends import Backend
from support.certificates import Issuer
from support.clients import who_serves
from support.fleets import addresses, pods, replica
from support.plans import forward, pool
from support.ports import Ports
from tidegate.plan.outcome import Live

A = "team-a/gw"
MANY = 300


async def test_ready_means_that_everything_is_served(ports: Ports) -> None:
    """The moment in which the readiness probe succeeds for the first time, every listener forwards."""
    issuer = Issuer()
    numbers = [ports.reserve() for _ in range(MANY)]
    async with Backend("a") as a, replica(issuer, A) as (plane, present), pods(issuer, ports) as made:
        present.apply(pool("a", a.port), *(forward(port, "a", address="*", scope=A) for port in numbers))
        pod = made.run(A, plane.port)
        await pod.until_ready(within=30.0)
        answers = await asyncio.gather(*(who_serves(port) for port in reversed(numbers)))
        assert set(answers) == {"a"}
        plane.set_ready(A, addresses(pod))
        for port in numbers:
            await present.until(port, Live, address="*", scope=A)
