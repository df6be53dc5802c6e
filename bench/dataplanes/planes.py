"""What is compared: each data plane as a program on its gateway host, configured as its own manual suggests.

In: a link. Out: running processes that forward the same three ports to the same backend, and a way to change their
configuration while they run. ``direct`` is routing without any gateway: the most that these hosts can do. ``one host``
is not even that: the load begins where the backend is.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import psutil

from dataplanes.hosts import Link, inside
from tidegate.dataplanes.envoy import binary

BULK_PORTS = (8090, 8091, 8092, 8093)
"""iperf3 takes one client at a time, and works in one thread: for several streams there are several."""
PORTS = {"http": 8080, "echo": 8100, **{f"bulk-{port}": port for port in BULK_PORTS}}
"""The ports that every plane serves, and that the backend serves as well: so they are the same with ``direct``."""

_PATIENCE_S = 30.0


def connections_allowed() -> int:
    """How many connections a proxy may hold at a time here: each takes two open files."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (files - 1_000) // 2


class Plane(ABC):
    """One data plane on one link. ``reconfigure`` gives it another, equally good configuration."""

    name: ClassVar[str]

    def __init__(self, link: Link, directory: Path) -> None:
        self.link = link
        self.directory = directory / self.name
        self.directory.mkdir()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def addresses(self) -> tuple[str, ...]:
        """What clients connect to."""
        return self.link.gateways

    @abstractmethod
    def start(self) -> None:
        """Start and wait until it serves."""

    @abstractmethod
    def reconfigure(self, number: int) -> None:
        """Apply change ``number``, the way its manual says for a running system."""

    @abstractmethod
    def version(self) -> str:
        """What people call this version."""

    def stop(self) -> None:
        """End its processes."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def processes(self) -> list[psutil.Process]:
        """Its processes: all on the gateway host, a controller that none of the traffic passes included."""
        pids = subprocess.run(["ip", "netns", "pids", self.link.namespace], capture_output=True, text=True, check=True)
        found = []
        for pid in pids.stdout.split():
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(pid)))
        return found

    def launch(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program on the gateway host; what it prints goes to a file."""
        with (self.directory / "log").open("ab") as output:
            process = subprocess.Popen(
                inside(self.link.namespace, *command), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._processes.append(process)
        return process

    def call(self, *command: str) -> str:
        """Run a program on the gateway host to its end."""
        done = subprocess.run(inside(self.link.namespace, *command), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{self.name}: {' '.join(command)}: {done.stderr}{self.log()}")
        return done.stdout

    def log(self) -> str:
        """The end of what it printed."""
        path = self.directory / "log"
        return path.read_text(encoding="utf-8", errors="replace")[-2000:] if path.exists() else ""

    def wait_open(self) -> None:
        """Wait until every port accepts connections on the gateway host."""
        deadline = time.monotonic() + _PATIENCE_S
        while not all(self._listens(port) for port in PORTS.values()):
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.name} does not open its ports:\n{self.log()}")
            time.sleep(0.02)

    def _listens(self, port: int) -> bool:
        return f":{port} " in self.call("ss", "-Hltn", f"sport = :{port}")


class Direct(Plane):
    """Routing: the client connects to the backend's own address."""

    name = "direct"

    @property
    def addresses(self) -> tuple[str, ...]:
        """The backend's."""
        return self.link.backends

    def start(self) -> None:
        """Nothing runs."""

    def reconfigure(self, number: int) -> None:
        """Nothing to change."""

    def version(self) -> str:
        """The kernel's."""
        return f"Linux {os.uname().release}"


class Tracked(Direct):
    """Routing by a gateway that tracks connections: what any translation of addresses by the kernel needs."""

    name = "direct-tracked"

    def start(self) -> None:
        """A rule that asks for the state of a connection turns tracking on."""
        self.call(
            "nft",
            "add table inet bench\nadd chain inet bench forward { type filter hook forward priority 0; }\n"
            "add rule inet bench forward ct state invalid drop",
        )


class ByHand(Plane):
    """The least that nftables can do: two rules that translate every port to the backend's addresses in turn."""

    name = "nftables-by-hand"
    chosen: ClassVar[str] = "numgen random mod {count}"
    """What says which backend, an expression whose value is its place."""
    source: ClassVar[str] = "masquerade"
    """What becomes of the client's address; ``inner`` is the gateway's own towards the backend."""

    def start(self) -> None:
        """Write the rules."""
        self._write("add table ip bench")

    def reconfigure(self, number: int) -> None:
        """Write them anew, in one transaction; the order of the addresses changes."""
        self._write("flush table ip bench", number)

    def version(self) -> str:
        """Of nft."""
        return self.call("nft", "--version").split(maxsplit=1)[1].strip()

    def more(self) -> Sequence[str]:
        """Further commands of the same transaction, before the two rules."""
        return ()

    def _write(self, first: str, number: int = 0) -> None:
        backends = self.link.backends
        ports = ", ".join(map(str, PORTS.values()))
        row = ", ".join(f"{place} : {backends[(place + number) % len(backends)]}" for place in range(len(backends)))
        chosen = self.chosen.format(count=len(backends))
        served = f"ip daddr {{ {', '.join(self.link.gateways)} }} tcp dport {{ {ports} }}"
        commands = (
            first,
            "add chain ip bench prerouting { type nat hook prerouting priority -100; }",
            "add chain ip bench postrouting { type nat hook postrouting priority 100; }",
            *self.more(),
            f"add rule ip bench prerouting {served} dnat to {chosen} map {{ {row} }}",
            f"add rule ip bench postrouting ct status dnat {self.source.format(inner=self.link.inner)}",
        )
        self.call("nft", "\n".join(commands))


class OneHost(Direct):
    """Not even routing: on the backend's host, what sends the load connects to what answers it."""

    name = "one host"

    def processes(self) -> list[psutil.Process]:
        """None: those of that host are the backend."""
        return []


class Tidegate(Plane):
    """``tidegate run`` with one of its data planes; a change is an edit of the file."""

    plane: ClassVar[str]

    def start(self) -> None:
        """Start, and wait for ``/readyz``."""
        self._write(0)
        self.launch(
            sys.executable, "-m", "tidegate", "run", str(self._file), "--dataplane", self.plane, "--state-dir",
            str(self.directory / "state"), "--drain-time", "0s", "--log-format", "json",
        )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE_S
        while not self._ready():
            if time.monotonic() > deadline or self._processes[0].poll() is not None:
                raise SystemExit(f"{self.name} does not get ready:\n{self.log()}")
            time.sleep(0.02)

    def reconfigure(self, number: int) -> None:
        """Edit the weights of every route, by a rename."""
        self._write(number)

    def version(self) -> str:
        """What tidegate says of itself."""
        return subprocess.run(
            [sys.executable, "-m", "tidegate", "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()

    @property
    def _file(self) -> Path:
        return self.directory / "gateway.json"

    def _write(self, number: int) -> None:
        new = self.directory / ".new"
        new.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(self._objects(number))}))
        new.replace(self._file)

    def _objects(self, number: int) -> Iterator[dict[str, object]]:
        api = "gateway.networking.k8s.io/v1"
        yield {
            "apiVersion": api,
            "kind": "Gateway",
            "metadata": {"name": "edge"},
            "spec": {
                "gatewayClassName": "tidegate",
                "listeners": [{"name": name, "port": port, "protocol": "TCP"} for name, port in PORTS.items()],
            },
        }
        for name, port in PORTS.items():
            yield {
                "apiVersion": api,
                "kind": "TCPRoute",
                "metadata": {"name": name},
                "spec": {
                    "parentRefs": [{"name": "edge", "sectionName": name}],
                    "rules": [
                        {
                            "backendRefs": [
                                {"name": name, "port": port, "weight": 1 + number % 2},
                                {"name": name, "port": port, "weight": 1},
                            ]
                        }
                    ],
                },
            }
            yield {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"ports": [{"port": port}]},
            }
            yield {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "ports": [{"port": port}],
                "endpoints": [{"addresses": [address]} for address in self.link.backends],
            }

    def _ready(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as admin, contextlib.suppress(OSError):
            admin.settimeout(5)
            admin.connect(str(self.directory / "state" / "admin.sock"))
            admin.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return admin.recv(64).split(b" ")[1:2] == [b"200"]
        return False


class TidegateKernel(Tidegate):
    """The kernel data plane."""

    name = "tidegate-nftables"
    plane = "nftables"


class TidegateEnvoy(Tidegate):
    """The Envoy data plane."""

    name = "tidegate-envoy"
    plane = "envoy"


class BareEnvoy(Plane):
    """The same Envoy with a configuration by hand and default settings; a change is another listener file."""

    name = "envoy"

    def start(self) -> None:
        """Start with listeners from a file that Envoy watches."""
        self._write(0)
        bootstrap = self.directory / "bootstrap.json"
        bootstrap.write_text(
            json.dumps(
                {
                    "node": {"id": "bench", "cluster": "bench"},
                    "dynamic_resources": {"lds_config": {"path_config_source": {"path": str(self._listeners)}}},
                    "static_resources": {"clusters": [self._cluster(name, port) for name, port in PORTS.items()]},
                }
            )
        )
        self.launch(str(binary.find(None).path), "-c", str(bootstrap), "--log-level", "error", "--use-dynamic-base-id")
        self.wait_open()

    def reconfigure(self, number: int) -> None:
        """Replace the file of listeners, as file-based discovery asks for: by a rename."""
        self._write(number)

    def version(self) -> str:
        """Envoy's."""
        return f"Envoy {binary.find(None).version}"

    @property
    def _listeners(self) -> Path:
        return self.directory / "listeners.json"

    def _write(self, number: int) -> None:
        listeners = [self._listener(name, port, number) for name, port in PORTS.items()]
        new = self.directory / ".new"
        new.write_text(json.dumps({"resources": listeners}))
        new.replace(self._listeners)

    def _listener(self, name: str, port: int, number: int) -> dict[str, object]:
        weights = {"clusters": [{"name": name, "weight": 1 + number % 2}, {"name": name, "weight": 1}]}
        proxy = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": name,
            "weighted_clusters": weights,
        }
        return {
            "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
            "name": name,
            "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
            "filter_chains": [{"filters": [{"name": "tcp", "typed_config": proxy}]}],
        }

    def _cluster(self, name: str, port: int) -> dict[str, object]:
        addresses = [{"socket_address": {"address": backend, "port_value": port}} for backend in self.link.backends]
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}]
        limits = {"thresholds": [{"max_connections": 1_000_000, "max_pending_requests": 1_000_000}]}
        return {
            "name": name,
            "type": "STATIC",
            "circuit_breakers": limits,  # The default of 1,024 connections would end the measurement.
            "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        }


class HAProxy(Plane):
    """HAProxy in TCP mode; a change is a reload by its master process."""

    name = "haproxy"

    def start(self) -> None:
        """Start the master and its workers."""
        self._write(0)
        self.launch("haproxy", "-W", "-f", str(self._file), "-S", f"{self.directory}/master.sock")
        self.wait_open()

    def reconfigure(self, number: int) -> None:
        """Write the file anew and ask the master to reload."""
        self._write(number)
        self._processes[0].send_signal(signal.SIGUSR2)

    def version(self) -> str:
        """HAProxy's."""
        return " ".join(self.call("haproxy", "-v").split()[:3])

    @property
    def _file(self) -> Path:
        return self.directory / "haproxy.cfg"

    def _write(self, number: int) -> None:
        lines = [
            "global", f"  nbthread {os.cpu_count()}", f"  maxconn {connections_allowed()}",
            "defaults", "  mode tcp", "  timeout connect 5s", "  timeout client 1h", "  timeout server 1h",
        ]  # fmt: skip
        for name, port in PORTS.items():
            lines += [f"listen {name}", f"  bind 0.0.0.0:{port}", "  balance roundrobin"]
            for place, backend in enumerate(self.link.backends):
                lines.append(f"  server a{place} {backend}:{port} weight {1 + number % 2}")
                lines.append(f"  server b{place} {backend}:{port} weight 1")
        self._file.write_text("\n".join(lines) + "\n")


class Nginx(Plane):
    """nginx with its stream module; a change is a reload by its master process."""

    name = "nginx"

    def start(self) -> None:
        """Start the master and its workers."""
        self._write(0)
        self.launch("nginx", "-c", str(self._file), "-e", str(self.directory / "error.log"))
        self.wait_open()

    def reconfigure(self, number: int) -> None:
        """Write the file anew and ask the master to reload."""
        self._write(number)
        os.kill(int((self.directory / "pid").read_text()), signal.SIGHUP)

    def version(self) -> str:
        """What nginx says of itself."""
        done = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
        return done.stderr.strip().rpartition(" ")[2]

    @property
    def _file(self) -> Path:
        return self.directory / "nginx.conf"

    def _write(self, number: int) -> None:
        servers = []
        for name, port in PORTS.items():
            backends = " ".join(
                f"server {backend}:{port} weight={1 + number % 2}; server {backend}:{port};"
                for backend in self.link.backends
            )
            servers += [
                f"upstream {name} {{ {backends} }}",
                f"server {{ listen {port} backlog=65535; proxy_pass {name}; proxy_timeout 1h; }}",
            ]
        self._file.write_text(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
            f"daemon off; worker_processes auto; pid {self.directory}/pid;\n"
            f"events {{ worker_connections {2 * connections_allowed()}; }}\n"
            f"stream {{\n{chr(10).join(servers)}\n}}\n"
        )


PLANES: tuple[type[Plane], ...] = (
    Direct, Tracked, ByHand, TidegateKernel, TidegateEnvoy, BareEnvoy, HAProxy, Nginx,
)  # fmt: skip
