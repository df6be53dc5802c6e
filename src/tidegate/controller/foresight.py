"""What the statuses will be once a data plane has taken everything: for dry runs. Pure, but for the date."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Mapping, Sequence

from tidegate.controller.board import StatusBoard
from tidegate.core.compile import SOCKETS
from tidegate.core.decision import Decision
from tidegate.model.status import Status
from tidegate.names import WILDCARD_ADDRESS, ObjectKey
from tidegate.plan.outcome import AddressReport, Failed, FailureReason, Live, SocketReport
from tidegate.plan.types import Socket


def settle(decision: Decision, addresses: Sequence[str], *, this_host: bool = False) -> Mapping[ObjectKey, Status]:
    """Report every socket Live and every scope at ``addresses``, and give the statuses of all objects.

    ``this_host``: ``addresses`` are all there are here, beside loopback, so sockets on others cannot be opened.
    """
    decision.decide()
    for scope in {key.scope for key, _ in decision.graph.items(SOCKETS)}:
        decision.set_report(AddressReport(scope=scope, addresses=tuple(addresses)))
    for key, socket in decision.graph.items(SOCKETS):
        usable = not this_host or key.address in (WILDCARD_ADDRESS, *addresses) or _is_loopback(key.address)
        decision.set_report(
            SocketReport(socket=key, outcome=Live(revision=socket.revision) if usable else _failed(socket))
        )
    decision.decide()
    board = StatusBoard()
    board.take(decision.verdicts(), monotonic=0.0, now=dt.datetime.now(dt.UTC))
    return board.statuses


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _failed(socket: Socket) -> Failed:
    return Failed(
        revision=socket.revision,
        reason=FailureReason.ADDRESS_NOT_USABLE,
        message=f"{socket.key.address} is not an address of this host",
    )
