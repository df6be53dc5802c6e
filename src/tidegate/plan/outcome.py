"""What a data plane did with each socket. Outcomes are levels: the newest one of a socket holds.

Outcomes are tagged with their kind, so that one replica can send them to another.
"""

from __future__ import annotations

import enum

import msgspec

from tidegate.names import ListenerKey, ObjectKey, SocketKey


class FailureReason(enum.Enum):
    """Why a socket does not serve."""

    PORT_UNAVAILABLE = "PortUnavailable"
    """The port is taken, or may not be bound by this user."""
    ADDRESS_NOT_USABLE = "AddressNotUsable"
    """The address is not one of this host."""
    INVALID = "Invalid"
    """The data plane rejected the configuration."""


class Pending(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The plane has not confirmed ``revision`` yet, or is down; ``message`` says which, for people."""

    revision: str
    message: str = ""


class Live(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """New connections are served by exactly ``revision``.

    ``note`` says, for people, which clients are refused because the plane cannot bring them to a backend.
    """

    revision: str
    note: str = ""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """``revision`` does not serve. The plane keeps trying without being asked again."""

    revision: str
    reason: FailureReason
    message: str


Outcome = Pending | Live | Failed


class SocketReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The newest outcome of a socket; None when the socket is gone."""

    socket: SocketKey
    outcome: Outcome | None


class AddressReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The addresses at which the wildcard sockets of a scope are reachable, best first.

    None yet: ``addresses`` is empty and ``message`` says why.
    """

    scope: str
    addresses: tuple[str, ...]
    message: str = ""


Report = SocketReport | AddressReport


class Traffic(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Counters of the connections that one route served on one listener.

    All but ``active`` only ever grow while the instance's state directory lives. ``received`` and
    ``sent`` are bytes from and to clients. ``route`` None: the listener had no route. ``backend`` is the label of
    the share, from a data plane that counts each apart; those of one route add up to the route's.
    """

    listener: ListenerKey
    route: ObjectKey | None
    backend: str = ""
    opened: int
    refused: int
    active: int
    received: int
    sent: int
