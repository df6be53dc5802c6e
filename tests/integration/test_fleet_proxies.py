"""Proxies of several Gateways, each a real Envoy as its Pod would run it: each serves its own Gateway and no other."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import structlog

from support.backends import Backend
from support.certificates import Issuer
from support.clients import connection, crowd, who_serves
from support.fleets import Pods, addresses, gateway_key, plan_of, replica
from support.planes import Serving
from support.plans import forward, pool, remove, socket_key
from support.ports import Ports
from support.proxies import ProxyPod
from support.waiting import eventually
from tidegate.dataplanes.envoy.fleet import EnvoyFleet
from tidegate.dataplanes.envoy.naming import socket_name
from tidegate.names import CONTROLLER_IDENTITY, proxy_identity
from tidegate.plan.outcome import Failed, FailureReason, Live, Pending

A, B = "team-a/gw", "team-b/gw"
METRICS_PAGE = Path(__file__).parents[2] / "docs/metrics.md"


@asynccontextmanager
async def forwarding(issuer: Issuer, made: Pods, port: int) -> AsyncIterator[tuple[EnvoyFleet, Serving, ProxyPod]]:
    """One ready proxy of a Gateway, which forwards a port to the backend ``a``, and its replica."""
    async with Backend("a") as a, replica(issuer, A) as (plane, present):
        present.apply(pool("a", a.port), forward(port, "a", address="*", scope=A))
        pod = made.run(A, plane.port)
        await pod.until_ready()
        yield plane, present, pod


async def listeners(pod: ProxyPod) -> set[str]:
    """The names of the listeners that a proxy has, the static ones left out."""
    body = json.loads(await pod.admin.get("/listeners?format=json"))
    names = {one["name"] for one in body.get("listener_statuses", ())}
    return {name for name in names if not name.startswith("tidegate-")}


async def test_two_gateways_with_two_proxies_each(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """Each proxy has the listeners of its own Gateway, and all of them serve."""
    port, other = ports.reserve(), ports.reserve()
    async with Backend("a") as a, Backend("b") as b, replica(issuer, A, B) as (plane, present):
        first = [made.run(A, plane.port) for _ in range(2)]
        second = [made.run(B, plane.port) for _ in range(2)]
        present.apply(
            pool("a", a.port), pool("b", b.port),
            forward(port, "a", address="*", scope=A), forward(other, "b", address="*", scope=B),
        )  # fmt: skip
        for pod in (*first, *second):
            await pod.until_ready()
        plane.set_ready(A, addresses(*first))
        plane.set_ready(B, addresses(*second))
        await present.until(port, Live, address="*", scope=A)
        await present.until(other, Live, address="*", scope=B)
        for pod in first:
            assert await listeners(pod) == {socket_name(socket_key(port, "*", A))}
        for pod in second:
            assert await listeners(pod) == {socket_name(socket_key(other, "*", B))}
        assert plane.covers(A)
        # All proxies of a Gateway share the port here, so each gets some of the connections.
        assert {await who_serves(port) for _ in range(20)} == {"a"}
        assert {await who_serves(other) for _ in range(20)} == {"b"}


async def test_the_certificate_decides_and_not_the_bootstrap(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """A proxy with another Gateway's identity gets that one's listeners, and nothing of the one it was started for."""
    port, other = ports.reserve(), ports.reserve()
    async with replica(issuer, A, B) as (plane, present):
        present.apply(forward(port, address="*", scope=A), forward(other, address="*", scope=B))
        foreign = made.run(A, plane.port, identity=proxy_identity(B))
        await foreign.until_ready()
        assert await listeners(foreign) == {socket_name(socket_key(other, "*", B))}
        plane.set_ready(A, addresses(foreign))
        waiting = await present.until(port, Pending, address="*", scope=A)
        assert waiting.message == "no proxy of this Gateway is connected"


async def test_who_is_no_proxy_gets_nothing(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """A certificate of ours that is no proxy's opens no stream, and the log says who tried."""
    with structlog.testing.capture_logs() as events:
        async with replica(issuer, A) as (plane, present):
            present.apply(forward(ports.reserve(), address="*", scope=A))
            stranger = made.run(A, plane.port, identity=CONTROLLER_IDENTITY)

            async def denied() -> list[str]:
                return [one["identity"] for one in events if one["event"] == "stream denied"]

            assert await eventually(denied, what="it is denied", within=15.0) == [CONTROLLER_IDENTITY]
            assert await listeners(stranger) == set()
            assert not await stranger.is_ready()


