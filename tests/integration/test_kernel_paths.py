"""Which clients the kernel brings to which backends, with whose address, and what it refuses: on hosts of our own."""

from __future__ import annotations

import re
import socket
from contextlib import AsyncExitStack

import pytest

from support.backends import Backend, tell_peer
from support.chance import likely
from support.clients import Ending, Refused, ask, ask_many, until_served, who_serves
from support.instances import condition
from support.kernels import PORT, KernelRuns, forwarding, to
from support.manifests import backend, gateway, listener, parent, service, tcproute
from support.netns import (
    BACK_4,
    BACK_6,
    BACKEND_4,
    BACKEND_6,
    CLIENT_4,
    CLIENT_6,
    FRONT_4,
    FRONT_6,
    Host,
    World,
    cable,
    needs_hosts,
)
from support.waiting import eventually

pytestmark = needs_hosts()

REFUSED = "connection refused"
AT_ONCE = 0.5
LOOPBACKS = ("127.0.0.1", "::1")
EVERYWHERE = (FRONT_4, BACK_4, FRONT_6, BACK_6)
"""All addresses of the gateway that other hosts know."""


async def answers(*addresses: str, port: int = PORT) -> dict[str, str]:
    """Who serves at each address, or how it is refused. Nobody is kept waiting."""
    found = {}
    for address in addresses:
        answer = await ask(port, host=address)
        assert answer.seconds < AT_ONCE, f"{address} was kept waiting"
        found[address] = answer.how.value if isinstance(answer, Refused) else answer.backend
    return found


async def test_guides_example(kernel: KernelRuns, hosts: World) -> None:
    """Two ports lead to two backends on another host, for clients elsewhere and on the gateway, by IPv4 and IPv6."""
    foo, bar = (Backend(name, host=BACKEND_4, at=hosts.backends) for name in ("foo", "bar"))
    foo6, bar6 = (Backend(name, host=BACKEND_6, at=hosts.backends) for name in ("foo", "bar"))
    async with foo, bar, foo6, bar6:
        await kernel.serve(
            gateway("edge", [listener("foo", 8080), listener("bar", 8090)]),
            tcproute("to-foo", [parent("edge", sectionName="foo")], [backend("foo")]),
            tcproute("to-bar", [parent("edge", sectionName="bar")], [backend("bar")]),
            arguments=to(foo, foo6, bar, bar6),
        )
        for host in (hosts.client, hosts.gateway):
            with host.entered():
                for port, name in ((8080, "foo"), (8090, "bar")):
                    assert await answers(*EVERYWHERE, port=port) == dict.fromkeys(EVERYWHERE, name)


async def test_backend_on_the_gateway_itself(kernel: KernelRuns, hosts: World) -> None:
    """A backend at an address of the gateway serves clients everywhere, 127.0.0.1 and ::1 included."""
    one = Backend("app", host=BACK_4, at=hosts.gateway)
    other = Backend("app", host=BACK_6, at=hosts.gateway)
    async with one, other:
        instance = await kernel.forward(one, other)
        assert await answers(FRONT_4, FRONT_6) == {FRONT_4: "app", FRONT_6: "app"}
        with hosts.gateway.entered():
            everywhere = (*LOOPBACKS, *EVERYWHERE)
            assert await answers(*everywhere) == dict.fromkeys(everywhere, "app")
        state = await instance.state()
        assert state is not None
        assert state.listeners[0].message == ""


async def test_backend_on_loopback_is_for_clients_of_the_gateway(kernel: KernelRuns, hosts: World) -> None:
    """Clients on the gateway reach a backend at 127.0.0.1 or ::1 by every address; others are refused, by name."""
    one = Backend("app", at=hosts.gateway)
    other = Backend("app", host="::1", at=hosts.gateway)
    async with one, other:
        instance = await kernel.forward(one, other)
        with hosts.gateway.entered():
            everywhere = (*LOOPBACKS, *EVERYWHERE)
            assert await answers(*everywhere) == dict.fromkeys(everywhere, "app")
        assert await answers(FRONT_4, FRONT_6) == {FRONT_4: REFUSED, FRONT_6: REFUSED}
        state = await instance.state()
        assert state is not None
        assert "IPv4 clients on other hosts are refused by default/app:6000" in state.listeners[0].message
        assert "--allow-route-localnet" in state.listeners[0].message
        assert "IPv6 clients on other hosts are refused" in state.listeners[0].message
        status = await instance.get("/api/v1/state")
        assert "IPv4 clients on other hosts are refused" in status
        programmed = condition((await instance.object("Gateway", "edge"))["status"]["listeners"][0]["conditions"],
                               "Programmed")  # fmt: skip
        assert programmed == ("True", "Programmed")


