"""Test hosts for the benchmark: a client, a backend and one gateway per data plane, as network namespaces.

In: names of planes. Out: namespaces with addresses and routes, gone after the block. Each plane has a gateway host of
its own, because connection tracking and rules of one would slow the traffic of another::

    client ─── 10.83.i.0/25 ─── gateway i ─── 10.83.i.128/25 ─── backend

Client, gateway and backend have several addresses on each link, and the client reaches each of the others' by another
of its own, so that the number of its ports is no limit.

Each host handles what it receives on processors of its own, as one with a network card does: client and backend on
a half each, a gateway on all of them (receive packet steering). Left alone, a pair of virtual interfaces hands a packet
on in the context of whoever sent it, through all three hosts, and one processor does the work of most of the way.

Where they share processors, all threads count alike. Left alone, the kernel gives each session an equal share
(autogroup): a proxy that its parent starts in a session of its own would have another share than one that is started
directly. And all use the congestion control that Linux has by default, whatever this machine uses: one that paces what
it sends sets a timer for nearly every packet.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

PREFIX = "tgb"
CLIENT, BACKEND = f"{PREFIX}-client", f"{PREFIX}-backend"
ADDRESSES = 4
_SETTINGS = {
    Path("/proc/sys/kernel/sched_autogroup_enabled"): "0",
    Path("/proc/sys/net/ipv4/tcp_congestion_control"): "cubic",
}
"""Settings of the whole machine while this lasts; what new namespaces are made with follows them."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """The way of one plane's traffic: where it begins, the gateway's namespace, and the addresses on it."""

    origin: str
    namespace: str
    clients: tuple[str, ...]
    gateways: tuple[str, ...]
    inner: str
    backends: tuple[str, ...]


_LOOPBACK = tuple(f"127.0.0.{1 + position}" for position in range(ADDRESSES))
ONE_HOST = Link(
    origin=BACKEND,
    namespace=BACKEND,
    clients=_LOOPBACK,
    gateways=_LOOPBACK,
    inner=_LOOPBACK[0],
    backends=_LOOPBACK,
)
"""No way at all: the load begins on the backend's host."""


@contextlib.contextmanager
def hosts(planes: Sequence[str]) -> Iterator[dict[str, Link]]:
    """The namespaces of all planes while the block lasts; what an earlier run left is removed first."""
    _remove()
    with contextlib.ExitStack() as stack:
        stack.callback(_remove)
        for path, value in _SETTINGS.items():
            stack.enter_context(_set(path, value))
        for name in (CLIENT, BACKEND):
            _add(name)
        links = {plane: _link(number, plane) for number, plane in enumerate(planes)}
        steer(links, spread=True)
        yield links


@contextlib.contextmanager
def _set(path: Path, value: str) -> Iterator[None]:
    """A setting of the kernel while the block lasts; left alone where this kernel does not know it."""
    if not path.exists():
        yield
        return
    before = path.read_text()
    path.write_text(value)
    try:
        yield
    finally:
        path.write_text(before)


def steer(links: Mapping[str, Link], *, spread: bool) -> None:
    """Let each host handle what it receives on its own processors, by flows, or leave it with whoever sent it."""
    for number, link in enumerate(links.values()):
        everywhere = sorted(os.sched_getaffinity(0))
        for namespace, device, processors in (
            (CLIENT, f"c{number}", half(first=True)),
            (BACKEND, f"b{number}", half(first=False)),
            (link.namespace, "outer", everywhere),
            (link.namespace, "inner", everywhere),
        ):
            mask = _mask(processors if spread else ())
            run(*inside(namespace, "sh", "-c", f"echo {mask} > /sys/class/net/{device}/queues/rx-0/rps_cpus"))


def inside(namespace: str, *command: str) -> list[str]:
    """The command line that runs a command on a test host, allowed to open as many files as root may."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ["ip", "netns", "exec", namespace, "prlimit", f"--nofile={files}:{files}", *command]


def half(*, first: bool) -> list[int]:
    """The first or the second half of the processors; all of them where there is only one."""
    processors = sorted(os.sched_getaffinity(0))
    middle = len(processors) // 2
    return (processors[:middle] if first else processors[middle:]) if middle else processors


def apart(*command: str, first: bool) -> list[str]:
    """The command line that runs a command on the first or the second half of the processors, where there are several.

    Who sends and who answers would not share processors if they were hosts: where the scheduler puts them, together or
    apart, would make more of a difference than what is measured. What forwards is free to run anywhere.
    """
    return ["taskset", "--cpu-list", ",".join(map(str, half(first=first))), *command]


def run(*command: str) -> str:
    """Run a command to its end and return what it printed. Ends the benchmark when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _link(number: int, plane: str) -> Link:
    network = f"10.83.{number}"
    link = Link(
        origin=CLIENT,
        namespace=f"{PREFIX}-{plane}",
        clients=_addresses(network, 1),
        gateways=_addresses(network, 65),
        inner=f"{network}.129",
        backends=_addresses(network, 193),
    )
    _add(link.namespace)
    _connect((CLIENT, f"c{number}", link.clients), (link.namespace, "outer", link.gateways))
    _connect((BACKEND, f"b{number}", link.backends), (link.namespace, "inner", (link.inner,)))
    for client, gateway, backend in zip(link.clients, link.gateways, link.backends, strict=True):
        _route(CLIENT, gateway, "dev", f"c{number}", "src", client)
        _route(CLIENT, backend, "via", link.gateways[0], "src", client)
    _route(BACKEND, f"{network}.0/25", "via", link.inner)
    run(*inside(link.namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
    return link


def _addresses(network: str, first: int) -> tuple[str, ...]:
    return tuple(f"{network}.{first + position}" for position in range(ADDRESSES))


def _route(namespace: str, *route: str) -> None:
    run(*inside(namespace, "ip", "route", "add", *route))


def _add(namespace: str) -> None:
    run("ip", "netns", "add", namespace)
    run(*inside(namespace, "ip", "link", "set", "lo", "up"))
    run(*inside(namespace, "sysctl", "-qw", "net.ipv4.ip_local_port_range=10240 65000", "net.core.somaxconn=65535"))
    run(*inside(namespace, "sysctl", "-qw", "net.ipv4.tcp_max_syn_backlog=65535", "net.ipv4.tcp_tw_reuse=1"))


def _connect(*ends: tuple[str, str, Sequence[str]]) -> None:
    (first, first_name, _), (second, second_name, _) = ends
    run("ip", "link", "add", first_name, "netns", first, "type", "veth", "peer", "name", second_name, "netns", second)
    for namespace, name, addresses in ends:
        for address in addresses:
            run(*inside(namespace, "ip", "address", "add", f"{address}/25", "dev", name))
        run(*inside(namespace, "ip", "link", "set", name, "up"))


def _mask(processors: Sequence[int]) -> str:
    """As sysfs wants it: hexadecimal, in groups of 32 bits."""
    digits = f"{sum(1 << processor for processor in processors):x}"
    digits = digits.zfill((len(digits) + 7) // 8 * 8)
    return ",".join(digits[at : at + 8] for at in range(0, len(digits), 8))


def _remove() -> None:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        name = line.split()[0]
        if name.startswith(f"{PREFIX}-"):
            for pid in run("ip", "netns", "pids", name).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), 9)
            run("ip", "netns", "delete", name)
