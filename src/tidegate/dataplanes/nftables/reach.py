"""Which clients the kernel can bring to which endpoints, and what to say about those that it cannot. Pure.

Where the client is decides, and where the endpoint is::

    client                      endpoint on   loopback      this host   another host
    on another host             IPv4          with R        yes         while IPv4 is forwarded
                                IPv6          never         yes         while IPv6 is forwarded
    on this host                IPv4, IPv6    yes           yes         yes
    on this host, at 127.0.0.1  IPv4          yes           yes         with R
    on this host, at ::1        IPv6          yes           yes         never

R: ``--allow-route-localnet``. Translation never crosses address families. An endpoint that a client cannot reach is
not offered to it; a backend that has no other one refuses it, at once and by name in the status, because the packets
would be dropped on their way and the client would wait for a time-out.
"""

from __future__ import annotations

import enum
import ipaddress
import sys
from collections.abc import Collection, Iterable, Mapping

import msgspec

from tidegate.names import WILDCARD_ADDRESS
from tidegate.plan.types import Endpoint


class Client(enum.IntEnum):
    """Where a client is."""

    ELSEWHERE = 0
    HERE = 1
    LOOPBACK = 2


class Family(enum.IntEnum):
    """An address family, by its version."""

    IPV4 = 4
    IPV6 = 6

    @property
    def label(self) -> str:
        """``IPv4`` or ``IPv6``."""
        return f"IPv{self.value}"


Audience = tuple[Client, Family]
"""Clients that the kernel can bring to the same endpoints."""


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of this host: its addresses, for which families it forwards packets, and whether 127.0.0.1 may be
    crossed between it and others.
    """

    addresses: frozenset[str] = frozenset()
    forwards: frozenset[Family] = frozenset(Family)
    routes_localnet: bool = False


class Place(enum.IntEnum):
    """Where an endpoint is."""

    LOOPBACK = 0
    HERE = 1
    ELSEWHERE = 2


Kind = tuple[Family, Place]


class Located(msgspec.Struct, frozen=True):
    """An endpoint, and what its address says; ``kind`` None: no connection can be translated to it."""

    packed: bytes
    port: int
    kind: Kind | None


class Ways(msgspec.Struct, frozen=True):
    """The endpoints of a pool, and those among them that each audience gets; one without any is absent.

    ``kinds`` are those of all endpoints.
    """

    located: tuple[Located, ...]
    kinds: frozenset[Kind]
    offered: Mapping[Audience, tuple[Located, ...]]

    def to(self, client: Client, family: Family) -> tuple[Located, ...]:
        """What an audience gets; nothing: it is refused."""
        return self.offered.get((client, family), ())


class Reach:
    """The table above, for the facts of one host at one time."""

    def __init__(self, facts: HostFacts) -> None:
        self.facts = facts
        self._clients = {
            (family, place): tuple(client for client in Client if reachable(client, family, place, facts))
            for family in Family
            for place in Place
        }
        self._audiences: dict[str, tuple[Audience, ...]] = {}
        self._refusals: dict[tuple[str, frozenset[Kind]], tuple[tuple[str, str], ...]] = {}

    def differs(self, before: Reach, endpoints: Iterable[Endpoint]) -> bool:
        """Whether a pool may have other ways than it had ``before``."""
        if msgspec.structs.replace(before.facts, addresses=self.facts.addresses) != self.facts:
            return True
        moved = self.facts.addresses ^ before.facts.addresses
        return any(plain(endpoint.address) in moved for endpoint in endpoints)

    def ways(self, endpoints: Iterable[Endpoint]) -> Ways:
        """Who gets which of a pool's endpoints."""
        located = tuple(locate(endpoint, self.facts) for endpoint in endpoints)
        kinds = frozenset(one.kind for one in located if one.kind is not None)
        offered: dict[Audience, tuple[Located, ...]] = {}
        for family in {family for family, _ in kinds}:
            for client in Client:
                found = tuple(one for one in located if one.kind in kinds and self._gets(client, family, one.kind))
                if found:
                    offered[client, family] = found
        return Ways(located, kinds, offered)

    def limits(self, address: str, backends: Iterable[tuple[str, frozenset[Kind]]]) -> str:
        """What to say about clients of a socket on ``address`` that are refused by backends, of which the label and the
        kinds of their endpoints are given; empty when there is nothing to say. Kept once, as it is said of many.
        """
        said = (
            f"{whom} are refused by {label}, {why}"
            for label, kinds in backends
            for whom, why in self._refused(address, kinds)
        )
        return sys.intern("; ".join(said))

    def audiences(self, address: str) -> tuple[Audience, ...]:
        """Who can connect to a socket on ``address``."""
        found = self._audiences.get(address)
        if found is None:
            found = self._audiences[address] = _audiences(address, self.facts)
        return found

    def _gets(self, client: Client, family: Family, kind: Kind | None) -> bool:
        return kind is not None and kind[0] is family and client in self._clients[kind]

    def _refused(self, address: str, kinds: frozenset[Kind]) -> tuple[tuple[str, str], ...]:
        """Who is refused by a backend with endpoints of these kinds, and why."""
        found = self._refusals.get((address, kinds))
        if found is None:
            reasons: dict[str, dict[str, None]] = {}
            for client, family in self.audiences(address):
                if not any(self._gets(client, family, kind) for kind in kinds):
                    whom, why = _explanation(client, family, {place for one, place in kinds if one is family})
                    reasons.setdefault(why, {})[whom] = None
            found = tuple((" and ".join(whom), why) for why, whom in reasons.items())
            self._refusals[address, kinds] = found
        return found


