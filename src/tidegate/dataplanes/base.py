"""The seam between the decision and what carries the traffic.

Every data plane passes one contract suite (``tests/contract``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from tidegate.plan.features import Features
from tidegate.plan.outcome import Report, Traffic
from tidegate.plan.types import PlanChange


class DataPlane(Protocol):
    """Carries the traffic of a plan.

    Life: ``start``, then one ``apply`` with the whole plan, then ``apply`` with each change, then
    ``close``. What a plane served before ``start`` (an earlier controller's plan) goes on until the
    first ``apply``, which removes only what the whole plan does not hold.
    """

    @property
    def features(self) -> Features:
        """What this plane can do; constant."""
        ...

    async def start(self) -> None:
        """Start or adopt what carries the traffic, and the plane's own tasks.

        Raises DataPlaneError when it can never work here (missing program, missing permission).
        """
        ...

    def apply(self, change: PlanChange) -> None:
        """Take a change and return at once; never raises for content. Later changes win."""
        ...

    def outcomes(self) -> AsyncIterator[Sequence[Report]]:
        """What became of what was applied, in batches, until ``close``. One consumer.

        Levels, not events: an outcome may change without an ``apply`` (a port becomes free, the plane
        dies), and a slow consumer sees only the newest outcome of each socket.
        """
        ...

    async def traffic(self) -> Sequence[Traffic]:
        """The counters now."""
        ...

    async def close(self, *, drain: float | None) -> None:
        """Stop serving new connections and let those open end for up to ``drain`` seconds.

        ``drain`` None: leave everything serving, for the next start to adopt.
        """
        ...
