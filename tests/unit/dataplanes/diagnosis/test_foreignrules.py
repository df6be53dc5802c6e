"""What rules of others do to new TCP connections, read from a listing."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.dataplanes.diagnosis.foreignrules import UNKNOWN, Grip, gates_and_grips

DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    """A match as nft prints it."""
    return {"match": {"op": op, "left": left, "right": right}}


def listing(
    *rules: list[dict[str, Any]], others: dict[str, list[list[dict[str, Any]]]] | None = None
) -> dict[str, Any]:
    """A chain at the hook prerouting with these rules, and further chains of its table."""
    place = {"family": "ip", "table": "nat"}
    base = {"type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}
    chains = {"PREROUTING": list(rules), **(others or {})}
    return {
        "nftables": [
            {"chain": {**place, "name": "PREROUTING", **base}},
            *({"rule": {**place, "chain": name, "expr": expr}} for name, all_ in chains.items() for expr in all_),
        ]
    }


def grips(
    *rules: list[dict[str, Any]], others: dict[str, list[list[dict[str, Any]]]] | None = None
) -> tuple[Grip, ...]:
    """The grips of those rules."""
    return gates_and_grips(listing(*rules, others=others), ())[1]


@pytest.mark.parametrize(
    ("right", "ports"),
    [
        (8080, ((8080, 8080),)),
        ({"set": [8080, {"range": [9000, 9010]}]}, ((8080, 8080), (9000, 9010))),
        ({"range": [1, 1023]}, ((1, 1023),)),
    ],
)
def test_ports_are_read(right: Any, ports: tuple[tuple[int, int], ...]) -> None:
    """Single ports, sets and ranges limit a rule, without any further condition."""
    [grip] = grips([match(DPORT, right), {"dnat": {"addr": "10.0.0.1", "port": 80}}])
    assert (grip.verdict, grip.ports, grip.conditional) == ("dnat", ports, False)
    assert grip.takes(ports[0][0])
    assert not grip.takes(ports[-1][1] + 1)


def test_ports_in_a_named_set_cannot_be_told() -> None:
    """The rule may be about any port then, and is said to have a condition."""
    [grip] = grips([match(DPORT, "@published"), {"redirect": {"port": 99}}])
    assert (grip.ports, grip.conditional, grip.takes(8080)) == (None, True, True)


def test_chains_are_followed() -> None:
    """What a rule narrows holds in the chain where it leads; the rule is named by its own chain."""
    [grip] = grips(
        [match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), {"jump": {"target": "DOCKER"}}],
        others={"DOCKER": [[match(DPORT, 5000), {"counter": None}, {"dnat": {"addr": "10.0.0.1"}}]]},
    )
    assert (grip.label, grip.gate.label, grip.conditional) == ("ip nat DOCKER", "ip nat PREROUTING", False)


def test_verdict_maps_are_followed() -> None:
    """Each entry of a map that can be seen is an end of its own."""
    found = grips([{"vmap": {"key": DPORT, "data": {"set": [[22, {"accept": None}], [23, {"drop": None}]]}}}])
    assert [(one.verdict, one.ports) for one in found] == [("accept", ((22, 22),)), ("drop", ((23, 23),))]
    [grip] = grips([{"vmap": {"key": DPORT, "data": "@unseen"}}])
    assert (grip.verdict, grip.opaque) == (UNKNOWN, "map @unseen")


def test_circles_end() -> None:
    """A listing in which chains lead to each other is read to its end."""
    others = {"a": [[{"jump": {"target": "b"}}], [{"drop": None}]], "b": [[{"goto": {"target": "a"}}]]}
    assert [one.verdict for one in grips([{"jump": {"target": "a"}}], others=others)] == ["drop"]


@pytest.mark.parametrize(
    "never",
    [
        match({"payload": {"protocol": "udp", "field": "dport"}}, 8080),
        match({"meta": {"key": "l4proto"}}, "udp"),
        match({"ct": {"key": "state"}}, "invalid", "in"),
        match({"ct": {"key": "state"}}, ["established", "related"], "in"),
    ],
)
def test_rules_that_no_new_tcp_connection_meets_are_left_out(never: dict[str, Any]) -> None:
    """Rules for other protocols, and for connections that are established, say nothing about listeners."""
    assert grips([never, {"drop": None}]) == ()


@pytest.mark.parametrize(
    "some",
    [
        match({"meta": {"key": "iifname"}}, "eth0"),
        match({"payload": {"protocol": "ip", "field": "saddr"}}, "10.0.0.1"),
        match(DPORT, 22, "!="),
        {"limit": {"rate": 1, "per": "second"}},
        {"xt": {"type": "match", "name": "multiport"}},
    ],
)
def test_other_matches_are_conditions(some: dict[str, Any]) -> None:
    """A rule for some connections says so."""
    [grip] = grips([some, {"drop": None}])
    assert grip.conditional


@pytest.mark.parametrize(
    ("target", "verdict", "opaque"),
    [
        ({"type": "target", "name": "DNAT"}, "dnat", ""),
        ({"type": "target", "name": "REJECT"}, "reject", ""),
        ({"type": "target", "name": "NFQUEUE"}, UNKNOWN, "extension NFQUEUE of iptables"),
        (None, UNKNOWN, "an extension of iptables"),
    ],
)
def test_targets_of_iptables(target: dict[str, str] | None, verdict: str, opaque: str) -> None:
    """Those that nft does not translate are understood by their name, or are said not to be."""
    [grip] = grips([match(DPORT, 8080), {"xt": target}])
    assert (grip.verdict, grip.ports, grip.opaque) == (verdict, ((8080, 8080),), opaque)


def test_harmless_targets_of_iptables() -> None:
    """What only logs, marks or masquerades is no grip."""
    assert grips([{"xt": {"type": "target", "name": "MASQUERADE"}}], [{"xt": {"type": "target", "name": "LOG"}}]) == ()


@pytest.mark.parametrize(
    ("dark", "by"),
    [
        ({"xt": {"type": "match", "name": "multiport"}}, "extension multiport of iptables"),
        (match(DPORT, "@blocked"), "set @blocked"),
        (match({"concat": [{"meta": {"key": "iifname"}}, DPORT]}, "@blocked"), "set @blocked"),
        (match({"payload": {"protocol": "ip", "field": "saddr"}}, "@banned"), ""),
    ],
)
def test_what_is_not_understood_is_named(dark: dict[str, Any], by: str) -> None:
    """The part of a rule that hides whether it is about a listener; which clients it is for, is no such part."""
    [grip] = grips([dark, {"drop": None}])
    assert (grip.ports, grip.conditional, grip.opaque) == (None, True, by)


def test_our_tables_are_left_out() -> None:
    """Tables that are ours are not those of others, and the same name in another family is not ours."""
    place = {"table": "tidegate-default", "name": "prerouting"}
    hook = {"type": "nat", "hook": "prerouting", "prio": -105}
    entries = {"nftables": [{"chain": {"family": family, **place, **hook}} for family in ("inet", "ip")]}
    gates, _ = gates_and_grips(entries, {"tidegate-default"})
    assert [gate.label for gate in gates] == ["ip tidegate-default prerouting"]
