"""The table of listener protocols (Gateway API ``ProtocolType``): transport, and who clashes with whom."""

from __future__ import annotations

import msgspec

from tidegate.core.reasons import Reason
from tidegate.core.routes.table import kinds_for
from tidegate.model.gateway import Listener
from tidegate.plan.features import Features


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """``transport`` is what a socket of the protocol speaks; ``by_hostname``: listeners of one port are
    told apart by their hostname.
    """

    name: str
    transport: str
    by_hostname: bool = False


PROTOCOLS: dict[str, Protocol] = {
    row.name: row
    for row in (
        Protocol(name="TCP", transport="TCP"),
        Protocol(name="UDP", transport="UDP"),
        Protocol(name="TLS", transport="TCP", by_hostname=True),
        Protocol(name="HTTP", transport="TCP", by_hostname=True),
        Protocol(name="HTTPS", transport="TCP", by_hostname=True),
    )
}


def is_served(protocol: str, features: Features) -> bool:
    """Whether listeners of ``protocol`` work here: the plane carries it and a route kind fits it."""
    return protocol in PROTOCOLS and protocol in features.protocols and bool(kinds_for(protocol))


def clash(left: Listener, right: Listener) -> Reason | None:
    """Why two served listeners of one object scope cannot both be, or None (Gateway API, listener
    distinctness; GEP-2643, GEP-2644, GEP-2645).
    """
    one, other = PROTOCOLS[left.protocol], PROTOCOLS[right.protocol]
    if left.port != right.port or one.transport != other.transport:
        return None
    if one != other or not one.by_hostname:
        return Reason.PROTOCOL_CONFLICT
    if left.hostname == right.hostname:
        return Reason.HOSTNAME_CONFLICT
    modes = {listener.tls.mode if listener.tls else None for listener in (left, right)}
    return Reason.PROTOCOL_CONFLICT if one.name == "TLS" and len(modes) > 1 else None
