"""`tidegate doctor` on hosts with a running instance and with rules of others."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from support.backends import Backend
from support.clients import Refused, ask, connection, who_serves
from support.kernels import PORT, TABLE, KernelRuns, forwarding, to
from support.manifests import write
from support.netns import BACK_4, BACKEND_4, FRONT_4, World, needs_hosts

pytestmark = needs_hosts()

OTHERS = """
table ip nat {
  chain DOCKER { tcp dport %(port)d counter dnat to 10.77.2.2:90
  }
  chain PREROUTING { type nat hook prerouting priority %(priority)d; fib daddr type local jump DOCKER
  }
}
table inet firewall {
  chain forward { type filter hook forward priority 0; policy drop; ct state established accept
  }
}
"""


FIREWALLD = """
table inet firewalld {
  set allowed { type inet_service; flags interval; elements = { 22, 8000-8090 }; }
  set blocked { type inet_service; elements = { %(port)d }; }
  map hosts { type inet_service : verdict; elements = { %(port)d : drop }; }
  chain filter_IN_public { tcp dport @allowed accept
  }
  chain filter_INPUT { type filter hook input priority 10; policy accept; ct state { established, related } accept
    iifname "lo" accept
    ct state invalid drop
    goto filter_INPUT_ZONES
  }
  chain filter_INPUT_ZONES { jump filter_IN_public
    tcp dport @blocked drop
    tcp dport vmap @hosts
    reject with icmpx admin-prohibited
  }
  chain nat_PREROUTING { type nat hook prerouting priority -90; tcp dport %(port)d redirect to :9
  }
  chain filter_FORWARD { type filter hook forward priority 10; ct state { established, related } accept
    reject with icmpx admin-prohibited
  }
}
"""


async def rows(kernel: KernelRuns, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status of doctor, and its rows that are not ok."""
    done = await kernel.run("doctor", *arguments, "-o", "json")
    return done.status, [row for row in json.loads(done.output) if row["level"] != "ok"]


async def test_a_running_instance_on_a_good_host_is_well(kernel: KernelRuns, hosts: World) -> None:
    """Doctor finds the instance and its data plane, does not take its table for somebody else's, and ends with 0."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        instance = await kernel.forward(app)
        found = await rows(kernel, "--state-dir", str(instance.state_dir))
        assert found == (0, [])


async def test_rules_of_others_are_named(kernel: KernelRuns, hosts: World) -> None:
    """A translation before ours, and a firewall that lets nothing new through, are problems with their place."""
    write(kernel.file, *forwarding("app"))
    hosts.gateway.nft(OTHERS % {"port": PORT, "priority": -110})
    before = hosts.gateway.ruleset()
    code, found = await rows(kernel, str(kernel.file), "--dataplane", "nftables")
    assert code == 1
    assert [(row["level"], row["about"]) for row in found] == [("problem", "translation"), ("problem", "firewall")]
    assert f"ip nat DOCKER (hook prerouting, priority -110): dnat for default/edge/tcp ({PORT})" in found[0]["found"]
    assert "inet firewall forward" in found[1]["found"]
    assert hosts.gateway.ruleset() == before


async def test_the_advice_about_a_firewall_helps(kernel: KernelRuns, hosts: World) -> None:
    """The rule that doctor advises lets connections through, after which there is nothing more to say."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        instance = await kernel.forward(app)
        hosts.gateway.nft(OTHERS % {"port": 5000, "priority": -110})
        code, [found] = await rows(kernel, "--state-dir", str(instance.state_dir))
        assert (code, found["level"], found["about"]) == (1, "problem", "firewall")
        hosts.gateway.nft(found["advice"].partition("nft ")[2])
        assert await rows(kernel, "--state-dir", str(instance.state_dir)) == (0, [])
        assert await who_serves(PORT, host=FRONT_4) == "app"


