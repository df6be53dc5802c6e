"""The table as it stands before there is any listener: chains, maps and rules, in the language of ``nft``. Pure.

::

      from other hosts                                     from this host
            │                                                    │
    prerouting (nat, -105)                                output (nat, -105)
            └──────────────────────┐      ┌──────────────────────┘
                                   ▼      ▼
      find      not the first packet, or not to an address of this host, or to a link-local one: left alone
                sockets4, sockets6 (address . protocol . port), sockets (protocol . port)
                give the mark of a lane or of a choice; without an entry: left alone
                                   ▼
      serve     a choice draws one of its lanes by weight; the lane counts the connection
                                   ▼
      serve4, serve6     where is the client?
          │ at 127.0.0.1, ::1      │ on this host      │ elsewhere
          ▼                        ▼                   │
      loopback4, loopback6     here4, here6            │
          │ ▲ rows: lane .         │      └──────────▶ ▼
          │   drawn number         │          endpoints4, endpoints6
          │                        ▼                   ▼
          │                   dnat to the endpoint of the row
          └── no row ──▶ refuse ◀──────── no row ──────┘
                         counted, answered by a TCP reset

    postrouting (nat, 95)               masquerades what was translated and leaves this host
    count-input (filter, 105),          count the packets of marked connections where they end or leave,
    count-postrouting (filter, 105)     each once, by lane and direction
    guard (filter, -300)                with --allow-route-localnet: nobody else uses 127.0.0.0/8 from outside

Priorities: -105 stands before the destination translation of others (-100: Docker, kube-proxy; -90: firewalld), so
that a listener that is said to serve does; 95 before their source translation (100), so that they do not masquerade
what is to keep its source. 105 stands after all that may drop a packet or translate it: what is counted was carried.

Chains of type nat see only the first packet of a connection; what follows is translated by connection tracking, which
knows nothing of this table. So whatever changes here, no established connection notices.

A row is found by the lane and a number drawn below the number of the lane's endpoints. nft draws below constants
only, so there is a map for each number of endpoints in use, a *rung*; the rungs of a ladder are tried in turn. A chain
for every pool would be simpler, but the kernel checks all chains again whenever one is added (docs/decisions/0004).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import msgspec

from tidegate.dataplanes.nftables import marks
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.ruleset import Ladder, Rung

FAMILY = "inet"

DESTINATION_PRIORITY, SOURCE_PRIORITY = -105, 95
"""Where destinations and sources of connections are translated."""

SEALED = "find"
"""The chain that says, by the comment of a rule, how the structure was written."""

_REFUSE = "refuse"
_COUNTERS = "flags dynamic; counter;"


class TableName(msgspec.Struct, frozen=True):
    """A table of ours."""

    instance: str

    def __str__(self) -> str:
        return f"tidegate-{self.instance}"


def chains(options: NftablesOptions) -> dict[str, str]:
    """All chains by name, with the hook of those that have one. Choices have further ones."""
    hooks = {
        "prerouting": f"type nat hook prerouting priority {DESTINATION_PRIORITY}; policy accept;",
        "output": f"type nat hook output priority {DESTINATION_PRIORITY}; policy accept;",
        "postrouting": f"type nat hook postrouting priority {SOURCE_PRIORITY}; policy accept;",
        "count-input": "type filter hook input priority 105; policy accept;",
        "count-postrouting": "type filter hook postrouting priority 105; policy accept;",
    }
    if options.allow_route_localnet:
        hooks["guard"] = "type filter hook prerouting priority -300; policy accept;"
    plain = ["find", "serve", "serve4", "serve6", *(ladder_chain(one, 4) for one in Ladder),
             *(ladder_chain(one, 6) for one in Ladder), _REFUSE]  # fmt: skip
    return hooks | dict.fromkeys(plain, "")


def ladder_chain(ladder: Ladder, version: int) -> str:
    """The chain that tries the rungs of a ladder, for one address family."""
    return f"{ladder.value}{version}"


def table(
    name: TableName,
    comment: str,
    prefix: int,
    options: NftablesOptions,
    *,
    rungs: Collection[Rung] = (),
    idle: Iterable[Rung] = (),
    obsolete: Iterable[str] = (),
) -> str:
    """What makes the table, or makes an existing one the same without losing an element: one transaction.

    ``rungs`` are the maps of endpoints that there must be, ``idle`` those of an existing table that are not used any
    more, ``obsolete`` its chains that are ours no more.
    """
    here = f"{FAMILY} {name}"
    ours = chains(options)
    lines = [f'table {here} {{\n\tcomment "{comment}"', *_MAPS]
    lines += [f"\tchain {chain} {{ {hook} }}" for chain, hook in ours.items()]
    lines += ["}", *(f"flush chain {here} {chain}" for chain in (*ours, *obsolete))]
    lines += [f"delete chain {here} {chain}" for chain in obsolete]
    lines.append(f"table {here} {{")
    mark = f' comment "written as {seal(prefix, options)}"'
    for chain, rules in _rules(prefix, options).items():
        marked = [rule + mark * (chain == SEALED and not position) for position, rule in enumerate(rules)]
        lines += [f"\tchain {chain} {{", *(f"\t\t{rule}" for rule in marked), "\t}"]
    lines.append("}")
    return "\n".join(lines) + "\n" + ladders(name, rungs, idle)


def seal(prefix: int, options: NftablesOptions) -> str:
    """Another one for each other structure: that of another version, or with other options."""
    sample = [Rung(ladder.value, version, 2) for ladder in Ladder for version in (4, 6)]
    whole = (_MAPS, chains(options), _rules(prefix, options), ladders(TableName(""), sample))
    return hashlib.sha256(repr(whole).encode()).hexdigest()[:16]


def stands(
    sets: Collection[str],
    present: Mapping[str, int],
    comments: Iterable[bytes],
    prefix: int,
    options: NftablesOptions,
    *,
    rungs: Collection[Rung],
) -> bool:
    """Whether a table has this structure already, with these rungs: nothing of it is to be written again.

    In: the names of its sets; its chains, with how many rules each holds and leads to it; and what is written beside
    the rules of ``SEALED``.
    """
    rules = _rules(prefix, options) | _climbing(rungs)
    led = Counter(rule.partition("goto ")[2] for each in rules.values() for rule in each)
    wanted = {chain: len(each) + led[chain] for chain, each in rules.items()}
    maps = {line.split()[1] for line in _MAPS} | {rung.map for rung in rungs}
    written = f"written as {seal(prefix, options)}".encode() in comments
    return written and maps <= set(sets) and wanted.items() <= present.items()


def ladders(name: TableName, rungs: Collection[Rung], idle: Iterable[Rung] = ()) -> str:
    """What makes the ladders have these rungs and no others in use, and removes ``idle`` ones: one transaction."""
    here = f"{FAMILY} {name}"
    lines = []
    for rung in sorted(rungs):
        data = "ip daddr . tcp dport" if rung.version == 4 else "ip6 daddr . tcp dport"
        key = f"ct mark . numgen random mod {rung.size}"
        lines.append(f"add map {here} {rung.map} {{ typeof {key} : {data}; }}")
    for chain, rules in _climbing(rungs).items():
        lines.append(f"flush chain {here} {chain}")
        lines += [f"add rule {here} {chain} {rule}" for rule in rules]
    lines += [f"delete map {here} {rung.map}" for rung in sorted(idle)]
    return "\n".join(lines) + "\n"


def _climbing(rungs: Collection[Rung]) -> dict[str, list[str]]:
    """The rules of every ladder."""
    found: dict[str, list[str]] = {}
    for ladder in Ladder:
        for version in (4, 6):
            own = [rung for rung in sorted(rungs) if (rung.ladder, rung.version) == (ladder.value, version)]
            target = "dnat ip to" if version == 4 else "dnat ip6 to"
            end = ladder_chain(Ladder.EVERYBODY, version) if ladder is Ladder.HERE else _REFUSE
            found[ladder_chain(ladder, version)] = [
                *(f"meta l4proto tcp {target} ct mark . numgen random mod {rung.size} map @{rung.map}" for rung in own),
                f"goto {end}",
            ]
    return found


_MAPS = (
    "\tmap sockets4 { type ipv4_addr . inet_proto . inet_service : mark; }",
    "\tmap sockets6 { type ipv6_addr . inet_proto . inet_service : mark; }",
    "\tmap sockets { type inet_proto . inet_service : mark; }",
    "\tmap choices { type mark : verdict; }",
    "\tset lanes { type mark; }",
    f"\tset opened {{ type mark; size {marks.NUMBERS}; {_COUNTERS} }}",
    f"\tset refused {{ type mark; size {marks.NUMBERS}; {_COUNTERS} }}",
    f"\tset traffic {{ typeof ct mark . ct direction; size {2 * marks.NUMBERS}; {_COUNTERS} }}",
    "\tset hairpins4 { type mark . ipv4_addr . ipv4_addr; }",
    "\tset hairpins6 { type mark . ipv6_addr . ipv6_addr; }",
)


def _rules(prefix: int, options: NftablesOptions) -> dict[str, list[str]]:
    """The rules of every chain but the ladders."""
    ours = f"ct mark and {marks.MASK:#010x} == {prefix:#010x}"
    count = "update @traffic { ct mark . ct direction counter }"
    # A connection that another one announced (RELATED) inherits its mark, but is not translated by us.
    translated = f'oif != "lo" {ours} ct status dnat'
    rules = {
        "prerouting": ["goto find"],
        "output": ["goto find"],
        "find": [
            # A connection that began before there was connection tracking here is not taken over in its middle.
            "tcp flags & (fin | syn | rst | ack) != syn return",
            # Its clients have no way beyond their link, and a reset from here may leave by another: the host sends one.
            "ip6 daddr fe80::/10 return",
            "fib daddr type != local return",
            "ct mark set ip daddr . meta l4proto . th dport map @sockets4 goto serve",
            "ct mark set ip6 daddr . meta l4proto . th dport map @sockets6 goto serve",
            "ct mark set meta l4proto . th dport map @sockets goto serve",
        ],
        "serve": [
            "ct mark vmap @choices",
            "update @opened { ct mark counter }",
            "meta nfproto ipv4 goto serve4",
            "goto serve6",
        ],
        "serve4": ["ip saddr 127.0.0.0/8 goto loopback4", "fib saddr type local goto here4", "goto endpoints4"],
        "serve6": ["ip6 saddr ::1 goto loopback6", "fib saddr type local goto here6", "goto endpoints6"],
        # Without its mark, because the reset belongs to the same connection and is not to be counted.
        _REFUSE: ["update @refused { ct mark counter }", "ct mark set 0", "meta l4proto tcp reject with tcp reset"],
        "postrouting": _masquerade(translated, options),
        # The only rules that established connections meet: one of them for a packet that is forwarded.
        "count-input": [f"{ours} {count}"],
        # What goes to the loopback comes in again in a moment.
        "count-postrouting": [f'{ours} oif != "lo" {count}'],
    }
    if options.allow_route_localnet:
        rules["guard"] = ['iif != "lo" ip daddr 127.0.0.0/8 drop', 'iif != "lo" ip saddr 127.0.0.0/8 drop']
    return rules


def _masquerade(translated: str, options: NftablesOptions) -> list[str]:
    # The client's port is kept where it is free. A random one would often be one that the backend remembers of another
    # connection (TIME_WAIT), whose timestamps make it turn the new one away for a second (RFC 7323, PAWS).
    if not options.preserve_source:
        return [f"{translated} masquerade"]
    return [
        # An address of the loopback means nothing to another host.
        f"{translated} ip saddr 127.0.0.0/8 masquerade",
        # A backend that is its own client would answer itself past this host.
        f"{translated} ct mark . ip saddr . ip daddr @hairpins4 masquerade",
        f"{translated} ct mark . ip6 saddr . ip6 daddr @hairpins6 masquerade",
    ]
