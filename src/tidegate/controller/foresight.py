"""What the statuses will be once a data plane has taken everything: for dry runs. Pure, but for the date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from tidegate.controller.board import StatusBoard
from tidegate.core.compile import SOCKETS
from tidegate.core.decision import Decision
from tidegate.model.status import Status
from tidegate.names import ObjectKey
from tidegate.plan.outcome import AddressReport, Live, SocketReport


def settle(decision: Decision, addresses: Sequence[str]) -> Mapping[ObjectKey, Status]:
    """Report every socket Live and every scope at ``addresses``, and give the statuses of all objects."""
    decision.decide()
    for scope in {key.scope for key, _ in decision.graph.items(SOCKETS)}:
        decision.set_report(AddressReport(scope=scope, addresses=tuple(addresses)))
    for key, socket in decision.graph.items(SOCKETS):
        decision.set_report(SocketReport(socket=key, outcome=Live(revision=socket.revision)))
    decision.decide()
    board = StatusBoard()
    board.take(decision.verdicts(), monotonic=0.0, now=dt.datetime.now(dt.UTC))
    return board.statuses
