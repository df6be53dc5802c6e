"""What the kernel counts: connections, refusals and bytes of listeners, routes and backends, whatever happens."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from support.backends import Backend
from support.clients import ask_many, connection, who_serves
from support.instances import Instance
from support.kernels import PORT, KernelRuns, forwarding, to
from support.manifests import backend, gateway, listener, parent, tcproute, write
from support.netns import BACK_4, BACK_6, BACKEND_4, BACKEND_6, FRONT_4, FRONT_6, Host, World, needs_hosts
from support.waiting import eventually
from tidegate.admin.view import BackendTraffic, ListenerView

pytestmark = needs_hosts()

PIECE = 200_000
"""Bytes that are sent at a time."""


async def counted(instance: Instance, opened: int, refused: int = 0, active: int = 0) -> ListenerView:
    """The first listener, once exactly this is counted."""
    state = await instance.wait(
        lambda state: (
            (state.listeners[0].opened, state.listeners[0].refused, state.listeners[0].active)
            == (opened, refused, active)
        ),
        what=f"{opened} opened, {refused} refused, {active} active",
    )
    return state.listeners[0]


def traffic_of(view: ListenerView, backend_name: str) -> BackendTraffic:
    """The counters of one backend."""
    (found,) = (one.traffic for one in view.backends if one.name == f"default/{backend_name}:6000")
    assert found is not None
    return found


async def metric(instance: Instance, name: str, **labels: str) -> float:
    """The value of one series."""
    families = text_string_to_metric_families(await instance.get("/metrics"))
    (found,) = (
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
    return found


async def test_connections_are_counted_by_backend(kernel: KernelRuns, hosts: World) -> None:
    """Of 300 connections each is counted once, for the backend that got it; refused ones for their share."""
    red, blue = (Backend(name, host=BACKEND_4, at=hosts.backends) for name in ("red", "blue"))
    async with red, blue:
        instance = await kernel.serve(
            gateway("edge", [listener("tcp", PORT)]),
            tcproute("app", [parent("edge")], [backend("red", weight=2), backend("blue"), backend("missing")]),
            arguments=to(red, blue),
        )
        tally = await ask_many(PORT, 300, host=FRONT_4)
        refused = tally.refused.total()
        view = await counted(instance, 300, refused)
        for name in ("red", "blue"):
            assert traffic_of(view, name).opened == tally.served[name]
            assert traffic_of(view, name).refused == 0
        assert traffic_of(view, "missing").opened == traffic_of(view, "missing").refused == refused
        labels = {"gateway": "default/edge", "listener": "tcp", "route": "default/app"}
        assert await metric(instance, "tidegate_listener_connections_opened_total", **labels) == 300
        assert await metric(instance, "tidegate_listener_connections_refused_total", **labels) == refused
        red_labels = {**labels, "backend": "default/red:6000"}
        assert await metric(instance, "tidegate_backend_connections_opened_total", **red_labels) == tally.served["red"]
        shown = await kernel.run("status", "-o", "wide", "--state-dir", instance.state_dir)
        assert f"default/red:6000 ({tally.served['red']} opened" in shown.output.replace(" red:", " default/red:")


async def exchange(instance: Instance, place: Host, addresses: tuple[str, str], name: str) -> None:
    """Send numbers of bytes to and fro that differ by address family, and find them counted once."""
    before = await instance.state()
    assert before is not None
    with place.entered():
        async with connection(PORT, host=addresses[0]) as one, connection(PORT, host=addresses[1]) as other:
            for conversation, rounds in ((one, 5), (other, 2)):
                assert await conversation.line() == name
                for _ in range(rounds):
                    await conversation.send(b"x" * PIECE)
                    received = 0
                    while received < PIECE:
                        received += len(await conversation.receive(1 << 20))
            view = await counted(instance, before.listeners[0].opened + 2, 0, 2)
    for count in (view.sent - before.listeners[0].sent, view.received - before.listeners[0].received):
        # Every packet counts with its headers, and none twice: that would be 9 pieces at least.
        assert 7 * PIECE <= count <= 1.2 * 7 * PIECE


async def test_bytes_are_counted_once_on_every_path(kernel: KernelRuns, hosts: World) -> None:
    """For clients elsewhere, on the gateway and at its loopback, whether the backend is elsewhere or here."""
    fronts, loopbacks = (FRONT_4, FRONT_6), ("127.0.0.1", "::1")
    apps = [Backend("app", host=host, at=hosts.backends) for host in (BACKEND_4, BACKEND_6)]
    async with apps[0], apps[1]:
        instance = await kernel.forward(*apps)
        await exchange(instance, hosts.client, fronts, "app")
        await counted(instance, 2)
        await exchange(instance, hosts.gateway, fronts, "app")
        await counted(instance, 4)
    here = [Backend("here", host=host, at=hosts.gateway) for host in (BACK_4, BACK_6)]
    async with here[0], here[1]:
        write(kernel.file, *forwarding("here"))
        instance.process.terminate()
        await instance.ended()
        second = kernel.start(*to(*here), state_dir=instance.state_dir)
        await second.wait_ready()
        await counted(second, 4)
        await exchange(second, hosts.client, fronts, "here")
        await exchange(second, hosts.gateway, loopbacks, "here")


async def test_active_connections_follow_connection_tracking(kernel: KernelRuns, hosts: World) -> None:
    """Open connections are active, those of a former backend too; closed ones are not."""
    async with (
        Backend("red", host=BACKEND_4, at=hosts.backends) as red,
        Backend("blue", host=BACKEND_4, at=hosts.backends) as blue,
    ):
        instance = await kernel.serve(*forwarding("red"), arguments=to(red, blue))
        async with connection(PORT, host=FRONT_4) as old:
            assert await old.line() == "red"
            await counted(instance, 1, 0, 1)
            write(kernel.file, *forwarding("blue"))
            await eventually(
                lambda: who_serves(PORT, host=FRONT_4), lambda who: who == "blue", what="the route changed"
            )
            async with connection(PORT, host=FRONT_4) as new:
                assert await new.line() == "blue"
                state = await instance.wait(lambda state: state.listeners[0].active == 2, what="both are active")
                assert traffic_of(state.listeners[0], "blue").active == 1
                labels = {"gateway": "default/edge", "listener": "tcp", "route": "default/app"}
                assert await metric(instance, "tidegate_listener_connections_active", **labels) == 2
                blue_labels = {**labels, "backend": "default/blue:6000"}
                assert await metric(instance, "tidegate_backend_connections_active", **blue_labels) == 1
                assert await metric(instance, "tidegate_backend_sent_bytes_total", **blue_labels) > 0
        await instance.wait(lambda state: state.listeners[0].active == 0, what="none is active")


async def test_counters_outlive_controller_and_table(kernel: KernelRuns, hosts: World) -> None:
    """Counters go on after kill -9, counting what happened meanwhile, and after a table that was removed for good."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        first = await kernel.forward(app)
        assert await who_serves(PORT, host=FRONT_4) == "app"
        await counted(first, 1)
        await first.kill()
        assert await who_serves(PORT, host=FRONT_4) == "app"
        second = kernel.start(*to(app), state_dir=first.state_dir)
        await second.wait_ready()
        await counted(second, 2)
        second.process.terminate()
        await second.ended()
        third = kernel.start(*to(app), state_dir=first.state_dir)
        await third.wait_ready()
        await counted(third, 2)
        assert await who_serves(PORT, host=FRONT_4) == "app"
        await counted(third, 3)


async def test_marks_of_former_backends_are_given_back(kernel: KernelRuns, hosts: World) -> None:
    """Once no connection of a removed backend is left, the kernel forgets it; its counts stay."""
    hosts.gateway.sysctl("net.netfilter.nf_conntrack_tcp_timeout_time_wait=1")
    red, blue = (Backend(name, host=BACKEND_4, at=hosts.backends) for name in ("red", "blue"))
    async with red, blue:
        instance = await kernel.serve(*forwarding("red"), arguments=to(red, blue))
        assert await who_serves(PORT, host=FRONT_4) == "red"
        await counted(instance, 1)
        write(kernel.file, *forwarding("blue"))

        async def lanes() -> str:
            return hosts.gateway.ruleset("set", "inet", "tidegate-default", "lanes")

        await eventually(lanes, lambda shown: "red" not in shown and "blue" in shown, what="red is gone", within=15)
        assert await who_serves(PORT, host=FRONT_4) == "blue"
        await counted(instance, 2)
