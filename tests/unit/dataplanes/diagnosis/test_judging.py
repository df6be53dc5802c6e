"""What follows from facts about a host."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidegate.dataplanes.diagnosis import judging
from tidegate.dataplanes.diagnosis.facts import (
    Conntrack,
    EnvoyFacts,
    Finding,
    Interface,
    KernelFacts,
    Level,
    Listener,
    Plane,
)
from tidegate.dataplanes.diagnosis.foreignrules import UNKNOWN, Gate, Grip, Ports

WELL = KernelFacts(linux=True, net_admin=True, nft="1.0.6", forwards_ipv4=True, forwards_ipv6=True, gates=(), grips=())
ENVOY = EnvoyFacts(program="1.40.0", open_files=1 << 20, workers=2, lowest_port=1024, privileged=False)
WEB = Listener(name="edge/web", port=8080)


def kernel(**changes: Any) -> KernelFacts:
    """A host on which all is well but for this."""
    return msgspec.structs.replace(WELL, **changes)


def judged(plane: Plane, facts: KernelFacts = WELL, envoy: EnvoyFacts = ENVOY, *listeners: Listener) -> list[Finding]:
    """What is not well."""
    found = judging.judge(plane, facts, envoy, listeners or (WEB,))
    return [one for one in found if one.level is not Level.OK]


def gate(hook: str, priority: int = 0, *, drops: bool = False) -> Gate:
    """A chain of somebody else's."""
    return Gate(label=f"ip other {hook}", kind="filter", hook=hook, priority=priority, drops=drops)


def levels(findings: list[Finding]) -> list[tuple[str, str]]:
    """Level and matter of each."""
    return [(one.level.value, one.about) for one in findings]