async def test_loopback_clients_of_backends_elsewhere_are_refused(kernel: KernelRuns, hosts: World) -> None:
    """127.0.0.1 and ::1 cannot leave the gateway: refused at once and named, while its other addresses work."""
    one = Backend("app", host=BACKEND_4, at=hosts.backends)
    other = Backend("app", host=BACKEND_6, at=hosts.backends)
    async with one, other:
        instance = await kernel.forward(one, other)
        with hosts.gateway.entered():
            assert await answers("127.0.0.1", "::1", FRONT_4, FRONT_6) == {
                "127.0.0.1": REFUSED,
                "::1": REFUSED,
                FRONT_4: "app",
                FRONT_6: "app",
            }
        state = await instance.state()
        assert state is not None
        assert "clients at 127.0.0.1 are refused by default/app:6000" in state.listeners[0].message
        assert "clients at ::1 are refused by default/app:6000" in state.listeners[0].message
        shown = await kernel.run("status", "--state-dir", instance.state_dir)
        assert "clients at ::1 are refused" in shown.output


async def test_allow_route_localnet(kernel: KernelRuns, hosts: World) -> None:
    """With it IPv4 crosses to and from 127.0.0.1, as IPv6 cannot; nobody else gets in; the sysctl is put back."""
    here, there = Backend("here", at=hosts.gateway), Backend("there", host=BACKEND_4, at=hosts.backends)
    here6 = Backend("here", host="::1", at=hosts.gateway)
    there6 = Backend("there", host=BACKEND_6, at=hosts.backends)
    async with here, there, here6, there6:
        instance = await kernel.serve(
            gateway("edge", [listener("here", 8080), listener("there", 8090)]),
            tcproute("to-here", [parent("edge", sectionName="here")], [backend("here")]),
            tcproute("to-there", [parent("edge", sectionName="there")], [backend("there")]),
            arguments=(*to(here, here6, there, there6), "--allow-route-localnet", "--drain-time", "0s"),
        )
        assert await answers(FRONT_4, FRONT_6) == {FRONT_4: "here", FRONT_6: REFUSED}
        with hosts.gateway.entered():
            everywhere = (*LOOPBACKS, FRONT_4, FRONT_6)
            assert await answers(*everywhere, port=8090) == dict.fromkeys(everywhere, "there") | {"::1": REFUSED}
        # A neighbour that sends to 127.0.0.1 by way of the gateway must not get to what listens there.
        hosts.client.sysctl("net.ipv4.conf.all.route_localnet=1")
        hosts.client.ip("addr", "del", "127.0.0.1/8", "dev", "lo")
        hosts.client.ip("route", "add", "127.0.0.1", "via", FRONT_4, "src", CLIENT_4)
        assert isinstance(await ask(here.port, within=0.5), Refused)
        assert here.accepted == 1
        instance.process.terminate()
        assert await instance.ended() == 0
        assert hosts.gateway.read_sysctl("net.ipv4.conf.all.route_localnet") == "0"


async def test_sysctl_of_a_killed_controller_is_put_back(kernel: KernelRuns, hosts: World) -> None:
    """A successor without --allow-route-localnet puts back what its killed predecessor changed."""
    async with Backend("app", at=hosts.gateway) as app:
        first = await kernel.forward(app, arguments=("--allow-route-localnet",))
        await first.kill()
        assert hosts.gateway.read_sysctl("net.ipv4.conf.all.route_localnet") == "1"
        assert await answers(FRONT_4) == {FRONT_4: "app"}
        second = kernel.start(*to(app), state_dir=first.state_dir)
        await second.wait_ready()
        assert hosts.gateway.read_sysctl("net.ipv4.conf.all.route_localnet") == "0"
        await eventually(lambda: answers(FRONT_4), lambda found: found == {FRONT_4: REFUSED}, what="refused again")


