"""Ports that a local process listens on are not taken from it, unless that is asked for; what serves goes on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from support.backends import Backend
from support.clients import until_served, who_serves
from support.instances import Instance, condition
from support.kernels import PORT, KernelRuns, forwarding, to
from support.manifests import backend, gateway, listener, parent, tcproute
from support.netns import BACKEND_4, BACKEND_6, FRONT_4, FRONT_6, World, needs_hosts
from support.waiting import steadily

pytestmark = needs_hosts()

OTHER = 9000

families = pytest.mark.parametrize(
    ("wildcard", "front", "beyond"),
    [("0.0.0.0", FRONT_4, BACKEND_4), ("::", FRONT_6, BACKEND_6)],
    ids=["IPv4", "IPv6"],
)
"""Where a local process listens, where clients connect, and where the backend is."""


@contextlib.contextmanager
def local_listener(hosts: World, wildcard: str = "0.0.0.0") -> Iterator[socket.socket]:
    """A socket on the gateway that listens on all addresses of a family, and accepts nothing by itself."""
    family = socket.AF_INET6 if ":" in wildcard else socket.AF_INET
    with hosts.gateway.entered():
        listening = socket.create_server((wildcard, PORT), family=family)
    listening.settimeout(5)
    with listening:
        yield listening


def reached(listening: socket.socket, front: str) -> bool:
    """Whether a connection from the client gets to the local listener."""
    with socket.create_connection((front, PORT), timeout=5) as client:
        accepted, peer = listening.accept()
        accepted.close()
        return peer == client.getsockname()


async def programmed(instance: Instance, name: str = "tcp") -> tuple[str, str]:
    """Status and reason of a listener's condition."""
    status = (await instance.object("Gateway", "edge"))["status"]
    (rows,) = (entry["conditions"] for entry in status["listeners"] if entry["name"] == name)
    assert condition(rows, "Accepted")[0] == "True"
    return condition(rows, "Programmed")


@families
async def test_port_of_a_local_process_is_left_to_it(
    kernel: KernelRuns, hosts: World, wildcard: str, front: str, beyond: str
) -> None:
    """Such a listener is accepted and not programmed, names the port; others serve; it takes over when it is free."""
    async with Backend("app", host=beyond, at=hosts.backends) as app:
        with local_listener(hosts, wildcard) as listening:
            instance = await kernel.serve(
                gateway("edge", [listener("tcp", PORT), listener("free", OTHER)]),
                tcproute("app", [parent("edge")], [backend("app")]),
                arguments=to(app),
            )
            assert await programmed(instance) == ("False", "PortUnavailable")
            assert await programmed(instance, "free") == ("True", "Programmed")
            view = await instance.wait_listener("tcp", "Failed")
            assert str(PORT) in view.message
            assert "--allow-shadow" in view.message
            assert await who_serves(OTHER, host=front) == "app"
            assert reached(listening, front)
        await until_served(front, PORT, "app", within=5.0)
        await instance.wait_listener("tcp", "Live")


@families
async def test_local_process_that_comes_later(
    kernel: KernelRuns, hosts: World, wildcard: str, front: str, beyond: str
) -> None:
    """It is noticed within seconds and said; nobody takes the connections of a listener that serves by listening."""
    async with Backend("app", host=beyond, at=hosts.backends) as app:
        instance = await kernel.forward(app)
        with local_listener(hosts, wildcard):
            await instance.wait_listener("tcp", "Failed")
            assert await programmed(instance) == ("False", "PortUnavailable")
            await steadily(
                lambda: who_serves(PORT, host=front), lambda who: who == "app", what="it serves on", during=0.3
            )
            successor = await successor_of(instance, kernel, app)
            assert await who_serves(PORT, host=front) == "app"
        await successor.wait_listener("tcp", "Live")


async def successor_of(instance: Instance, kernel: KernelRuns, app: Backend) -> Instance:
    """Kill the controller and start another one."""
    await instance.kill()
    successor = kernel.start(*to(app), state_dir=instance.state_dir)
    await successor.wait_ready()
    return successor


async def test_allow_shadow(kernel: KernelRuns, hosts: World) -> None:
    """With the flag a listener is served although a local process listens on its port."""
    async with Backend("app", host=BACKEND_4, at=hosts.backends) as app:
        with local_listener(hosts):
            instance = await kernel.forward(app, arguments=("--allow-shadow",))
            await instance.wait_listener("tcp", "Live")
            assert await who_serves(PORT, host=FRONT_4) == "app"


async def test_backend_on_the_port_of_its_listener(kernel: KernelRuns, hosts: World) -> None:
    """A listener may stand before a backend on the same port of the same host, when it may shadow it."""
    async with Backend("app", host=FRONT_4, port=PORT, at=hosts.gateway) as app:
        instance = await kernel.serve(*forwarding("app"), arguments=(*to(app), "--allow-shadow"))
        await instance.wait_listener("tcp", "Live")
        assert await who_serves(PORT, host=FRONT_4) == "app"
        await instance.wait(lambda state: state.listeners[0].opened == 1, what="it went through the listener")