@pytest.mark.parametrize("plane", list(Plane))
def test_a_host_without_obstacles_is_well(plane: Plane) -> None:
    """Every row is ok, and says what was seen."""
    found = judging.judge(plane, WELL, ENVOY, (WEB,))
    assert {one.level for one in found} == {Level.OK}
    assert all(one.found and not one.advice for one in found)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"linux": False}, ("problem", "system")),
        ({"nft_trouble": "no nft", "nft": ""}, ("problem", "nft")),
        ({"nft": "0.9.3"}, ("warning", "nft")),
        ({"refusal": "this kernel does not take the rules"}, ("problem", "kernel")),
        ({"forwards_ipv4": False}, ("warning", "forwarding")),
        ({"forwards_ipv6": False}, ("warning", "forwarding")),
        ({"interfaces": (Interface(name="eth0", rp_filter=1, route_localnet=False),)}, ("warning", "rp_filter")),
        ({"interfaces": (Interface(name="eth0", rp_filter=2, route_localnet=True),)}, ("warning", "route_localnet")),
        ({"conntrack": Conntrack(count=80, limit=100, liberal=False)}, ("warning", "conntrack")),
        ({"conntrack": Conntrack(count=99, limit=100, liberal=False)}, ("problem", "conntrack")),
        ({"legacy": ("nat",)}, ("warning", "rules of others")),
        ({"net_admin": False, "gates": None, "grips": None}, ("problem", "capability")),
    ],
)
def test_each_obstacle_of_the_kernel_plane(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    """Each is found, with a reason and advice."""
    found = judged(Plane.NFTABLES, kernel(**changes))
    assert levels(found)[0] == expected
    assert all(one.why and one.advice for one in found)


def test_what_is_not_seen_is_said() -> None:
    """Without the capability, the rules of others and the kernel are named as what cannot be seen."""
    found = judged(Plane.NFTABLES, kernel(net_admin=False, gates=None, grips=None))
    assert [one.about for one in found if "cannot be seen" in one.found] == ["kernel", "rules of others"]


@pytest.mark.parametrize(
    ("changes", "advice"),
    [({"net_admin": False}, "run this as root"), ({"nft_trouble": "no nft"}, "install nftables")],
)
def test_how_to_see_more(changes: dict[str, Any], advice: str) -> None:
    """Root does not help who lacks the program."""
    found = judged(Plane.NFTABLES, kernel(gates=None, grips=None, **changes))
    assert {one.advice for one in found if "cannot be seen" in one.found} == {advice}


def test_a_guarded_loopback_is_well() -> None:
    """What --allow-route-localnet changed is ok while the table that guards it is there."""
    interfaces = (Interface(name="eth0", rp_filter=0, route_localnet=True),)
    assert judged(Plane.NFTABLES, kernel(interfaces=interfaces, guarded=True)) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"trouble": "no Envoy"}, ("problem", "Envoy")),
        ({"open_files": 2}, ("problem", "open files")),
        ({"open_files": 1024}, ("warning", "open files")),
        ({"lowest_port": 9000}, ("problem", "low ports")),
    ],
)
def test_each_obstacle_of_envoy(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    """Each is found, with a reason and advice."""
    [found] = judged(Plane.ENVOY, WELL, msgspec.structs.replace(ENVOY, **changes))
    assert levels([found]) == [expected]
    assert found.why
    assert found.advice


def test_a_table_of_the_kernel_plane_comes_before_envoy() -> None:
    """One that was left behind takes connections away, which is said for Envoy alone."""
    facts = kernel(tables=("tidegate-default",))
    [found] = judged(Plane.ENVOY, facts)
    assert found.advice == "nft delete table inet tidegate-default, which ends its connections"
    assert judged(Plane.NFTABLES, facts) == []


def test_a_table_that_an_instance_has_is_not_to_be_deleted() -> None:
    """It would end connections that are open, also of an instance that drains and answers no more."""
    [found] = judged(Plane.ENVOY, kernel(tables=("tidegate-default",), held=frozenset({"tidegate-default"})))
    assert "an instance runs or drains by it" in found.found
    assert "delete" not in found.advice


def test_privileged_users_may_open_low_ports() -> None:
    """Root is not told about ports below 1024."""
    envoy = msgspec.structs.replace(ENVOY, privileged=True)
    assert judged(Plane.ENVOY, WELL, envoy, Listener(name="edge/low", port=80)) == []


@pytest.mark.parametrize("plane", list(Plane))
def test_a_local_process_on_the_port_is_a_problem(plane: Plane) -> None:
    """It is named, with the listener."""
    [found] = judged(plane, WELL, ENVOY, Listener(name="edge/web", port=8080, holder="nginx (pid 7)"))
    assert found.found == "nginx (pid 7) listens on 8080, which is that of edge/web"


@pytest.mark.parametrize(
    ("plane", "priority", "conditional", "expected"),
    [
        (Plane.NFTABLES, -110, False, "problem"),
        (Plane.NFTABLES, -110, True, "warning"),
        (Plane.NFTABLES, -100, False, "warning"),
        (Plane.ENVOY, -100, False, "problem"),
    ],
)
def test_a_translation_of_the_same_port(plane: Plane, priority: int, conditional: bool, expected: str) -> None:
    """An earlier one takes the connections; a later one gets none while the kernel plane serves the port."""
    place = gate("prerouting", priority)
    grip = Grip(label="ip nat DOCKER", gate=place, verdict="dnat", ports=((8080, 8080),), conditional=conditional)
    assert levels(judged(plane, kernel(gates=(place,), grips=(grip,)))) == [(expected, "translation")]
    assert judged(plane, kernel(gates=(place,), grips=(grip,)), ENVOY, Listener(name="edge/b", port=9000)) == []


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((), "problem"),
        ((("accept", ((8080, 8080),), False),), None),
        ((("accept", ((8080, 8080),), True),), "warning"),
        ((("accept", ((22, 22),), False),), "problem"),
    ],
)
def test_an_input_chain_that_drops(verdicts: tuple[Any, ...], expected: str | None) -> None:
    """Envoy's connections need a rule that accepts them, and the kernel plane's do to backends on this host."""
    place = gate("input", drops=True)
    grips = tuple(
        Grip(label=place.label, gate=place, verdict=verdict, ports=ports, conditional=conditional)
        for verdict, ports, conditional in verdicts
    )
    facts = kernel(gates=(place,), grips=grips)
    assert levels(judged(Plane.ENVOY, facts)) == ([(expected, "firewall")] if expected else [])
    [found] = judged(Plane.NFTABLES, facts)
    assert levels([found]) == [("warning", "firewall")]
    assert "to backends on this host" in found.why


@pytest.mark.parametrize("hook", ["input", "forward"])
@pytest.mark.parametrize(
    ("ports", "conditional", "text"),
    [
        (((7000, 7000), (7100, 7200)), False, "port 7000, 7100-7200"),
        (((7000, 7000),), True, "port 7000 under conditions"),
        (None, True, "some under conditions"),
    ],
)
def test_a_rule_that_drops_some_on_the_way_to_backends(
    hook: str, ports: Ports | None, conditional: bool, text: str
) -> None:
    """It may hit backends, so it is named, unless translated connections are let through there."""
    place = gate(hook)
    drop = Grip(label=place.label, gate=place, verdict="drop", ports=ports, conditional=conditional)
    [found] = judged(Plane.NFTABLES, kernel(gates=(place,), grips=(drop,)))
    assert (found.level, found.found) == (Level.WARNING, f"ip other {hook} (hook {hook}) drops {text}")
    accept = Grip(label=place.label, gate=place, verdict="accept")
    assert judged(Plane.NFTABLES, kernel(gates=(place,), grips=(drop, accept))) == []