async def test_without_forwarding_backends_elsewhere_are_refused(kernel: KernelRuns, hosts: World) -> None:
    """A gateway that does not forward refuses at once, names the sysctl, and serves as soon as it is set."""
    hosts.forward(on=False)
    app = Backend("app", host=BACKEND_4, at=hosts.backends)
    app6 = Backend("app", host=BACKEND_6, at=hosts.backends)
    async with app, app6:
        instance = await kernel.forward(app, app6)
        assert await answers(*EVERYWHERE) == dict.fromkeys(EVERYWHERE, REFUSED)
        with hosts.gateway.entered():
            assert await answers(*EVERYWHERE) == dict.fromkeys(EVERYWHERE, "app")
        state = await instance.state()
        assert state is not None
        assert "net.ipv4.ip_forward=1" in state.listeners[0].message
        assert "net.ipv6.conf.all.forwarding=1" in state.listeners[0].message
        hosts.forward(on=True)
        await eventually(
            lambda: answers(*EVERYWHERE),
            lambda found: found == dict.fromkeys(EVERYWHERE, "app"),
            what="it forwards",
        )


async def test_family_without_an_endpoint_is_refused(kernel: KernelRuns, hosts: World) -> None:
    """A backend without an endpoint of the client's family has its share of those clients refused, with a hint."""
    async with AsyncExitStack() as stack:
        members = [
            await stack.enter_async_context(Backend(name, host=host, at=hosts.backends))
            for name, host in (("both", BACKEND_4), ("both", BACKEND_6), ("old", BACKEND_4), ("new", BACKEND_6))
        ]
        instance = await kernel.forward(*members)
        for address, name in ((FRONT_4, "old"), (FRONT_6, "new")):
            tally = await ask_many(PORT, 300, host=address)
            assert set(tally.served) == {"both", name}
            assert set(tally.refused) == {Ending.NOT_LISTENING}
            for count in (tally.served["both"], tally.served[name], tally.refused.total()):
                assert count in likely(300, 1 / 3, among=6)
            assert tally.refusal_percentile(100) < AT_ONCE
    state = await instance.state()
    assert state is not None
    assert "IPv6 clients are refused by default/old:6000, which has no IPv6 endpoint" in state.listeners[0].message
    assert "IPv4 clients are refused by default/new:6000, which has no IPv4 endpoint" in state.listeners[0].message
    assert not re.search(r"IPv[46] clients are refused by default/both", state.listeners[0].message)


async def test_endpoints_of_one_backend_in_different_places(kernel: KernelRuns, hosts: World) -> None:
    """Connections are shared evenly among the endpoints that their client can reach; no other one refuses them."""
    async with AsyncExitStack() as stack:
        near, near6, far, far6 = [
            await stack.enter_async_context(Backend("app", host=address, at=place))
            for place, addresses in ((hosts.gateway, LOOPBACKS), (hosts.backends, (BACKEND_4, BACKEND_6)))
            for address in addresses
        ]
        await kernel.forward(near, near6, far, far6)
        for front, loopback, one, other in ((FRONT_4, "127.0.0.1", near, far), (FRONT_6, "::1", near6, far6)):
            assert (await ask_many(PORT, 20, host=front)).served["app"] == 20
            assert (one.accepted, other.accepted) == (0, 20)
            with hosts.gateway.entered():
                assert (await ask_many(PORT, 20, host=loopback)).served["app"] == 20
                assert (one.accepted, other.accepted) == (20, 20)
                assert (await ask_many(PORT, 200, host=front)).served["app"] == 200
            assert one.accepted - 20 in likely(200, 0.5, among=2)


@pytest.mark.parametrize(
    ("own", "loopback", "beyond"),
    [(FRONT_4, "127.0.0.1", BACKEND_4), (FRONT_6, "::1", BACKEND_6)],
    ids=["IPv4", "IPv6"],
)
async def test_listener_on_one_address(kernel: KernelRuns, hosts: World, own: str, loopback: str, beyond: str) -> None:
    """It takes nothing that goes to another address of the gateway, nor what is merely routed through it."""
    behind = Backend("behind", host=beyond, port=PORT, at=hosts.backends)
    hosts.route_back()
    async with Backend("app", host=beyond, at=hosts.backends) as app, behind:
        await kernel.serve(*forwarding("app", addresses=[{"type": "IPAddress", "value": own}]), arguments=to(app))
        for host, more in ((hosts.client, ()), (hosts.gateway, LOOPBACKS)):
            with host.entered():
                found = await answers(*EVERYWHERE, *more, beyond)
                assert found == dict.fromkeys((*EVERYWHERE, *more), REFUSED) | {own: "app", beyond: "behind"}


