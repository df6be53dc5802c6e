"""The network of a test cluster's pods: each has a network namespace, linked to this machine as a node links its pods.

A link is a pair of interfaces with a route to one address; nothing is forwarded between pods. A namespace lives as
long as the process that holds it, and its link with it: nothing stays behind when a test run is killed.

The addresses are from the range for tests of network devices (RFC 2544), which nobody routes.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence

from support.ports import Ports

INTERFACE = "eth0"
END_WITH_US = ("setpriv", "--pdeathsig", "KILL")


class Sandbox:
    """An idle process that holds a network namespace, as a pod's pause container does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [*END_WITH_US, "unshare", "--net", "sh", "-c", "echo; exec sleep infinity"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"\n", "no network namespace could be made"

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def close(self) -> None:
        """End the namespace and its links."""
        self._process.kill()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Network:
    """Links pods to this machine, which they reach by ``node``, also before there is any. Use as a context."""

    def __init__(self) -> None:
        self._numbers = Ports()
        self._holder = Sandbox()
        self.node = _address(self._numbers.reserve())

    async def start(self) -> None:
        """Give this machine its address."""
        name = await self._link(self._holder, self._numbers.reserve())
        await ip(f"address add {self.node}/32 dev {name}", f"link set {name} up")

    async def connect(self, sandbox: Sandbox) -> str:
        """Link a namespace; its address."""
        number = self._numbers.reserve()
        address = _address(number)
        name = await self._link(sandbox, number)
        await ip(f"link set {name} up", f"route add {address}/32 dev {name} src {self.node}")
        await ip(
            "link set lo up",
            f"address add {address}/32 dev {INTERFACE}",
            f"link set {INTERFACE} up",
            f"route add {self.node}/32 dev {INTERFACE}",
            f"route add default via {self.node}",
            within=sandbox,
        )
        return address

    def close(self) -> None:
        """Take this machine's address away; the links of pods end with their sandboxes."""
        self._holder.close()
        self._numbers.release()

    async def _link(self, sandbox: Sandbox, number: int) -> str:
        name = f"tg{number}"
        await ip(f"link add {name} type veth peer name {INTERFACE} netns {sandbox.pid}")
        return name


async def ip(*commands: str, within: Sandbox | None = None) -> None:
    """Carry out commands of ``ip``, all in one call."""
    await check(["ip", "-batch", "-"], "\n".join(commands).encode(), within=within)


async def check(command: Sequence[str], stdin: bytes = b"", *, within: Sandbox | None = None) -> None:
    """Run a command to its end, in a sandbox's network if one is given; fails the test when it fails."""
    enter = ["nsenter", f"--net=/proc/{within.pid}/ns/net"] if within else []
    process = await asyncio.create_subprocess_exec(
        *enter,
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(stdin)
    assert process.returncode == 0, f"{command} {stdin.decode()!r} ended with {process.returncode}: {output.decode()}"


def _address(number: int) -> str:
    """The address of a reserved number: two test runs have no number in common, and so no address."""
    return f"198.18.{number >> 8}.{number & 255}"
