"""Other tables, other instances, and hosts on which the kernel plane cannot work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.backends import Backend
from support.clients import who_serves
from support.instances import condition
from support.kernels import PORT, TABLE, KernelRuns, forwarding, to
from support.manifests import backend, gateway, listener, parent, tcproute, write
from support.netns import BACKEND_4, FRONT_4, World, needs_hosts
from support.waiting import eventually

pytestmark = needs_hosts()

OLD = "2024-01-01T00:00:00Z"
STRANGERS = """
table ip nat {
  chain DOCKER { tcp dport 5000 counter dnat to 10.77.2.2:%(port)d
  }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump DOCKER
  }
  chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept; ct status dnat masquerade
  }
}
table inet firewalld {
  set trusted { type ipv4_addr; elements = { 10.77.1.2 } }
  chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept; ct state invalid drop
  }
}
table inet tidegate-of-somebody-else {
  chain nothing { }
}
"""


def strangers(hosts: World) -> list[object]:
    """All tables but ours, their counters left out."""
    rules = json.loads(hosts.gateway.run("nft", "-j", "-s", "list", "ruleset"))["nftables"]
    return [one for one in rules if TABLE not in json.dumps(one)]


async def test_other_tables_are_left_alone(kernel: KernelRuns, hosts: World) -> None:
    """Rules of Docker, firewalld and others work on, and are the same before, while and after tidegate runs."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        hosts.gateway.nft(STRANGERS % {"port": app.port})
        before = strangers(hosts)
        instance = await kernel.forward(app, arguments=("--drain-time", "0s"))
        assert await who_serves(PORT, host=FRONT_4) == "app"
        assert await who_serves(5000, host=FRONT_4) == "app"
        assert strangers(hosts) == before
        instance.process.terminate()
        await instance.ended()
        assert strangers(hosts) == before
        assert TABLE not in hosts.gateway.ruleset("tables")


async def test_listing_can_be_loaded_again(kernel: KernelRuns, hosts: World) -> None:
    """What ``nft list`` prints of our table is something that ``nft`` reads, as for those who save their rules."""
    async with (
        Backend("app", host=BACKEND_4, at=hosts.backends) as app,
        Backend("other", host=BACKEND_4, at=hosts.backends) as other,
    ):
        await kernel.forward(app, other)
        listing = hosts.gateway.ruleset()
        assert "default/edge/tcp default/app default/other:6000" in listing
        hosts.backends.nft(listing)


async def test_two_instances_side_by_side(kernel: KernelRuns, hosts: World, tmp_path: Path) -> None:
    """Instances of different names have tables and marks of their own."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        one = await kernel.forward(app, arguments=("--name", "one"))
        kernel.file = tmp_path / "other.yaml"
        two = await kernel.serve(*forwarding("app", port=9000), arguments=(*to(app), "--name", "two"))
        assert await who_serves(PORT, host=FRONT_4) == "app"
        assert await who_serves(9000, host=FRONT_4) == "app"
        for instance in (one, two):
            await instance.wait(lambda state: state.listeners[0].opened == 1, what="each counts its own")


async def test_second_instance_of_a_name_is_refused(kernel: KernelRuns, hosts: World) -> None:
    """Two instances of one name in one network namespace would write one table: the second one says so and ends."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        await kernel.forward(app)
        second = kernel.start(*to(app))
        assert await second.ended() == 2
        assert "another instance named default has the table tidegate-default" in second.text()
        assert await who_serves(PORT, host=FRONT_4) == "app"


def started(kernel: KernelRuns, hosts: World, wrapper: Path | None = None, *, under: str = ""):  # type: ignore[no-untyped-def]
    """Start on a host that lacks something: ``wrapper`` is a script that runs the command after it."""
    write(kernel.file, *forwarding("app"))
    steps = [hosts.gateway.under, under or f'set -- unshare -m {wrapper} "$@"']
    return kernel.tidegate.start(kernel.file, "--dataplane", "nftables", under="; ".join(reversed(steps)))


