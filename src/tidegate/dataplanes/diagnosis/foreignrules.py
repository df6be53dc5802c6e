"""Reads the rules of others, as ``nft -j list ruleset`` prints them, for what they do to new TCP connections. Pure.

In: that JSON, and which tables are ours. Out: *gates*, chains at a hook, and *grips*, rules reachable from there that
accept, drop or translate a connection, with the ports they are limited to.

As far as can be seen: the order of rules, the contents of named sets, and extensions of iptables that ``nft`` does not
know are not followed. A grip with a condition that is not understood says so by ``conditional``, and one of which it
cannot be told for which ports it is, or what it does, by ``opaque``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

Ports = tuple[tuple[int, int], ...]
"""Ranges of ports, both ends included."""

_HOOKS = frozenset({"prerouting", "input", "forward", "output"})
_VERDICTS = frozenset({"accept", "drop", "reject", "dnat", "redirect", "tproxy"})
_LEADS = frozenset({"jump", "goto"})
_TCP = frozenset({"tcp", 6})
_NATIVE = {"DNAT": "dnat", "NETMAP": "dnat", "REDIRECT": "redirect", "TPROXY": "tproxy", "REJECT": "reject"}
"""Targets of iptables that ``nft`` does not translate, and what they are here."""

_HARMLESS = frozenset(
    {"AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "DSCP", "HL", "LOG", "MARK", "MASQUERADE", "NFLOG",
     "RATEEST", "SECMARK", "SET", "SNAT", "TCPMSS", "TCPOPTSTRIP", "TOS", "TRACE", "TTL"}
)  # fmt: skip
"""Targets that neither keep a connection away nor change where it goes."""

UNKNOWN = "what cannot be told"
"""The verdict of a rule of which ``nft`` does not say enough."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """A chain at a hook. ``drops``: what no rule accepts, it drops."""

    label: str
    kind: str
    hook: str
    priority: int
    drops: bool


class Grip(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule does, and where: ``label`` is its chain, ``gate`` the chain at a hook that leads there.

    ``ports`` None: all, or some that cannot be told. ``conditional``: only for some connections. ``opaque``: the part
    of the rule, or of one that leads there, that cannot be understood; empty when there is none.
    """

    label: str
    gate: Gate
    verdict: str
    ports: Ports | None = None
    conditional: bool = False
    opaque: str = ""

    def takes(self, port: int) -> bool:
        """Whether it may be about connections to a port."""
        return self.ports is None or any(first <= port <= last for first, last in self.ports)


class _Scope(msgspec.Struct, frozen=True):
    """Which connections come to a rule."""

    ports: Ports | None = None
    conditional: bool = False
    opaque: str = ""

    def veiled(self, by: str) -> _Scope:
        """Some of these connections: which ones, only ``by`` knows."""
        return msgspec.structs.replace(self, conditional=True, opaque=by)


_ChainName = tuple[str, str, str]


def gates_and_grips(listing: Mapping[str, Any], ours: Collection[str]) -> tuple[tuple[Gate, ...], tuple[Grip, ...]]:
    """All gates and grips outside of our tables, which are those of the family inet with these names."""
    rules: dict[_ChainName, list[Sequence[Mapping[str, Any]]]] = {}
    gates: dict[_ChainName, Gate] = {}
    for entry in listing.get("nftables", ()):
        if "chain" in entry:
            chain = entry["chain"]
            name = (chain["family"], chain["table"], chain["name"])
            if chain.get("hook") in _HOOKS and not _is_ours(name, ours):
                gates[name] = Gate(
                    label=" ".join(name),
                    kind=chain["type"],
                    hook=chain["hook"],
                    priority=chain["prio"],
                    drops=chain.get("policy") == "drop",
                )
        elif "rule" in entry:
            rule = entry["rule"]
            rules.setdefault((rule["family"], rule["table"], rule["chain"]), []).append(rule["expr"])
    grips = [grip for name, gate in gates.items() for grip in _walk(name, gate, _Scope(), rules, ())]
    return tuple(gates.values()), tuple(dict.fromkeys(grips))


def _is_ours(chain: _ChainName, ours: Collection[str]) -> bool:
    return chain[0] == "inet" and chain[1] in ours


def _walk(
    chain: _ChainName,
    gate: Gate,
    scope: _Scope,
    rules: Mapping[_ChainName, Sequence[Sequence[Mapping[str, Any]]]],
    path: tuple[_ChainName, ...],
) -> Iterator[Grip]:
    """The grips in a chain and in those it leads to. The kernel has no circles, but a listing may be cut from two."""
    if chain in path:
        return
    for rule in rules.get(chain, ()):
        for reached, verdict, target in _ends(rule, scope):
            if verdict in _LEADS:
                yield from _walk((*chain[:2], target), gate, reached, rules, (*path, chain))
            else:
                yield Grip(
                    label=" ".join(chain),
                    gate=gate,
                    verdict=verdict,
                    ports=reached.ports,
                    conditional=reached.conditional,
                    opaque=reached.opaque,
                )


