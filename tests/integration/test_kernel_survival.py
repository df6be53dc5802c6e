"""Connections through the kernel outlive every change, the controller, and its end; nothing is lost in between."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from support.backends import Backend
from support.changes import Changes, follows
from support.clients import connection, crowd, probing, until_served, who_serves
from support.instances import Instance
from support.kernels import PORT, TABLE, KernelRuns, forwarding, to
from support.manifests import backend, gateway, listener, parent, tcproute, write
from support.netns import BACKEND_4, BACKEND_6, FRONT_4, FRONT_6, World, needs_hosts
from support.waiting import eventually, steadily

pytestmark = needs_hosts()

CONNECTIONS = 200
CHANGES = 100
REFUSED = "connection refused"
LOOPBACK = "127.0.0.1"
NFTABLES = ("--dataplane", "nftables")
FRONTS = (FRONT_4, FRONT_6)


@asynccontextmanager
async def apps(hosts: World, *names: str) -> AsyncIterator[list[Backend]]:
    """Backends on their host, each with an endpoint in both address families."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Backend(name, host=host, at=hosts.backends))
            for name in names
            for host in (BACKEND_4, BACKEND_6)
        ]


async def serves(name: str, *, port: int = PORT) -> None:
    """Wait until new connections get to a backend, or are refused."""
    for front in FRONTS:
        await until_served(front, port, name, within=5.0)