def script(path: Path, text: str) -> Path:
    """An executable script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


async def test_without_the_capability(kernel: KernelRuns, hosts: World) -> None:
    """Without CAP_NET_ADMIN it says what to do, ends with 2, and has changed nothing."""
    instance = started(kernel, hosts, under='set -- setpriv --bounding-set -net_admin --inh-caps -net_admin "$@"')
    assert await instance.ended() == 2
    assert instance.text().count("\n") == 1
    assert "CAP_NET_ADMIN" in instance.text()
    assert hosts.gateway.ruleset() == ""


async def test_without_nft(kernel: KernelRuns, hosts: World, tmp_path: Path) -> None:
    """Without the program nft it says which package to install."""
    hide = script(tmp_path / "hide", 'mount --bind /dev/null "$(command -v nft || echo /usr/sbin/nft)"; exec "$@"')
    instance = started(kernel, hosts, hide)
    assert await instance.ended() == 2
    assert "install the package nftables" in instance.text()


@pytest.mark.parametrize(
    ("complaint", "advice"),
    [
        ("Error: syntax error, unexpected numgen", "install a newer nftables"),
        ("Error: Could not process rule: No such file or directory", "nft_numgen"),
        ("netlink: Error: cache initialization failed: Operation not supported", "nf_tables"),
    ],
)
async def test_nft_or_kernel_that_lacks_something(
    kernel: KernelRuns, hosts: World, tmp_path: Path, complaint: str, advice: str
) -> None:
    """An nft that is too old, or a kernel without a part, is told from what it says, with what it says."""
    fake = script(tmp_path / "nft", f"echo '{complaint}' >&2; exit 1")
    place = script(tmp_path / "place", f'mount --bind {fake} "$(command -v nft)"; exec "$@"')
    instance = started(kernel, hosts, place)
    assert await instance.ended() == 2
    assert advice in instance.text()
    assert complaint in instance.text()
    assert hosts.gateway.ruleset() == ""


async def test_refused_transaction_hurts_only_its_listener(kernel: KernelRuns, hosts: World) -> None:
    """When the kernel refuses one of several changes, the others are made, and the message is at the right listener."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        instance = await kernel.forward(app)
        chain = f"inet {TABLE} choice/tcp/any/9001"
        hosts.gateway.nft(f"add chain {chain} {{ type filter hook input priority 0; }}")
        listeners = [listener("tcp", PORT), *(listener(f"l{port}", port) for port in (9000, 9001, 9002))]
        write(
            kernel.file,
            gateway("edge", listeners),
            tcproute("app", [parent("edge")], [backend("app")]),
            tcproute(
                "split", [parent("edge", sectionName="l9001")], [backend("app"), backend("app", weight=2)], created=OLD
            ),
        )
        await instance.wait_listener("l9002", "Live")
        view = await instance.wait_listener("l9001", "Failed")
        assert "the kernel refuses its rules" in view.message
        rows = {
            one["name"]: one["conditions"] for one in (await instance.object("Gateway", "edge"))["status"]["listeners"]
        }
        assert condition(rows["l9001"], "Programmed") == ("False", "Invalid")
        for port in (PORT, 9000, 9002):
            assert await who_serves(port, host=FRONT_4) == "app"
        hosts.gateway.nft(f"flush chain {chain}\ndelete chain {chain}")
        await eventually(lambda: who_serves(9001, host=FRONT_4), lambda who: who == "app", what="it was tried again")
        await instance.wait_listener("l9001", "Live")


async def test_element_that_somebody_added_is_replaced(kernel: KernelRuns, hosts: World) -> None:
    """What stands in the way in our own table is noticed when the kernel refuses, and overwritten."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        instance = await kernel.forward(app)
        hosts.gateway.nft(f"add element inet {TABLE} sockets {{ tcp . 9001 : 0x12345678 }}")
        write(
            kernel.file,
            gateway("edge", [listener("tcp", PORT), listener("more", 9001)]),
            tcproute("app", [parent("edge")], [backend("app")]),
        )
        await instance.wait_text("rules refused")
        await instance.wait_listener("more", "Live")
        assert await who_serves(9001, host=FRONT_4) == "app"


async def test_listener_that_the_plane_cannot_serve(kernel: KernelRuns, hosts: World) -> None:
    """A TLS listener is not accepted, with the reason, and hurts nobody."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        secure = {"name": "tls", "protocol": "TLS", "port": 8443, "tls": {"mode": "Passthrough"}}
        instance = await kernel.serve(
            gateway("edge", [listener("tcp", PORT), secure]),
            tcproute("app", [parent("edge", sectionName="tcp")], [backend("app")]),
            arguments=to(app),
        )
        rows = {
            one["name"]: one["conditions"] for one in (await instance.object("Gateway", "edge"))["status"]["listeners"]
        }
        assert condition(rows["tls"], "Accepted") == ("False", "UnsupportedProtocol")
        assert await who_serves(PORT, host=FRONT_4) == "app"