@pytest.mark.parametrize(("conditional", "expected"), [(None, "problem"), (True, "warning"), (False, None)])
def test_a_forward_chain_that_drops(conditional: bool | None, expected: str | None) -> None:
    """The kernel plane's connections to other hosts need a rule that accepts them; Envoy's do not pass there."""
    place = gate("forward", drops=True)
    accept = Grip(label=place.label, gate=place, verdict="accept", conditional=bool(conditional))
    facts = kernel(gates=(place,), grips=() if conditional is None else (accept,))
    found = judged(Plane.NFTABLES, facts)
    assert levels(found) == ([(expected, "firewall")] if expected else [])
    assert all(("accepts no new connection" in one.found) is (conditional is None) for one in found)
    assert judged(Plane.ENVOY, facts) == []


def test_a_last_rule_that_drops_is_like_a_policy() -> None:
    """A chain that ends with an unconditional drop is closed too."""
    place = gate("forward")
    drop = Grip(label=place.label, gate=place, verdict="drop")
    assert levels(judged(Plane.NFTABLES, kernel(gates=(place,), grips=(drop,)))) == [("problem", "firewall")]


def test_a_rule_that_drops_the_port() -> None:
    """One on the way to Envoy is a problem for Envoy, and one before translation for the kernel plane, too."""
    for hook, priority, planes in (("input", 0, {Plane.ENVOY}), ("prerouting", -300, set(Plane))):
        place = gate(hook, priority)
        drop = Grip(label=place.label, gate=place, verdict="drop", ports=((8080, 8080),))
        facts = kernel(gates=(place,), grips=(drop,))
        assert {plane for plane in Plane if ("problem", "firewall") in levels(judged(plane, facts))} == planes


@pytest.mark.parametrize(
    ("plane", "hook", "priority", "said"),
    [
        (Plane.ENVOY, "input", 0, True),
        (Plane.ENVOY, "forward", 0, False),
        (Plane.NFTABLES, "prerouting", -300, True),
        (Plane.NFTABLES, "prerouting", 0, False),
        (Plane.NFTABLES, "input", 0, False),
        (Plane.NFTABLES, "forward", 0, True),
    ],
)
@pytest.mark.parametrize("verdict", ["drop", UNKNOWN])
def test_what_cannot_be_judged_is_said(plane: Plane, hook: str, priority: int, said: bool, verdict: str) -> None:
    """Rules that are not understood are warned of where connections of a listener pass, and nowhere else."""
    grip = Grip(label="ip other x", gate=gate(hook, priority), verdict=verdict, conditional=True, opaque="set @x")
    found = judged(plane, kernel(gates=(grip.gate,), grips=(grip,)))
    assert [one.found for one in found] == (
        [f"cannot be judged: ip other x (hook {hook}): {verdict}, by set @x"] if said else []
    )


@pytest.mark.parametrize("plane", list(Plane))
def test_nothing_is_well_that_was_not_seen(plane: Plane) -> None:
    """Beside rules of iptables-legacy no row says that there are none."""
    found = judging.judge(plane, kernel(legacy=("nat",)), ENVOY, (WEB,))
    assert [one.level for one in found if one.about == "rules of others"] == [Level.WARNING]


@pytest.mark.parametrize(
    ("one", "other", "ports"),
    [
        ({("*", 8080), ("*", 22)}, {("*", 8080)}, "8080"),
        ({("*", 8080)}, {("192.0.2.1", 8080)}, "8080"),
        ({("192.0.2.1", 8080)}, {("*", 8080), ("*", 1)}, "8080"),
        ({("192.0.2.1", 8080)}, {("192.0.2.1", 8080)}, "8080"),
        ({("192.0.2.1", 8080)}, {("192.0.2.2", 8080)}, None),
        ({("*", 8080)}, {("*", 8081)}, None),
    ],
)
def test_two_instances_with_one_port(one: set[tuple[str, int]], other: set[tuple[str, int]], ports: str | None) -> None:
    """Their tables both take its connections, which only one of them can get."""
    found = judged(Plane.NFTABLES, kernel(doors={"tidegate-b": frozenset(other), "tidegate-a": frozenset(one)}))
    assert [each.found for each in found] == (
        [f"tables tidegate-a and tidegate-b both take connections to {ports}"] if ports else []
    )
    assert levels(found) == ([("problem", "instances")] if ports else [])