def locate(endpoint: Endpoint, facts: HostFacts) -> Located:
    """Where an endpoint is. A link-local address is nowhere: it lacks its interface."""
    text = endpoint.address
    if ":" in text:
        address = ipaddress.IPv6Address(text)
        if address.ipv4_mapped is None:
            here = Place.HERE if text in facts.addresses else Place.ELSEWHERE
            place = Place.LOOPBACK if address.is_loopback else here
            return Located(address.packed, endpoint.port, None if address.is_link_local else (Family.IPV6, place))
        text = str(address.ipv4_mapped)
    packed = bytes(map(int, text.split(".")))
    here = Place.HERE if text in facts.addresses else Place.ELSEWHERE
    return Located(packed, endpoint.port, (Family.IPV4, Place.LOOPBACK if packed[0] == _LOOPBACK_NETWORK else here))


def plain(address: str) -> str:
    """An address in text form, an IPv4-mapped one as the IPv4 address that it is."""
    mapped = ipaddress.IPv6Address(address).ipv4_mapped if address.startswith("::ffff:") else None
    return str(mapped) if mapped is not None else address


def reachable(client: Client, family: Family, place: Place, facts: HostFacts) -> bool:
    """The table above."""
    crosses = family is Family.IPV4 and facts.routes_localnet
    match client, place:
        case Client.ELSEWHERE, Place.LOOPBACK:
            return crosses
        case Client.ELSEWHERE, Place.ELSEWHERE:
            return family in facts.forwards
        case Client.LOOPBACK, Place.ELSEWHERE:
            return crosses
        case _:
            return True


_LOOPBACK_NETWORK = 127
_NEAR = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
_SYSCTL = {Family.IPV4: "net.ipv4.ip_forward=1", Family.IPV6: "net.ipv6.conf.all.forwarding=1"}


def _audiences(address: str, facts: HostFacts) -> tuple[Audience, ...]:
    if address != WILDCARD_ADDRESS:
        parsed = ipaddress.ip_address(address)
        family = Family(parsed.version)
        if parsed.is_loopback:
            return ((Client.LOOPBACK, family),)
        return ((Client.ELSEWHERE, family), (Client.HERE, family))
    present = [ipaddress.ip_address(one) for one in facts.addresses]
    near = {Family(one.version) for one in present}
    # An address that is only for this host or a single link brings no other clients.
    wide = {Family(one.version) for one in present if not one.is_loopback and not one.is_link_local}
    return tuple(
        (client, family)
        for client in Client
        for family in Family
        if family in (near if client is Client.LOOPBACK else wide)
    )


def _explanation(client: Client, family: Family, places: Collection[Place]) -> tuple[str, str]:
    """Who gets none of a backend's endpoints, which are in these places, and why. Clients on this host lack only
    endpoints of their family.
    """
    crossing = " (--allow-route-localnet)" if family is Family.IPV4 else ""
    if not places:
        return f"{family.label} clients", f"which has no {family.label} endpoint"
    if client is Client.LOOPBACK:
        why = f"which is on another host, where {_NEAR[family]} means nothing{crossing}"
        return f"clients at {_NEAR[family]}", why
    whom = f"{family.label} clients on other hosts"
    if Place.ELSEWHERE in places:
        return whom, f"because this host does not forward {family.label} (sysctl {_SYSCTL[family]})"
    return whom, f"which listens on this host's loopback only{crossing}"
