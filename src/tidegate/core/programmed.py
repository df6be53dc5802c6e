"""Whether a listener, and a Gateway as a whole, is programmed: the plan met with its outcomes.

Programmed at a generation is True only while the data plane's outcome is Live and its revision is the one
planned from that generation, and, in a cluster, the Service in front of the data plane leads clients to it. An address
that is not this host's is the Gateway's fault, not the listener's.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidegate.core.addresses import Addresses
from tidegate.core.compile import GRANTS, SOCKETS, blocking, port_of
from tidegate.core.front import FRONT
from tidegate.core.gateways import GatewayDecision
from tidegate.core.incremental import View
from tidegate.core.listeners import ListenerDecision
from tidegate.core.reasons import Reason
from tidegate.core.rejection import Rejection
from tidegate.core.tables import OUTCOMES
from tidegate.names import ListenerKey, SocketKey
from tidegate.plan.infrastructure import Trouble, TroubleReason
from tidegate.plan.outcome import Failed, FailureReason, Live, Pending

SERVED = "the data plane serves this listener"
"""What the condition of a programmed listener says, before any note of the data plane."""


class Programming(msgspec.Struct, frozen=True, gc=False):
    """``rejection`` None: programmed. ``waiting``: the outcome of the planned revision is about to come.

    A data plane that says why it is not there makes nobody wait. ``note``: what it says although it serves.
    """

    rejection: Rejection | None
    waiting: bool = False
    note: str = ""


def listener_programming(view: View, listener: ListenerDecision) -> Programming:
    """Whether a listener serves what is planned for it, on all usable addresses of its Gateway."""
    if listener.rejection is not None:
        specific = listener.conflict or listener.rejection.reason is Reason.PORT_UNAVAILABLE
        reason = listener.rejection.reason if specific else Reason.INVALID
        return Programming(Rejection(reason, listener.rejection.message))
    if not listener.gateway_accepted:
        what = "nothing new" if listener.sockets else "nothing"
        return Programming(Rejection(Reason.INVALID, f"the Gateway is not accepted, so {what} of it is served"))
    results = [_socket_programming(view, socket, listener.key) for socket in listener.sockets]
    usable = [result for result in results if not _not_usable(result)]
    if not usable:
        return Programming(Rejection(Reason.INVALID, "none of the Gateway's addresses can be used"))
    failed = [result for result in usable if result.rejection is not None]
    if failed:
        return min(failed, key=lambda result: result.waiting)
    unreached = _unreached(view, listener)
    if unreached is not None:
        return unreached
    notes = dict.fromkeys(result.note for result in usable if result.note)
    return Programming(None, note="; ".join(notes)) if notes else _PROGRAMMED


def _unreached(view: View, listener: ListenerDecision) -> Programming | None:
    """What keeps clients from a data plane that serves; None: nothing, or nothing stands between them."""
    front = view.get(FRONT, listener.key.owner)
    if front is None:
        return None
    lacking = next(filter(None, (front.lacking(one.protocol, one.port) for one in listener.sockets)), None)
    return Programming(Rejection(Reason.PENDING, lacking.message), waiting=lacking.waiting) if lacking else None


def _not_usable(result: Programming) -> bool:
    return result.rejection is not None and result.rejection.reason is Reason.ADDRESS_NOT_USABLE


def _socket_programming(view: View, key: SocketKey, claimant: ListenerKey) -> Programming:
    grants = view.get(GRANTS, port_of(key))
    claim = blocking(grants or (), key, claimant)
    if claim is not None:
        return Programming(Rejection(Reason.PORT_UNAVAILABLE, _held(key, claim.listener, claimant)))
    socket = view.get(SOCKETS, key)
    outcome = view.get(OUTCOMES, key)
    match outcome:
        case Live(revision=revision, note=note) if socket is not None and revision == socket.revision:
            return Programming(None, note=note) if note else _PROGRAMMED
        case Failed(revision=revision, reason=reason, message=message) if socket and revision == socket.revision:
            return Programming(Rejection(_REASONS[reason], message))
        case Pending(revision=revision, message=message) if message and socket and revision == socket.revision:
            return Programming(Rejection(Reason.PENDING, message))
        case _:
            message = "waiting for the data plane to confirm the configuration"
            return Programming(Rejection(Reason.PENDING, message), waiting=True)


def _held(key: SocketKey, holder: ListenerKey, claimant: ListenerKey) -> str:
    """Who holds a port; Gateways of other namespaces are not named."""
    if holder.owner.namespace != claimant.owner.namespace:
        return f"port {key.port} is held by an older Gateway of another namespace"
    return f"port {key.port} is held by listener {holder.listener} of Gateway {holder.owner.path}, which is older"


_PROGRAMMED = Programming(None)

_REASONS = {
    FailureReason.PORT_UNAVAILABLE: Reason.PORT_UNAVAILABLE,
    FailureReason.ADDRESS_NOT_USABLE: Reason.ADDRESS_NOT_USABLE,
    FailureReason.INVALID: Reason.INVALID,
}


def gateway_programming(
    decision: GatewayDecision, listeners: Sequence[Programming], addresses: Addresses, trouble: Trouble | None
) -> Programming:
    """A Gateway is programmed while its addresses are usable and at least one listener works.

    ``trouble`` with its own objects is the cause where it is not programmed, and worth a note where it is.
    """
    waiting = any(listener.waiting for listener in listeners)
    if decision.rejection is not None:
        return Programming(Rejection(Reason.INVALID, f"not accepted: {decision.rejection.message}"))
    if addresses.rejection is not None:
        return Programming(_because(addresses.rejection, trouble), waiting=waiting or addresses.waiting)
    if any(listener.rejection is None for listener in listeners):
        note = f"but it is not as it should be: {trouble.message}" if trouble is not None else ""
        return Programming(None, waiting=waiting, note=note)
    rejections = [listener.rejection for listener in listeners if listener.rejection is not None]
    pending = any(rejection.reason is Reason.PENDING for rejection in rejections)
    reason = Reason.PENDING if pending else Reason.INVALID
    messages = dict.fromkeys(rejection.message for rejection in rejections)
    rejection = Rejection(reason, f"no listener is programmed: {'; '.join(messages)}")
    return Programming(_because(rejection, trouble), waiting=waiting)


def _because(rejection: Rejection, trouble: Trouble | None) -> Rejection:
    """The rejection, with its cause; an address that cannot be used stays the reason that it is."""
    if trouble is None:
        return rejection
    specific = rejection.reason is not Reason.ADDRESS_NOT_USABLE
    reason = _TROUBLES.get(trouble.reason, rejection.reason) if specific else rejection.reason
    return Rejection(reason, f"{rejection.message}; {trouble.message}")


_TROUBLES = {TroubleReason.NO_RESOURCES: Reason.NO_RESOURCES, TroubleReason.REFUSED: Reason.INVALID}