async def test_who_trusts_another_authority_speaks_to_nobody(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """A proxy checks its control plane as well: one with a certificate of somebody else is not listened to."""
    port = ports.reserve()
    async with replica(issuer, A) as (plane, present):
        present.apply(forward(port, address="*", scope=A))
        pod = made.pod(A, plane.port)
        pod.mount(issuer.proxy(A), Issuer().authorities)
        pod.start()

        async def failures() -> int:
            text = await pod.stats()
            return sum(int(count) for count in re.findall(r"ssl\.fail_verify_error: (\d+)", text))

        await eventually(failures, what="the control plane is not believed", within=15.0)
        pod.mount(issuer.proxy(A), issuer.authorities)
        await pod.until_ready()


async def test_a_socket_is_live_only_through_a_ready_proxy(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """What a proxy serves counts only while it gets traffic; until then, people are told what is missing."""
    port = ports.reserve()
    async with replica(issuer, A) as (plane, present):
        present.apply(forward(port, address="*", scope=A))
        nobody = await present.until(port, Pending, address="*", scope=A)
        assert nobody.message == "no proxy of this Gateway is connected"
        pod = made.run(A, plane.port)
        await pod.until_ready()
        unready = await present.until(port, Pending, address="*", scope=A)
        assert unready.message == "no proxy of this Gateway is ready yet"
        assert plane.covers(A)
        plane.set_ready(A, addresses(pod))
        await present.until(port, Live, address="*", scope=A)
        plane.set_ready(A, frozenset())
        await present.until(port, Pending, address="*", scope=A)


async def test_a_proxy_waits_for_its_gateway(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """Before its Gateway is known a proxy is given nothing, not even that there is nothing, and is not ready."""
    port = ports.reserve()
    async with replica(issuer) as (plane, present):
        present.apply({})
        pod = made.run(A, plane.port)
        await pod.until_connected()
        assert not await pod.is_ready()
        present.apply(forward(port, address="*", scope=A))
        plane.set_infrastructure({gateway_key(A): plan_of(A)})
        await pod.until_ready()
        assert await listeners(pod) == {socket_name(socket_key(port, "*", A))}


async def test_a_gateway_without_listeners_has_ready_proxies(issuer: Issuer, made: Pods) -> None:
    """A Gateway of which nothing is planned yet is told so: its proxies are ready for what comes."""
    async with replica(issuer, A) as (plane, present):
        present.apply({})
        await made.run(A, plane.port).until_ready()


async def test_proxies_of_a_deleted_gateway_go_on(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """When a Gateway goes its proxies serve what they have until their Pods end; if it comes back, so do they."""
    port, other = ports.reserve(), ports.reserve()
    async with forwarding(issuer, made, port) as (plane, present, pod):
        plane.set_infrastructure({gateway_key(A): None})
        present.apply(remove(port, "*", A))
        await present.until_gone(port, address="*", scope=A)
        assert await who_serves(port) == "a"
        plane.set_infrastructure({gateway_key(A): plan_of(A)})
        present.apply(forward(other, "a", address="*", scope=A))
        plane.set_ready(A, addresses(pod))
        await present.until(other, Live, address="*", scope=A)
        assert await who_serves(other) == "a"
        assert await who_serves(port) == "connection refused"


async def test_a_port_that_is_taken_on_the_node(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """With the host's network a port may be taken: that is told, and tried again until the port is free."""
    port = ports.reserve()
    async with Backend("a") as a, replica(issuer, A) as (plane, present):
        with socket.create_server(("0.0.0.0", port), reuse_port=True):
            present.apply(pool("a", a.port), forward(port, "a", address="*", scope=A))
            pod = made.run(A, plane.port, host_network=True)
            await pod.until_ready()
            plane.set_ready(A, addresses(pod))
            failed = await present.until(port, Failed, address="*", scope=A)
            assert failed.reason is FailureReason.PORT_UNAVAILABLE
        await present.until(port, Live, address="*", scope=A, within=10.0)
        assert await who_serves(port) == "a"


async def test_the_access_log_goes_to_the_containers_output(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """Switching it on for a Gateway closes no connection, and each one that ends has a line in the container's log."""
    port = ports.reserve()
    async with forwarding(issuer, made, port) as (plane, present, pod):
        plane.set_ready(A, addresses(pod))
        await present.until(port, Live, address="*", scope=A)
        async with crowd(port, 5) as present_before:
            plane.set_infrastructure({gateway_key(A): plan_of(A, access_log="json")})

            async def line() -> str:
                assert await who_serves(port) == "a"
                return next((one for one in pod.process.text().splitlines() if one.startswith("{")), "")

            logged = json.loads(await eventually(line, what="a line in the log", within=10.0, every=0.1))
            assert logged["backend"] == "a"
            await present_before.check()
            assert not present_before.broken


async def test_metrics_have_labels(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """Prometheus finds counters with Gateway, listener and route; the rest of the admin interface is not shown."""
    port, refusing = ports.reserve(), ports.reserve()
    async with Backend("a") as a, replica(issuer, A) as (plane, present):
        present.apply(
            pool("a", a.port), forward(port, "a", address="*", scope=A, listener="db.main", route="orders.v1"),
            forward(refusing, address="*", scope=A, listener="none", route=None),
        )  # fmt: skip
        pod = made.run(A, plane.port)
        await pod.until_ready()
        assert await who_serves(port) == "a"
        assert await who_serves(refusing) == "closed without a byte"

        async def metrics() -> str:
            return (await pod.get("/stats/prometheus"))[1]

        # The plan's listeners belong to the Gateway of ``support.plans``, whose label is in our own counters.
        labels = 'listener="db.main",route="default/orders.v1"'
        for series in (
            rf'^envoy_tcp_downstream_cx_total{{gateway="team-a/gw",{labels}}} 1$',
            rf'^envoy_tidegate_connections_refused{{gateway="default/gateway",{labels}}} 0$',
            r'^envoy_tidegate_connections_refused{gateway="default/gateway",listener="none"} 1$',
            r'^envoy_tcp_downstream_cx_total{gateway="team-a/gw",listener="none"} 1$',
            rf'^envoy_listener_downstream_cx_active{{gateway="team-a/gw",port="{port}"}} 0$',
            r'^envoy_control_plane_connected_state{gateway="team-a/gw"} 1$',
        ):
            await eventually(metrics, lambda text, wanted=series: re.search(wanted, text, re.MULTILINE), what=series)
        text = await metrics()
        assert "_bucket" not in text
        documented = set(re.findall(r"^\| `(envoy_\w+)`", METRICS_PAGE.read_text(), re.MULTILINE))
        assert documented - set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) == set()
        for hidden in ("/", "/config_dump", "/stats", "/certs", "/ready/", "/quitquitquit"):
            assert (await pod.get(hidden))[0] == 404


async def test_the_container_is_envoy_itself(issuer: Issuer, made: Pods) -> None:
    """The process that the container was started with is Envoy now, may open all files it can, and ends when told."""
    async with replica(issuer, A) as (plane, present):
        present.apply({})
        pod = made.run(A, plane.port)
        await pod.until_ready()
        process = psutil.Process(pod.process.pid)
        assert Path(process.exe()).name == "envoy"
        soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
        assert soft == hard
        pod.process.send(signal.SIGTERM)

        async def ended() -> bool:
            return not pod.process.running

        await eventually(ended, what="it has ended")


async def test_draining_waits_for_connections(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """Told to drain, a proxy is not ready any more, still serves who comes at first, and ends with its last client."""
    port = ports.reserve()
    async with forwarding(issuer, made, port) as (_, _, pod):
        async with connection(port) as client:
            assert await client.line() == "a"
            async with pod.draining(time="60s") as draining:

                async def status() -> int:
                    return (await pod.get("/ready"))[0]

                await eventually(status, lambda code: code == 503, what="it is not ready any more")
                assert await who_serves(port) == "a"
                assert not draining.done()
                assert await client.echoes("still there")
                client.close()
                assert (await draining).status == 0
        assert await who_serves(port) == "connection refused"


async def test_draining_has_an_end(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """When the time is over the command ends, whoever is still connected."""
    port = ports.reserve()
    async with forwarding(issuer, made, port) as (_, _, pod), connection(port) as client:
        assert await client.line() == "a"
        async with pod.draining(time="1s") as draining:
            assert (await draining).status == 1
        assert await client.echoes("still there")