@pytest.mark.timeout(240)
async def test_hundred_random_changes_reset_nobody(kernel: KernelRuns, hosts: World, tmp_path: Path) -> None:
    """200 echo connections live through 100 random changes; each change holds for new connections."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    async with apps(hosts, "red", "green", "blue") as there:
        places = {one.name: [(other.host, other.port) for other in there if other.name == one.name] for one in there}
        changes = Changes(20240602, folder, PORT, [9001, 9002, 9003], places, refused=REFUSED)
        changes.write()
        kernel.file = folder
        instance = kernel.start()
        await instance.wait_ready()
        async with crowd(PORT, CONNECTIONS, hosts=FRONTS) as people:
            assert people.backends.total() == CONNECTIONS
            for number in range(CHANGES):
                changes.change()
                for front in FRONTS:
                    await eventually(
                        lambda front=front: follows(PORT, changes.shares(), host=front),  # type: ignore[misc]
                        what=f"change {number} ({changes.last}) leads new connections to {changes.shares()}",
                    )
                assert not people.broken, f"after change {number} ({changes.last})"
            await people.check()
            assert not people.broken
            assert people.rounds > 10


async def test_no_new_connection_fails_while_endpoints_change(kernel: KernelRuns, hosts: World) -> None:
    """Weights, backends and endpoints change again and again, and none of the connections that come is refused."""
    async with apps(hosts, "red", "green") as there:
        await kernel.serve(*forwarding("red"), arguments=to(*there))
        async with probing(PORT, loops=4, hosts=FRONTS) as probe:
            for _ in range(15):
                for names in (("red", "green"), ("green",), ("green", "red"), ("red",)):
                    write(kernel.file, *forwarding(*names))
                    await serves(names[-1])
        assert not probe.tally.refused
        assert probe.tally.total > 200


async def test_removed_listener_keeps_its_connections(kernel: KernelRuns, hosts: World) -> None:
    """A listener that is gone takes no new connection, and those that it has go on; so do those of a gone backend."""
    async with apps(hosts, "red") as there:
        await kernel.serve(
            gateway("edge", [listener("kept", PORT), listener("gone", 9000)]),
            tcproute("app", [parent("edge")], [backend("red")]),
            arguments=to(*there),
        )
        async with crowd(9000, 10, hosts=FRONTS) as people:
            write(kernel.file, gateway("edge", [listener("kept", PORT)]))
            await serves(REFUSED, port=9000)
            await serves(REFUSED)
            await people.check()
            assert not people.broken


async def test_killed_controller_is_succeeded_without_a_gap(kernel: KernelRuns, hosts: World) -> None:
    """The kernel serves on after kill -9, and the next start adopts the table: nobody notices, even of other rules."""
    async with apps(hosts, "red", "blue") as there:
        first = await kernel.serve(*forwarding("red", "blue"), arguments=to(*there))
        async with crowd(PORT, 20, hosts=FRONTS) as people, probing(PORT, loops=2, hosts=FRONTS) as probe:
            await first.kill()
            for front in FRONTS:
                await steadily(
                    lambda front=front: who_serves(PORT, host=front),  # type: ignore[misc]
                    lambda who: who in ("red", "blue"),
                    what="it serves",
                    during=0.3,
                )
            second = kernel.start(*to(*there), "--allow-route-localnet", state_dir=first.state_dir)
            await second.wait_ready()
            assert "table adopted" in second.text()
            assert "chain guard" in hosts.gateway.ruleset()
            write(kernel.file, *forwarding("blue"))
            await serves("blue")
            await people.check()
            assert not people.broken
        assert not probe.tally.refused


async def test_successor_with_the_same_plan_changes_nothing(kernel: KernelRuns, hosts: World) -> None:
    """After kill -9 the next start compares: no rule, set, element or counter in the kernel is touched."""
    async with apps(hosts, "red", "blue") as there:
        first = await kernel.serve(
            gateway("edge", [listener("plain", PORT), listener("split", 9000)]),
            tcproute("to-red", [parent("edge", sectionName="plain")], [backend("red")]),
            tcproute("to-all", [parent("edge", sectionName="split")], [backend("blue", weight=2), backend("missing")]),
            arguments=to(*there),
        )
        await serves("red")
        await first.kill()

        def table() -> list[str]:
            """All of it with handles, and how many connections were counted."""
            there = hosts.gateway.run("nft", "-a", "-s", "list", "table", "inet", TABLE)
            return [there, hosts.gateway.ruleset("set", "inet", TABLE, "opened")]

        before = table()
        with hosts.gateway.monitor() as monitor:
            second = kernel.start(*to(*there), state_dir=first.state_dir)
            await second.wait_ready()
            await second.wait_listener("split", "Live")
            assert monitor.changes() == []
        assert table() == before


async def test_edit_made_while_no_controller_ran_is_followed(kernel: KernelRuns, hosts: World) -> None:
    """The successor changes what differs: another backend, and a listener that is gone; connections stay."""
    async with apps(hosts, "red", "blue") as there:
        first = await kernel.serve(
            gateway("edge", [listener("moved", PORT), listener("same", 9000), listener("gone", 9001)]),
            tcproute("to-red", [parent("edge")], [backend("red")]),
            arguments=to(*there),
        )
        async with crowd(PORT, 6, hosts=FRONTS) as people:
            await first.kill()
            _, _, same = hosts.gateway.ruleset("map", "inet", TABLE, "sockets").partition("tcp . 9000 : ")
            same = same[: len("0x70000001")]
            write(
                kernel.file,
                gateway("edge", [listener("moved", PORT), listener("same", 9000)]),
                tcproute("to-red", [parent("edge", sectionName="same")], [backend("red")]),
                tcproute("to-blue", [parent("edge", sectionName="moved")], [backend("blue")]),
            )
            with hosts.gateway.monitor() as monitor:
                second = kernel.start(*to(*there), state_dir=first.state_dir)
                await second.wait_ready()
                await serves("blue")
                await serves("red", port=9000)
                await serves(REFUSED, port=9001)
                changes = monitor.changes()
            # Nothing is heard of the listener that stays; nor of any rule.
            assert not [line for line in changes if " element " not in line or " 9000 " in line or same in line]
            added = {line.partition(" {")[0].split()[-1] for line in changes if line.startswith("add")}
            assert added == {"sockets", "lanes", "endpoints4-1", "endpoints6-1"}
            await people.check()
            assert not people.broken


async def test_keep_leaves_everything_serving(kernel: KernelRuns, hosts: World) -> None:
    """After --on-exit keep the kernel serves on without any process, and the next start adopts it."""
    async with apps(hosts, "red") as there:
        first = await kernel.serve(*forwarding("red"), arguments=(*to(*there), "--on-exit", "keep"))
        async with crowd(PORT, 6, hosts=FRONTS) as people:
            first.send(signal.SIGTERM)
            assert await first.ended() == 0
            await people.check()
            await serves("red")
            second = kernel.start(*to(*there), "--drain-time", "0s", state_dir=first.state_dir)
            await second.wait_ready()
            await people.check()
            assert not people.broken
            second.send(signal.SIGTERM)
            assert await second.ended() == 0
        assert TABLE not in hosts.gateway.ruleset("tables")


async def test_start_that_fails_ends_nothing(kernel: KernelRuns, hosts: World) -> None:
    """A successor that cannot start, as its admin address is taken, leaves what its killed predecessor left serving."""
    async with apps(hosts, "red") as there:
        first = await kernel.serve(*forwarding("red"), arguments=to(*there))
        async with crowd(PORT, 6, hosts=FRONTS) as people:
            await first.kill()
            with hosts.gateway.entered(), socket.create_server((LOOPBACK, 0)) as taken:
                admin = f"{LOOPBACK}:{taken.getsockname()[1]}"
                second = await kernel.tidegate.run(
                    "run", kernel.file, *NFTABLES, *to(*there), "--admin", admin, "--state-dir", first.state_dir
                )
            assert second.status == 2
            assert admin in second.text
            await serves("red")
            await people.check()
            assert not people.broken


async def test_what_is_kept_is_not_hidden_from_another_data_plane(kernel: KernelRuns, hosts: World) -> None:
    """A start with Envoy, whose connections the kernel would take, ends and says how to go on."""
    async with apps(hosts, "red") as there:
        first = await kernel.serve(*forwarding("red"), arguments=(*to(*there), "--on-exit", "keep"))
        first.send(signal.SIGTERM)
        assert await first.ended() == 0
        with hosts.gateway.entered():
            second = await kernel.tidegate.run("run", kernel.file, "--state-dir", first.state_dir)
        assert second.status == 2
        assert f"'nft delete table inet {TABLE}'" in second.text


async def drained(instance: Instance) -> str:
    """How it ended."""
    assert await instance.ended() == 0
    return instance.text()


@pytest.mark.parametrize("last", FRONTS, ids=["IPv4", "IPv6"])
async def test_drain_lets_connections_end(kernel: KernelRuns, hosts: World, last: str) -> None:
    """While it drains, new connections are refused and those that are open go on; it ends with the last of them."""
    (first,) = set(FRONTS) - {last}
    async with apps(hosts, "red") as there:
        instance = await kernel.serve(*forwarding("red"), arguments=(*to(*there), "--drain-time", "60s"))
        async with connection(PORT, host=first) as ending, connection(PORT, host=last) as conversation:
            for one in (ending, conversation):
                assert await one.line() == "red"
            instance.send(signal.SIGTERM)
            await serves(REFUSED)
            assert await ending.echoes("still here")
            ending.close()
            await steadily(lambda: conversation.echoes("and here"), what="the other one goes on", during=0.3)
            assert instance.process.poll() is None
        text = await drained(instance)
        assert "drain time over" not in text
        assert TABLE not in hosts.gateway.ruleset("tables")


async def test_drain_time_ends(kernel: KernelRuns, hosts: World) -> None:
    """Connections that outlive the drain time are cut, and nothing of tidegate is left."""
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(apps(hosts, "red"))
        instance = await kernel.serve(*forwarding("red"), arguments=(*to(*there), "--drain-time", "300ms"))
        people = [await stack.enter_async_context(connection(PORT, host=front)) for front in FRONTS]
        for one in people:
            assert await one.line() == "red"
        instance.send(signal.SIGTERM)
        assert "drain time over" in await drained(instance)
        assert TABLE not in hosts.gateway.ruleset("tables")
        for one in people:
            with pytest.raises(ConnectionError):
                await one.echoes("too late")


async def test_second_signal_ends_at_once(kernel: KernelRuns, hosts: World) -> None:
    """A second interrupt while it drains removes the table and ends."""
    async with apps(hosts, "red") as there:
        instance = await kernel.serve(*forwarding("red"), arguments=(*to(*there), "--drain-time", "60s"))
        async with connection(PORT, host=FRONT_4) as conversation:
            assert await conversation.line() == "red"
            instance.send(signal.SIGINT)
            await serves(REFUSED)
            instance.send(signal.SIGINT)
            await instance.ended()
        assert TABLE not in hosts.gateway.ruleset("tables")


@pytest.mark.parametrize("damage", ["flush ruleset", f"delete table inet {TABLE}", f"flush chain inet {TABLE} find"])
async def test_removed_rules_are_made_again(kernel: KernelRuns, hosts: World, damage: str) -> None:
    """When somebody removes the rules, that is noticed and said, and everything serves again."""
    async with apps(hosts, "red") as there:
        instance = await kernel.serve(*forwarding("red"), arguments=to(*there))
        await serves("red")
        hosts.gateway.nft(damage)
        await instance.wait_text("table lost")
        await serves("red")
        await instance.wait_listener("tcp", "Live")
        await instance.wait(lambda state: state.listeners[0].opened >= 1, what="counters go on")
