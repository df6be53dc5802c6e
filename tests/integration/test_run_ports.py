"""Ports that somebody else holds: said within the promised time, harmless to the others, taken when free."""

import socket
from pathlib import Path

from support.backends import Backend
from support.clients import who_serves
from support.instances import Instance, Instances, condition
from support.manifests import backend, gateway, listener, parent, tcproute, write
from support.ports import Ports
from support.waiting import eventually


def hold(port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket on a port; ``shared`` takes it beside others by SO_REUSEPORT."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if shared else socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", port))
    sock.listen()
    return sock


def documents(taken: int, free: int) -> tuple[dict, dict]:
    return (
        gateway("edge", [listener("taken", taken), listener("free", free)]),
        tcproute("app", [parent("edge")], [backend("app")]),
    )


async def conditions(instance: Instance, name: str) -> list[dict]:
    status = (await instance.object("Gateway", "edge"))["status"]
    (found,) = (entry for entry in status["listeners"] if entry["name"] == name)
    return found["conditions"]


async def test_port_taken_before_the_start_is_named_and_taken_over_later(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """The listener says which port is taken, the other one serves, and it recovers when the port is free."""
    taken, free = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(taken, free))
    async with Backend("app") as app:
        with hold(taken):
            instance = tidegate.start(manifest, "--backend", f"app:6000={app.address}")
            await eventually(lambda: who_serves(free), lambda who: who == "app", what="the free port", within=10)
            entry = await instance.wait_listener("taken", "Failed", within=1)
            assert str(taken) in entry.message
            rows = await conditions(instance, "taken")
            assert condition(rows, "Accepted")[0] == "True"
            assert condition(rows, "Programmed") == ("False", "PortUnavailable")
            (message,) = (row["message"] for row in rows if row["type"] == "Programmed")
            assert str(taken) in message
            assert condition(await conditions(instance, "free"), "Programmed")[0] == "True"
            gateway_rows = (await instance.object("Gateway", "edge"))["status"]["conditions"]
            assert condition(gateway_rows, "Programmed")[0] == "True"
        await eventually(lambda: who_serves(taken), lambda who: who == "app", what="the port is taken over", within=10)
        await instance.wait_listener("taken", "Live")


async def test_port_taken_when_a_listener_is_added_is_named_within_a_second(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """A listener that is added on a taken port fails within a second of its edit, and hurts no other."""
    taken, free = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    edge, route = documents(taken, free)
    write(manifest, gateway("edge", [listener("free", free)]), route)
    async with Backend("app") as app:
        instance = tidegate.start(manifest, "--backend", f"app:6000={app.address}")
        await instance.wait_ready()
        with hold(taken):
            write(manifest, edge, route)
            await instance.wait_listener("taken", "Failed", within=1)
            assert await who_serves(free) == "app"


async def test_intruder_by_reuseport_is_noticed_and_forgiven(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Somebody who shares a serving port by SO_REUSEPORT shows within seconds; so does that he is gone."""
    taken, free = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(taken, free))
    async with Backend("app") as app:
        instance = tidegate.start(manifest, "--backend", f"app:6000={app.address}")
        await instance.wait_ready()
        with hold(taken, shared=True):
            entry = await instance.wait_listener("taken", "Failed", within=6)
            assert str(taken) in entry.message
            rows = await conditions(instance, "taken")
            assert condition(rows, "Accepted")[0] == "True"
            assert condition(rows, "Programmed") == ("False", "PortUnavailable")
            assert await who_serves(free) == "app"
        await instance.wait_listener("taken", "Live", within=10)
        assert await who_serves(taken) == "app"
