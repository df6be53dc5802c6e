"""Hosts of a test's own: network namespaces with cables between them, for what needs root and changes a network.

Nothing here touches the namespace in which the tests were started. A thread *enters* a namespace: sockets that it makes
and processes and threads that it starts while it is there belong to that host for good.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

_CLONE_NEWNET = 0x40000000
_NUMBERS = itertools.count()
_PLACE = Path("/run/netns")
_BOUND = "until-here"
UP_SECONDS = 10.0
_LIBC = ctypes.CDLL(None, use_errno=True)

CLIENT_4, CLIENT_6 = "10.77.1.2", "fd77:1::2"
FRONT_4, FRONT_6 = "10.77.1.1", "fd77:1::1"
BACK_4, BACK_6 = "10.77.2.1", "fd77:2::1"
BACKEND_4, BACKEND_6 = "10.77.2.2", "fd77:2::2"
OTHER_BACKEND_4 = "10.77.2.3"


class Host:
    """A network namespace with its loopback up. Use as a context manager."""

    def __init__(self, role: str) -> None:
        self.name = f"tg{os.getpid()}-{next(_NUMBERS)}-{role}"

    def __enter__(self) -> Self:
        run("ip", "netns", "add", self.name)
        # An address that is being checked for duplicates is not used yet: nobody is to wait for that.
        self.sysctl("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        self.ip("link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        run("ip", "netns", "del", self.name)

    @property
    def under(self) -> str:
        """A shell command that moves the command after it here (``Instances.start``)."""
        return f'set -- ip netns exec {self.name} "$@"'

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread here during the block."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(_PLACE / self.name)
            yield
        finally:
            _set_namespace(before)
            os.close(before)

    def ip(self, *arguments: str) -> str:
        """Run ``ip`` here."""
        return run("ip", "-n", self.name, *arguments)

    def run(self, *command: str, stdin: str = "") -> str:
        """Run a command here, and return what it prints."""
        return run("ip", "netns", "exec", self.name, *command, stdin=stdin)

    def sysctl(self, *settings: str) -> None:
        """Set sysctls here, each as ``name=value``."""
        self.run("sysctl", "-qw", *settings)

    def read_sysctl(self, name: str) -> str:
        """The value of a sysctl."""
        return self.run("sysctl", "-n", name).strip()

    def nft(self, text: str) -> None:
        """Carry out text in the language of ``nft``."""
        self.run("nft", "-f", "-", stdin=text)

    @contextlib.contextmanager
    def monitor(self) -> Iterator[Monitor]:
        """Write down what changes in the rules here during the block."""
        command = ["ip", "netns", "exec", self.name, "nft", "monitor"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                yield Monitor(self, process)
            finally:
                process.kill()

    def ruleset(self, *what: str) -> str:
        """What ``nft list`` prints; all rules unless something is named."""
        return self.run("nft", "list", *(what or ("ruleset",)))


class Monitor:
    """What ``nft monitor`` prints of one host. The kernel tells in order: a change of our own bounds what was read."""

    def __init__(self, host: Host, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._host = host
        self._output = process.stdout.fileno()
        self._text = b""
        self.changes()

    def changes(self) -> list[str]:
        """What has changed since it was asked last, a line for each thing."""
        end = f"{_BOUND}-{next(_NUMBERS)}"
        deadline = time.monotonic() + UP_SECONDS
        while f"delete table inet {end}\n".encode() not in self._text:
            assert time.monotonic() < deadline, f"nft monitor shows nothing: {self._text!r}"
            # Again, because what happened before it listened was lost.
            self._host.nft(f"add table inet {end}\ndelete table inet {end}")
            while select.select([self._output], [], [], 0.05)[0]:
                data = os.read(self._output, 1 << 16)
                assert data, "nft monitor ended"
                self._text += data
        lines, self._text = self._text.decode().splitlines(), b""
        return [line for line in lines if _BOUND not in line and not line.startswith("#")]


class World:
    """A client, a gateway and a host of backends, in a row; the client's address of the gateway is ``FRONT_4``.

    The gateway forwards. Backends have no route to the client, unless ``routes_back``.
    """

    def __init__(self, client: Host, gateway: Host, backends: Host) -> None:
        self.client = client
        self.gateway = gateway
        self.backends = backends

    def lay(self) -> None:
        """Connect the hosts."""
        cable(self.client, [CLIENT_4, CLIENT_6], self.gateway, [FRONT_4, FRONT_6])
        cable(self.backends, [BACKEND_4, OTHER_BACKEND_4, BACKEND_6], self.gateway, [BACK_4, BACK_6])
        for family, gateway in (("-4", FRONT_4), ("-6", FRONT_6)):
            self.client.ip(family, "route", "add", "default", "via", gateway)
        self.forward(on=True)

    def forward(self, *, on: bool) -> None:
        """Whether the gateway forwards packets."""
        value = int(on)
        self.gateway.sysctl(f"net.ipv4.ip_forward={value}", f"net.ipv6.conf.all.forwarding={value}")

    def route_back(self) -> None:
        """Let the backends answer clients through the gateway."""
        for family, gateway in (("-4", BACK_4), ("-6", BACK_6)):
            self.backends.ip(family, "route", "add", "default", "via", gateway)


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Three hosts; the test itself is at the client."""
    with Host("client") as client, Host("gateway") as gateway, Host("backends") as backends:
        present = World(client, gateway, backends)
        present.lay()
        with client.entered():
            yield present


def cable(one: Host, addresses: list[str], other: Host, others: list[str]) -> None:
    """Connect two hosts, each with addresses of the same networks."""
    ends = (f"to-{other.name.rpartition('-')[2]}", f"to-{one.name.rpartition('-')[2]}")
    one.ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", other.name)
    for host, end, own in ((one, ends[0], addresses), (other, ends[1], others)):
        for address in own:
            v6 = ":" in address
            host.ip("addr", "add", f"{address}/{64 if v6 else 24}", "dev", end, *(["nodad"] if v6 else []))
        host.ip("link", "set", end, "up")
    for host, end in ((one, ends[0]), (other, ends[1])):
        _wait_up(host, end)


def _wait_up(host: Host, device: str) -> None:
    """The kernel takes note of new links once a second where there are many, and drops what is sent before."""
    deadline = time.monotonic() + UP_SECONDS
    while json.loads(host.ip("-j", "link", "show", "dev", device))[0]["operstate"] != "UP":
        assert time.monotonic() < deadline, f"{device} of {host.name} does not come up"


def run(*command: str, stdin: str = "") -> str:
    """Run a command, and return what it prints; fails with what it complains about."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout


@functools.cache
def obstacle() -> str:
    """Why hosts cannot be made here; empty when they can."""
    if os.geteuid():
        return "needs root"
    for program in ("ip", "nft"):
        if shutil.which(program) is None:
            return f"needs the program {program}"
    try:
        with Host("probe") as host:
            host.ruleset()
    except AssertionError as error:
        return f"needs network namespaces and nf_tables: {error}"
    return ""


def needs_hosts() -> list[pytest.MarkDecorator]:
    """The marks of a test module that makes hosts."""
    return [pytest.mark.root, pytest.mark.skipif(bool(obstacle()), reason=obstacle())]


def _set_namespace(place: Path | int) -> None:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC) if isinstance(place, Path) else place
    try:
        if _LIBC.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        if isinstance(place, Path):
            os.close(descriptor)
