"""Looks at the host for what ``judging`` wants to know: reads ``/proc``, sockets and ``nft``, and changes nothing.

What may not be seen is left out of the facts, not guessed. Blocks, for a second at most.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tidegate.dataplanes.diagnosis.facts import Conntrack, EnvoyFacts, Interface, KernelFacts, Listener
from tidegate.dataplanes.diagnosis.foreignrules import gates_and_grips
from tidegate.dataplanes.envoy import binary
from tidegate.dataplanes.nftables import host, marks, structure
from tidegate.dataplanes.nftables.adoption import origin_of
from tidegate.dataplanes.nftables.instancelock import is_held
from tidegate.dataplanes.nftables.kernel import Kernel
from tidegate.dataplanes.nftables.nft import Nft
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.reach import Family
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.dataplanes.ports import foreign_listeners
from tidegate.errors import DataPlaneError
from tidegate.names import WILDCARD_ADDRESS

_PROBE = TableName("doctor")
_SYS = host.PROC / "sys" / "net"
_SOCKETS = ("sockets", "sockets4", "sockets6")
_LEGACY = ("ip_tables_names", "ip6_tables_names")
_NOT_INTERFACES = frozenset({"all", "default", "lo"})
_CAP_NET_BIND_SERVICE = 10
_FIRST_FREE_PORT = 1024
_NO_LIMIT = 1 << 30


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A listener to look for: its name, its addresses, and its port."""

    name: str
    addresses: tuple[str, ...]
    port: int


def listeners(wanted: Sequence[Wanted], *, served: bool) -> tuple[Listener, ...]:
    """The listeners with who holds their ports; ``served``: it is our own Envoy that does, so nobody is looked for."""
    sockets = [] if served else [(address, one.port) for one in wanted for address in one.addresses]
    held = foreign_listeners(sockets, ())
    return tuple(
        Listener(
            name=one.name,
            port=one.port,
            holder=next(
                (held[key].description for address in one.addresses if (key := (address, one.port)) in held), ""
            ),
        )
        for one in wanted
    )


def envoy(chosen: Path | None) -> EnvoyFacts:
    """What the Envoy plane depends on."""
    import resource

    version = trouble = ""
    try:
        version = binary.find(chosen).version
    except DataPlaneError as error:
        trouble = str(error)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    start = _SYS / "ipv4" / "ip_unprivileged_port_start"
    return EnvoyFacts(
        program=version,
        trouble=trouble,
        open_files=_NO_LIMIT if hard == resource.RLIM_INFINITY else hard,
        workers=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        lowest_port=host.read_number(start) if start.exists() else _FIRST_FREE_PORT,
        privileged=_may_bind_low(),
    )


def kernel() -> KernelFacts:
    """What the kernel plane depends on."""
    if sys.platform != "linux":
        return KernelFacts(linux=False, net_admin=False, forwards_ipv4=False, forwards_ipv6=False)
    seen: dict[str, Any] = {}
    net_admin = host.has_net_admin()
    try:
        nft = Nft()
        seen["nft"] = nft.version()
        if net_admin:
            seen |= _rules(nft)
    except DataPlaneError as error:
        seen["nft_trouble"] = str(error)
    return KernelFacts(
        linux=True,
        net_admin=net_admin,
        forwards_ipv4=host.forwards(Family.IPV4),
        forwards_ipv6=host.forwards(Family.IPV6),
        interfaces=_interfaces(),
        conntrack=_conntrack(),
        legacy=_legacy(),
        **seen,
    )


def _rules(nft: Nft) -> dict[str, Any]:
    """Whether the kernel takes our rules, and what those of others do. Raises DataPlaneError when nft does not work."""
    try:
        nft.check(structure.table(_PROBE, "", marks.prefix(0), NftablesOptions()))
    except DataPlaneError as error:
        return {"refusal": str(error)}
    kernel = Kernel(_PROBE)
    try:
        ours = {table.name for table in kernel.tables() if origin_of(table) is not None}
    finally:
        kernel.close()
    # Without the elements of sets and maps, of which there can be very many.
    listing = msgspec.json.decode(nft.read("--json", "--terse", "--stateless", "list", "ruleset"))
    gates, grips = gates_and_grips(listing, ours)
    chains = (entry["chain"] for entry in listing["nftables"] if "chain" in entry)
    return {
        "gates": gates,
        "grips": grips,
        "tables": tuple(sorted(ours)),
        "held": frozenset(filter(is_held, ours)),
        "guarded": any(chain["table"] in ours and chain["name"] == "guard" for chain in chains),
        "doors": {table: _doors(nft, table) for table in sorted(ours)} if len(ours) > 1 else {},
    }


def _doors(nft: Nft, table: str) -> frozenset[tuple[str, int]]:
    """The addresses and ports that a table of ours takes; none when it has gone meanwhile."""
    found: set[tuple[str, int]] = set()
    for name in _SOCKETS:
        with contextlib.suppress(DataPlaneError):
            listing = msgspec.json.decode(nft.read("--json", "list", "map", structure.FAMILY, table, name))
            [listed] = (entry["map"] for entry in listing["nftables"] if "map" in entry)
            for key, _ in listed.get("elem", ()):
                *address, _protocol, port = key["concat"]
                found.add((address[0] if address else WILDCARD_ADDRESS, port))
    return frozenset(found)


def _interfaces() -> tuple[Interface, ...]:
    directory = _SYS / "ipv4" / "conf"
    everywhere = directory / "all"
    found = []
    with contextlib.suppress(OSError):
        found = sorted(one for one in directory.iterdir() if one.name not in _NOT_INTERFACES)
    return tuple(
        Interface(
            name=one.name,
            # The kernel takes the greater of the two, and of route_localnet either.
            rp_filter=max(host.read_number(place / "rp_filter") for place in (one, everywhere)),
            route_localnet=any(host.read_number(place / "route_localnet") for place in (one, everywhere)),
        )
        for one in found
    )


def _conntrack() -> Conntrack | None:
    directory = _SYS / "netfilter"
    limit = host.read_number(directory / "nf_conntrack_max")
    if not limit:
        return None
    return Conntrack(
        count=host.read_number(directory / "nf_conntrack_count"),
        limit=limit,
        liberal=bool(host.read_number(directory / "nf_conntrack_tcp_be_liberal")),
    )


def _legacy() -> tuple[str, ...]:
    """The tables of iptables-legacy; only root may read their names."""
    found: list[str] = []
    for file in _LEGACY:
        with contextlib.suppress(OSError):
            found += (host.PROC / "net" / file).read_text().split()
    return tuple(dict.fromkeys(found))


def _may_bind_low() -> bool:
    """Whether a child of this process may open all ports."""
    if sys.platform != "linux":
        return os.geteuid() == 0
    status = (host.PROC / "self" / "status").read_text().splitlines()
    effective = next((line.split()[1] for line in status if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> _CAP_NET_BIND_SERVICE & 1)
