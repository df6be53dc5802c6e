"""What a new leader does not know yet, and therefore must not say: that a Gateway has stopped to be served.

In: the decision, and whose proxies are known. Out: which Gateways are in doubt. What such a Gateway's status says of
its generation stands, as far as it would be taken back; all others are written at once.

A proxy whose replica ends comes back to another one within seconds. One whose replica is cut off from the API server,
and from it alone, hangs on that until it is sent away (see ``isolation``), and goes on serving all the time::

    last renewal ── 1 lease ──▶ we lead ──── 2 leases ────▶ sent away ── RECONNECT_GRACE_S ──▶ the end of all doubt

Whose proxies are not known by then, of that Gateway nobody can say that it is served.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tidegate.app.isolation import ISOLATED_LEASES, NOTICE_LEASES
from tidegate.core.compile import SOCKETS
from tidegate.core.decision import Decision
from tidegate.core.gateways import DECISIONS
from tidegate.core.readiness import READY
from tidegate.core.tables import OUTCOMES
from tidegate.names import ObjectKey
from tidegate.plan.outcome import Pending

RECONNECT_GRACE_S: Final = 12.0
"""By then a proxy that has lost its replica has found another one, and told what it serves."""


class Handover:
    """The doubts of a leader. ``lease`` is the duration of a lease in seconds, ``covers`` whether all proxies of a
    scope that get traffic are known.
    """

    def __init__(
        self,
        decision: Decision,
        *,
        lease: float,
        covers: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._decision = decision
        self._covers = covers
        self._clock = clock
        self._patience = (ISOLATED_LEASES + NOTICE_LEASES - 1) * lease + RECONNECT_GRACE_S
        self._ends_at = 0.0

    def begin(self) -> None:
        """We lead from now on."""
        self._ends_at = self._clock() + self._patience

    def doubted(self, gateway: ObjectKey) -> bool:
        """Whether a Gateway may be served by proxies that we have not heard of, or not the newest."""
        if self._clock() >= self._ends_at or not self._decision.graph.get(READY, gateway):
            return False
        return not self._covers(gateway.path) or self._is_under_way(gateway)

    def _is_under_way(self, gateway: ObjectKey) -> bool:
        graph = self._decision.graph
        decision = graph.get(DECISIONS, gateway)
        sockets = (key for one in decision.listeners for key in one.sockets) if decision is not None else ()
        outcomes = (graph.get(OUTCOMES, key) for key in sockets if graph.get(SOCKETS, key) is not None)
        return any(outcome is None or isinstance(outcome, Pending) for outcome in outcomes)