def _ends(rule: Sequence[Mapping[str, Any]], scope: _Scope) -> Iterator[tuple[_Scope, str, str]]:
    """How a rule can end for new TCP connections: for which of them, by what verdict, and where it leads."""
    for statement in rule:
        [(kind, content)] = statement.items()
        if kind == "match":
            narrowed = _matched(content, scope)
            if narrowed is None:
                return
            scope = narrowed
        elif kind == "vmap":
            yield from _mapped(content, scope)
        elif kind in _LEADS:
            yield scope, kind, content["target"]
        elif kind in _VERDICTS:
            yield scope, kind, ""
        elif kind == "limit":
            scope = msgspec.structs.replace(scope, conditional=True)
        elif kind == "xt":
            yield from _targeted(content, scope)
            scope = scope.veiled(_extension(content))


def _targeted(content: Mapping[str, Any] | None, scope: _Scope) -> Iterator[tuple[_Scope, str, str]]:
    """The end that an extension of iptables is. Older versions of ``nft`` say nothing of it at all."""
    kind, name = (content.get("type"), content.get("name")) if content else ("", "")
    if kind == "match" or name in _HARMLESS:
        return
    if kind == "target" and name in _NATIVE:
        yield scope, _NATIVE[name], ""
    else:
        yield scope.veiled(_extension(content)), UNKNOWN, ""


def _extension(content: Mapping[str, Any] | None) -> str:
    return f"extension {content['name']} of iptables" if content and "name" in content else "an extension of iptables"


def _mapped(content: Mapping[str, Any], scope: _Scope) -> Iterator[tuple[_Scope, str, str]]:
    """The ends of a verdict map; those of one with a name cannot be seen."""
    data = content["data"]
    if isinstance(data, str):
        yield scope.veiled(f"map {data}"), UNKNOWN, ""
    for key, verdict in data["set"] if isinstance(data, Mapping) else ():
        reached = _matched({"op": "==", "left": content["key"], "right": key}, scope)
        if reached is None or not isinstance(verdict, Mapping):
            continue
        [(kind, target)] = verdict.items()
        if kind in _LEADS:
            yield reached, kind, target["target"]
        elif kind in _VERDICTS:
            yield reached, kind, ""


def _matched(match: Mapping[str, Any], scope: _Scope) -> _Scope | None:
    """The connections of ``scope`` that a match lets through; None when no new TCP connection is among them."""
    left, right = match["left"], match["right"]
    if not isinstance(left, Mapping) or match["op"] not in ("==", "in"):
        return msgspec.structs.replace(scope, conditional=True)
    values = _values(right)
    named = next((value for value in values if isinstance(value, str) and value.startswith("@")), None)
    match left:
        case {"payload": {"field": "saddr"}}:
            return msgspec.structs.replace(scope, conditional=True)
        case _ if named is not None:
            return scope.veiled(f"set {named}")
        case {"payload": {"protocol": "tcp" | "th", "field": "dport"}}:
            ports = _ports(values)
            return msgspec.structs.replace(scope, ports=ports, conditional=scope.conditional or ports is None)
        case {"payload": {"protocol": "udp" | "icmp" | "icmpv6" | "sctp"}}:
            return None
        case {"meta": {"key": "l4proto"}} | {"payload": {"field": "protocol" | "nexthdr"}}:
            return scope if _TCP.intersection(_plain(values)) else None
        case {"ct": {"key": "state"}}:
            return scope if "new" in values else None
        case {"ct": {"key": "status"}} if "dnat" in values:
            return scope if scope.ports is None else msgspec.structs.replace(scope, conditional=True)
        case {"fib": {"result": "type", "flags": ["daddr"]}} if "local" in values:
            return scope
        case _:
            return msgspec.structs.replace(scope, conditional=True)


def _values(right: Any) -> list[Any]:
    if isinstance(right, Mapping) and "set" in right:
        return list(right["set"])
    return list(right) if isinstance(right, list) else [right]


def _plain(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, str | int)]


def _ports(values: Sequence[Any]) -> Ports | None:
    """The ports of a match; None when they are in a set with a name, or not understood."""
    found: list[tuple[int, int]] = []
    for value in values:
        match value:
            case int():
                found.append((value, value))
            case {"range": [int() as first, int() as last]}:
                found.append((first, last))
            case _:
                return None
    return tuple(found)