async def test_link_local_addresses_are_left_alone(kernel: KernelRuns, hosts: World) -> None:
    """Who connects to one is refused at once on every link, although IPv6 works and a backend is there."""
    own = "fe80::77:1"
    with Host("late") as late:
        cable(late, ["fd77:3::2"], hosts.gateway, ["fd77:3::1"])
        async with Backend("app", host=BACKEND_6, at=hosts.backends) as app:
            await kernel.serve(
                gateway("edge", [listener("tcp", 8080), listener("empty", 8090)]),
                tcproute("app", [parent("edge", sectionName="tcp")], [backend("app")]),
                arguments=to(app),
            )
            for host, device, front in ((hosts.client, "to-client", FRONT_6), (late, "to-late", "fd77:3::1")):
                hosts.gateway.ip("addr", "add", f"{own}/64", "dev", device, "nodad")
                host.ip("addr", "add", "fe80::77:2/64", "dev", "to-gateway", "nodad")
                near = f"{own}%to-gateway"
                with host.entered():
                    assert await answers(front, near) == {front: "app", near: REFUSED}
                    assert await answers(front, near, port=8090) == {front: REFUSED, near: REFUSED}


async def test_address_that_is_not_the_gateways(kernel: KernelRuns, hosts: World) -> None:
    """It is not usable, and traffic to it is not taken; once the gateway has it, it serves."""
    late = {"10.77.1.9": "24", "fd77:1::9": "64"}
    app = Backend("app", host=BACKEND_4, at=hosts.backends)
    app6 = Backend("app", host=BACKEND_6, at=hosts.backends)
    async with app, app6:
        instance = await kernel.serve(
            *forwarding("app", addresses=[{"type": "IPAddress", "value": one} for one in late]),
            arguments=to(app, app6),
        )
        found = await instance.object("Gateway", "edge")
        assert condition(found["status"]["conditions"], "Programmed") == ("False", "AddressNotUsable")
        for address, length in late.items():
            hosts.gateway.ip("addr", "add", f"{address}/{length}", "dev", "to-client")
        for address in late:
            await until_served(address, PORT, "app", within=5.0)
        await instance.wait_listener("tcp", "Live")


async def test_traffic_that_is_routed_through_is_left_alone(kernel: KernelRuns, hosts: World) -> None:
    """Connections to the listener's port on another host pass the gateway as if it were not there."""
    hosts.route_back()
    async with AsyncExitStack() as stack:
        app, app6, _, _ = [
            await stack.enter_async_context(Backend(name, tell_peer(name), host=host, port=port, at=hosts.backends))
            for name, port in (("app", 0), ("behind", PORT))
            for host in (BACKEND_4, BACKEND_6)
        ]
        await kernel.forward(app, app6)
        for host, (seen, seen6) in ((hosts.client, (CLIENT_4, CLIENT_6)), (hosts.gateway, (BACK_4, BACK_6))):
            with host.entered():
                assert await answers(FRONT_4, FRONT_6, BACKEND_4, BACKEND_6) == {
                    FRONT_4: f"app sees {BACK_4}",
                    FRONT_6: f"app sees {BACK_6}",
                    BACKEND_4: f"behind sees {seen}",
                    BACKEND_6: f"behind sees {seen6}",
                }


async def test_only_translated_connections_are_masqueraded(kernel: KernelRuns, hosts: World) -> None:
    """Backends see the gateway's address, by IPv4 and IPv6; the gateway's other connections are as before."""
    hosts.route_back()
    app = Backend("app", tell_peer("app"), host=BACKEND_4, at=hosts.backends)
    app6 = Backend("app", tell_peer("app"), host=BACKEND_6, at=hosts.backends)
    async with app, app6:
        await kernel.forward(app, app6)
        assert await answers(FRONT_4, FRONT_6) == {FRONT_4: f"app sees {BACK_4}", FRONT_6: f"app sees {BACK_6}"}
        assert await who_serves(app.port, host=BACKEND_4) == f"app sees {CLIENT_4}"
        assert await who_serves(app6.port, host=BACKEND_6) == f"app sees {CLIENT_6}"