async def test_two_instances_with_one_port(kernel: KernelRuns, hosts: World) -> None:
    """When one may shadow the other, both take it, and doctor says that only one of them gets connections."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        await kernel.forward(app)
        other = kernel.start(*to(app), "--name", "other", "--allow-shadow")
        await other.wait_ready()
        code, [found] = await rows(kernel, "--state-dir", str(other.state_dir))
        assert (code, found["about"]) == (1, "instances")
        assert found["found"].endswith(f"both take connections to {PORT}")


async def test_a_firewall_before_backends_on_the_gateway(kernel: KernelRuns, hosts: World) -> None:
    """One that drops at input by default keeps other hosts from them: that is said, and the advice helps."""
    async with Backend("app", host=BACK_4, at=hosts.gateway) as app:
        instance = await kernel.forward(app)
        hosts.gateway.nft(
            "table inet firewall {\n chain input { type filter hook input priority 0; policy drop;"
            " ct state established accept\n iif lo accept\n }\n}"
        )
        assert isinstance(await ask(PORT, host=FRONT_4, within=0.5), Refused)
        code, [found] = await rows(kernel, "--state-dir", str(instance.state_dir))
        assert (code, found["level"], found["about"]) == (0, "warning", "firewall")
        hosts.gateway.nft(found["advice"].partition("nft ")[2])
        assert await rows(kernel, "--state-dir", str(instance.state_dir)) == (0, [])
        assert await who_serves(PORT, host=FRONT_4) == "app"


@pytest.mark.skipif(shutil.which("iptables-nft") is None, reason="needs the program iptables-nft")
async def test_rules_of_iptables(kernel: KernelRuns, hosts: World) -> None:
    """What Docker writes by iptables-nft is understood, and what nobody but iptables understands is said to be so."""
    write(kernel.file, *forwarding("app"))
    for rule in (
        "-t nat -N DOCKER",
        "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        f"-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport {PORT} -j DNAT --to-destination 172.17.0.2:80",
        "-P FORWARD DROP",
        f"-A INPUT -p tcp -m multiport --dports {PORT},9090 -j DROP",
    ):
        hosts.gateway.run("iptables-nft", *rule.split())
    code, found = await rows(kernel, str(kernel.file), "--dataplane", "nftables")
    assert (code, [row["about"] for row in found]) == (1, ["translation", "firewall"])
    assert f"ip nat DOCKER (hook prerouting, priority -100): dnat for default/edge/tcp ({PORT})" in found[0]["found"]
    assert "comes first" in found[0]["why"]
    assert "ip filter FORWARD" in found[1]["found"]
    _, found = await rows(kernel, str(kernel.file), "--dataplane", "envoy")
    said = {row["about"]: row["found"] for row in found}
    assert "ip nat DOCKER" in said["translation"]
    assert said["rules of others"] == (
        "cannot be judged: ip filter INPUT (hook input): drop, by extension multiport of iptables"
    )


@pytest.mark.skipif(shutil.which("iptables-legacy") is None, reason="needs the program iptables-legacy")
async def test_rules_of_iptables_legacy(kernel: KernelRuns, hosts: World) -> None:
    """They cannot be seen, which is said instead of that there are none."""
    write(kernel.file, *forwarding("app"))
    try:
        hosts.gateway.run("iptables-legacy", "-t", "nat", "-A", "PREROUTING", "-j", "ACCEPT")
    except AssertionError as error:
        pytest.skip(f"this kernel has no tables of iptables-legacy: {error}")
    done = await kernel.run("doctor", str(kernel.file), "--dataplane", "nftables", "-o", "json")
    [found] = [row for row in json.loads(done.output) if row["about"] == "rules of others"]
    assert (found["level"], "cannot see them" in found["why"]) == ("warning", True)


async def test_rules_like_those_of_firewalld(kernel: KernelRuns, hosts: World) -> None:
    """Chains are followed over jumps; what sets and maps with names decide is said to be beyond judgement."""
    write(kernel.file, *forwarding("app"))
    hosts.gateway.nft(FIREWALLD % {"port": PORT})
    code, found = await rows(kernel, str(kernel.file), "--dataplane", "envoy")
    texts = [row["found"] for row in found]
    assert code == 1
    assert any("nat_PREROUTING (hook prerouting, priority -90): redirect" in text for text in texts)
    assert any(f"({PORT}) is accepted under conditions" in text for text in texts)
    [dark] = [text for text in texts if "cannot be judged" in text]
    assert "set @blocked" in dark
    assert "map @hosts" in dark
    _, found = await rows(kernel, str(kernel.file), "--dataplane", "nftables")
    assert [row["about"] for row in found] == ["translation", "firewall", "firewall"]
    assert [row["level"] for row in found if "hook input" in row["found"]] == ["warning"]


async def test_a_table_that_was_left_is_named_for_envoy(kernel: KernelRuns, hosts: World) -> None:
    """After --on-exit keep the table takes connections before an Envoy gets them."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        instance = await kernel.forward(app, arguments=("--on-exit", "keep"))
        instance.process.terminate()
        await instance.ended()
        _, found = await rows(kernel, str(kernel.file), "--dataplane", "envoy")
        assert TABLE in next(row for row in found if row["about"] == "kernel table")["found"]


async def test_beside_an_instance_that_drains_nothing_is_advised_that_ends_connections(
    kernel: KernelRuns, hosts: World
) -> None:
    """It answers no more, and its table carries the connections that it waits for."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        instance = await kernel.forward(app, arguments=("--drain-time", "60s"))
        async with connection(PORT, host=FRONT_4) as held:
            assert await held.line() == "app"
            instance.process.terminate()
            await instance.wait_text("stopping")
            _, found = await rows(kernel, str(kernel.file), "--dataplane", "envoy")
            [table] = [row for row in found if row["about"] == "kernel table"]
            assert "an instance runs or drains by it" in table["found"]
            assert "delete" not in table["advice"]
            shown = await kernel.run("status", "--state-dir", str(instance.state_dir))
            assert "is draining" in shown.errors
            assert await held.echoes("still here")
        assert await instance.ended() == 0


async def test_what_the_host_lacks_is_named(kernel: KernelRuns, hosts: World) -> None:
    """Without forwarding, and with strict reverse paths, doctor warns and ends with 0."""
    write(kernel.file, *forwarding("app"))
    hosts.forward(on=False)
    hosts.gateway.sysctl("net.ipv4.conf.all.rp_filter=1")
    code, found = await rows(kernel, str(kernel.file), "--dataplane", "nftables")
    assert code == 0
    assert [row["about"] for row in found] == ["forwarding", "forwarding", "rp_filter"]
