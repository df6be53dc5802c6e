"""Two instances of the kernel plane with a listener on the same port: one serves it, and the other says who does."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.backends import Backend
from support.clients import until_served, who_serves
from support.instances import Instance, condition
from support.kernels import PORT, KernelRuns, forwarding, to
from support.manifests import backend, gateway, listener, parent, tcproute
from support.netns import BACKEND_4, BACKEND_6, FRONT_4, FRONT_6, World, needs_hosts
from support.waiting import steadily

pytestmark = needs_hosts()

FREE = 9000
FIRST, SECOND = ("--name", "first"), ("--name", "second")


async def programmed(instance: Instance, name: str = "tcp") -> tuple[str, str]:
    """Status and reason of a listener's condition; it is accepted."""
    status = (await instance.object("Gateway", "edge"))["status"]
    (rows,) = (entry["conditions"] for entry in status["listeners"] if entry["name"] == name)
    assert condition(rows, "Accepted")[0] == "True"
    return condition(rows, "Programmed")


async def refused(instance: Instance, table: str) -> None:
    """It says of its listener that it is not programmed, and whose table takes its connections."""
    view = await instance.wait_listener("tcp", "Failed")
    assert f"(table {table})" in view.message
    assert await programmed(instance) == ("False", "PortUnavailable")


@pytest.mark.parametrize(("front", "beyond"), [(FRONT_4, BACKEND_4), (FRONT_6, BACKEND_6)], ids=["IPv4", "IPv6"])
async def test_who_serves_keeps_serving(
    kernel: KernelRuns, hosts: World, tmp_path: Path, front: str, beyond: str
) -> None:
    """The later one serves its other listeners; a restart of either changes nothing; when one goes the other serves."""
    async with (
        Backend("app", host=beyond, at=hosts.backends) as app,
        Backend("other", host=beyond, at=hosts.backends) as other,
    ):
        first = await kernel.forward(app, arguments=FIRST)
        first_file, kernel.file = kernel.file, tmp_path / "second.yaml"
        arguments = (*to(other), *SECOND)
        second = await kernel.serve(
            gateway(
                "edge",
                [listener("tcp", PORT), listener("free", FREE)],
                addresses=[{"type": "IPAddress", "value": front}],
            ),
            tcproute("app", [parent("edge")], [backend("other")]),
            arguments=arguments,
        )
        await refused(second, "tidegate-first")
        await second.wait_listener("free", "Live")
        assert await programmed(first) == ("True", "Programmed")
        assert await who_serves(FREE, host=front) == "other"
        assert await who_serves(PORT, host=front) == "app"

        await second.kill()
        second = kernel.start(*arguments, state_dir=second.state_dir)
        await second.wait_ready()
        await refused(second, "tidegate-first")

        await first.kill()
        second_file, kernel.file = kernel.file, first_file
        first = kernel.start(*to(app), *FIRST, state_dir=first.state_dir)
        await first.wait_ready()
        await first.wait_listener("tcp", "Live")
        await steadily(lambda: who_serves(PORT, host=front), lambda who: who == "app", what="it serves on", during=1.0)
        assert await programmed(second) == ("False", "PortUnavailable")

        first.process.terminate()
        await until_served(front, PORT, "other", within=5.0)
        await second.wait_listener("tcp", "Live")
        await first.ended()
        # Its new table is the later one, but the other serves.
        first = kernel.start(*to(app), *FIRST, state_dir=first.state_dir)
        await first.wait_ready()
        await refused(first, "tidegate-second")
        assert await who_serves(PORT, host=front) == "other"

        await second.kill()
        kernel.file = second_file
        second = kernel.start(*arguments, state_dir=second.state_dir)
        await second.wait_ready()
        await second.wait_listener("tcp", "Live")
        await refused(first, "tidegate-second")
        assert await who_serves(PORT, host=front) == "other"


async def test_allow_shadow(kernel: KernelRuns, hosts: World, tmp_path: Path) -> None:
    """Who may shadow takes the connections, and the other says so until it gets them again, which is at once."""
    async with (
        Backend("app", host=BACKEND_4, at=hosts.backends) as app,
        Backend("other", host=BACKEND_4, at=hosts.backends) as other,
    ):
        first = await kernel.forward(app, arguments=FIRST)
        kernel.file = tmp_path / "second.yaml"
        second = await kernel.serve(
            *forwarding("other"), arguments=(*to(other), *SECOND, "--allow-shadow", "--drain-time", "0s")
        )
        await second.wait_listener("tcp", "Live")
        assert await who_serves(PORT, host=FRONT_4) == "other"
        await refused(first, "tidegate-second")
        second.process.terminate()
        await second.ended()
        assert await who_serves(PORT, host=FRONT_4) == "app"
        await first.wait_listener("tcp", "Live")


async def test_table_that_nobody_keeps(kernel: KernelRuns, hosts: World, tmp_path: Path) -> None:
    """It takes connections as before, so another instance does not say that it does; removed, it is free."""
    async with (
        Backend("app", host=BACKEND_4, at=hosts.backends) as app,
        Backend("other", host=BACKEND_4, at=hosts.backends) as other,
    ):
        first = await kernel.forward(app, arguments=FIRST)
        await first.kill()
        kernel.file = tmp_path / "second.yaml"
        second = await kernel.serve(*forwarding("other"), arguments=(*to(other), *SECOND))
        await refused(second, "tidegate-first")
        assert await who_serves(PORT, host=FRONT_4) == "app"
        hosts.gateway.nft("delete table inet tidegate-first")
        await until_served(FRONT_4, PORT, "other", within=5.0)
        await second.wait_listener("tcp", "Live")