async def test_masquerading_keeps_the_port(kernel: KernelRuns, hosts: World) -> None:
    """A client that uses a port again comes to the backend by the same one, which knows how to tell the two apart."""
    with hosts.backends.entered():
        listening = socket.create_server((BACKEND_4, PORT))
    with listening:
        await kernel.serve(*forwarding("app"), arguments=(f"--backend=app={BACKEND_4}:{PORT}",))
        for _ in range(3):
            with socket.socket() as client:
                client.settimeout(AT_ONCE)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.bind((CLIENT_4, 40_000))
                client.connect((FRONT_4, PORT))
                accepted, peer = listening.accept()
                accepted.close()
                assert client.recv(1) == b""
            assert peer == (BACK_4, 40_000)


async def test_source_address_is_preserved(kernel: KernelRuns, hosts: World) -> None:
    """With --source-address preserve backends see the client; they answer through the gateway."""
    hosts.route_back()
    app = Backend("app", tell_peer("app"), host=BACKEND_4, at=hosts.backends)
    app6 = Backend("app", tell_peer("app"), host=BACKEND_6, at=hosts.backends)
    async with app, app6:
        await kernel.forward(app, app6, arguments=("--source-address", "preserve"))
        assert await answers(FRONT_4, FRONT_6) == {FRONT_4: f"app sees {CLIENT_4}", FRONT_6: f"app sees {CLIENT_6}"}


async def test_backend_that_does_not_answer_through_the_gateway(kernel: KernelRuns, hosts: World) -> None:
    """A backend that sees the client, and has no way back to it, leaves it waiting: the log says so, and why."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        instance = await kernel.forward(app, arguments=("--source-address", "preserve"))
        with socket.socket() as client:
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.connect((FRONT_4, PORT))
            await instance.wait_text("connections are not answered", within=15.0)
        assert "default/app" in instance.text()
        assert "must send its answers through this host" in instance.text()


@pytest.mark.parametrize("source", ["masquerade", "preserve"])
async def test_client_that_is_its_own_backend(kernel: KernelRuns, hosts: World, source: str) -> None:
    """A hairpin works: the host of the backend connects to the gateway, and its own backend serves it."""
    hosts.route_back()
    app = Backend("app", tell_peer("app"), host=BACKEND_4, at=hosts.backends)
    app6 = Backend("app", tell_peer("app"), host=BACKEND_6, at=hosts.backends)
    async with app, app6:
        await kernel.forward(app, app6, arguments=("--source-address", source))
        with hosts.backends.entered():
            assert await answers(FRONT_4, FRONT_6, BACK_4) == {
                FRONT_4: f"app sees {BACK_4}",
                FRONT_6: f"app sees {BACK_6}",
                BACK_4: f"app sees {BACK_4}",
            }


async def test_nothing_usable_is_refused_at_once(kernel: KernelRuns, hosts: World) -> None:
    """Whether there is no route, no Service, no endpoint or no weight: programmed, and every connection is refused."""
    names = ("unused", "broken", "idle", "resting")
    refs = {"broken": backend("missing"), "idle": backend("idle"), "resting": backend("idle", weight=0)}
    instance = await kernel.serve(
        gateway("edge", [listener(name, PORT + number) for number, name in enumerate(names)]),
        *(tcproute(name, [parent("edge", sectionName=name)], [ref]) for name, ref in refs.items()),
        service("idle"),
    )
    for host, addresses in ((hosts.client, EVERYWHERE), (hosts.gateway, (*EVERYWHERE, *LOOPBACKS))):
        with host.entered():
            for number in range(len(names)):
                assert await answers(*addresses, port=PORT + number) == dict.fromkeys(addresses, REFUSED)
    for name in names:
        view = await instance.wait_listener(name, "Live")
        assert (view.opened, view.refused) in {(0, 0), (10, 10)}


async def test_clients_of_a_second_network(kernel: KernelRuns, hosts: World) -> None:
    """Another network that is connected while tidegate runs is served as well, by its own addresses."""
    own = ("10.77.3.1", "fd77:3::1")
    app = Backend("app", host=BACKEND_4, at=hosts.backends)
    app6 = Backend("app", host=BACKEND_6, at=hosts.backends)
    async with app, app6:
        await kernel.forward(app, app6)
        with Host("late") as late:
            cable(late, ["10.77.3.2", "fd77:3::2"], hosts.gateway, list(own))
            with late.entered():
                assert await answers(*own) == dict.fromkeys(own, "app")
