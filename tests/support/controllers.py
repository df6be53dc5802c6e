"""`tidegate controller` as processes of their own, against a real API server, for tests that use it as a cluster does.

    async def test_something(world: World) -> None:
        await world.controller()                              # one replica, and our GatewayClass
        await world.apply(gateway(...), tcproute(...))
        host, port = await world.reach("edge", 8080)          # a ready proxy, as kube-proxy would choose it

Replicas listen on the node's address of the played kubelet, which pods reach, each on ports of its own. The Service in
front of them is ``world.front``: proxies go to the first replica in its ``targets`` that answers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from support.cluster import Cluster
from support.cluster_kubelet import Kubelet
from support.cluster_roles import LoadBalancer, play, publish_endpoints, serving
from support.front import Front
from support.instances import COMMAND, Command
from support.manifests import Manifest, flat, gateway_class, service
from support.ports import Ports
from support.waiting import eventually

SYSTEM_NAMESPACE = "tidegate-system"
CONTROL_PLANE = f"tidegate-controller.{SYSTEM_NAMESPACE}.svc"
START_SECONDS = 30.0
LEASE_SECONDS = 3
"""Short, so that a change of leaders does not take a test's whole time."""


class Controller(Command):
    """One replica."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, *, name: str, xds: str, admin: str) -> None:
        super().__init__(process, log)
        self.name = name
        self.xds = xds
        self.admin = admin

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of its admin API; 0 while it does not answer."""
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.text()[-8000:]}"
        try:
            async with aiohttp.ClientSession() as http, http.get(f"http://{self.admin}{path}") as response:
                return response.status, await response.text()
        except aiohttp.ClientError as error:
            return 0, str(error)

    async def wait_ready(self) -> None:
        """Returns once proxies would be sent to it."""
        await eventually(
            lambda: self.get("/readyz"), lambda answer: answer[0] == 200, what=f"{self.name} is ready",
            within=START_SECONDS,
        )  # fmt: skip

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of the series of a metric that have these labels."""
        _, text = await self.get("/metrics")
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in text.splitlines() if line.startswith(name) and all(one in line for one in wanted)]
        return sum(float(line.rpartition(" ")[2]) for line in lines if line[len(name)] in " {")

    async def leads(self) -> bool:
        """Whether it is the one that writes."""
        return bool(await self.metric("tidegate_leader"))

    async def wait_leads(self, *, within: float = START_SECONDS) -> None:
        """Returns once it leads."""
        await eventually(self.leads, what=f"{self.name} leads", within=within)


class World:
    """A cluster with everything around the controllers played, and the controllers of one test."""

    def __init__(self, cluster: Cluster, kubelet: Kubelet) -> None:
        self.cluster = cluster
        self.api = cluster.api
        self.kubelet = kubelet
        self.namespace = cluster.namespace
        self.controllers: list[Controller] = []
        self._last_words: list[tuple[str, str]] = []
        self._ports = Ports()
        self._home = Path(tempfile.mkdtemp(prefix="tgc", dir="/tmp"))
        port = self._ports.reserve()
        self.control_plane = f"{CONTROL_PLANE}:{port}"
        self.front = Front(kubelet.node, port)
        self.balancer = LoadBalancer(cluster.api)
        kubelet.names[CONTROL_PLANE] = kubelet.node

    async def apply(self, *documents: Manifest | list[Manifest]) -> None:
        """Apply objects in the test's namespace."""
        for document in flat(documents):
            await self.api.apply(document)

    async def controller(self, *arguments: str, ready: bool = True, kubeconfig: Path | None = None) -> Controller:
        """Start another replica, with our GatewayClass if it is the first one. It is an administrator by default."""
        if not self.controllers:
            await self.apply(gateway_class())
            await self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}})
        number = len(self.controllers)
        name = f"controller-{number}"
        xds = f"{self.kubelet.node}:{self._ports.reserve()}"
        admin = f"127.0.0.1:{self._ports.reserve()}"
        started = self._launch(name, xds, admin, arguments, kubeconfig)
        self.controllers.append(started)
        self.front.targets.append(xds)
        if ready:
            await started.wait_ready()
        return started

    async def restart(self, gone: Controller, *arguments: str) -> Controller:
        """Start a replica that has ended again: the same name and places."""
        assert gone.process.poll() is not None
        started = self._launch(gone.name, gone.xds, gone.admin, arguments, None)
        self.controllers[self.controllers.index(gone)] = started
        await started.wait_ready()
        return started

    async def kubeconfig_of(self, account: str, namespace: str) -> Path:
        """The cluster as a service account sees it, with a token as its Pods have one."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = (await self.api.request("POST", path, body=request))["status"]["token"]
        config = yaml.safe_load(self.cluster.kubeconfig.read_text(encoding="utf-8"))
        config["users"][0]["user"] = {"token": token}
        written = self._home / f"{account}.kubeconfig"
        written.write_text(yaml.safe_dump(config), encoding="utf-8")
        return written

    @asynccontextmanager
    async def way_to_the_api(self) -> AsyncIterator[tuple[Front, Path]]:
        """A relay to the API server that a test can cut, and the kubeconfig of whoever goes that way."""
        config = yaml.safe_load(self.cluster.kubeconfig.read_text(encoding="utf-8"))
        there = config["clusters"][0]["cluster"]
        async with Front("127.0.0.1", self._ports.reserve()) as way:
            way.targets.append(there["server"].removeprefix("https://"))
            there["server"] = f"https://127.0.0.1:{way.port}"
            written = self._home / f"through-{way.port}.kubeconfig"
            written.write_text(yaml.safe_dump(config), encoding="utf-8")
            yield way, written

    async def backend(self, name: str, addresses: list[tuple[str, int]], *, namespace: str | None = None) -> None:
        """A Service, and where it runs; another call moves it."""
        await self.apply(service(name, namespace=namespace))
        await publish_endpoints(self.api, name, addresses, namespace=namespace)

    async def reach(self, name: str, port: int, *, namespace: str | None = None, within: float = 30.0) -> str:
        """The address of a ready proxy of a Gateway, once there is one for the port."""

        async def look() -> list[tuple[str, int]]:
            if await self.api.find("Service", f"{name}-tidegate", namespace=namespace) is None:
                return []
            return await serving(self.api, f"{name}-tidegate", port, namespace=namespace)

        found = await eventually(look, what=f"a proxy of {name} is ready for {port}", within=within)
        return found[0][0]

    async def wait_programmed(self, name: str, *, within: float = 30.0, status: str = "True") -> Manifest:
        """The Gateway once it is Programmed at its generation."""
        return await self.api.wait_condition("Gateway", name, "Programmed", status, within=within)

    async def wait_route(
        self, name: str, condition: str, status: str, reason: str, *, within: float = 15.0
    ) -> Manifest:
        """The route once a condition of its first parent is so at its generation."""

        def holds(found: Manifest) -> bool:
            parents = found.get("status", {}).get("parents", [])
            return bool(parents) and (status, reason, found["metadata"]["generation"]) in [
                (one["status"], one["reason"], one["observedGeneration"])
                for one in parents[0]["conditions"]
                if one["type"] == condition
            ]

        return await self.api.wait("TCPRoute", name, holds, what=f"{name} has {condition}={status}", within=within)

    async def wait_listeners(self, name: str, expected: Mapping[str, tuple[str, int]], *, within: float = 20.0) -> None:
        """Returns once the listeners' Programmed status and attached routes are exactly these."""

        def shown(found: Manifest) -> dict[str, tuple[str, int]]:
            return {
                one["name"]: (condition_of(one["conditions"], "Programmed")[0], one["attachedRoutes"])
                for one in found.get("status", {}).get("listeners", [])
            }

        await self.api.wait(
            "Gateway", name, lambda found: shown(found) == expected, what=f"listeners of {name}", within=within
        )

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Nothing is played while the block runs, and so takes no time: what is played here lists everything again
        and again, where the real ones watch. Pods run on.
        """
        self.kubelet.resting = self.balancer.resting = True
        try:
            yield
        finally:
            self.kubelet.resting = self.balancer.resting = False

    def report(self) -> list[tuple[str, str]]:
        """What the replicas logged last, under titles; also after the end."""
        return self._last_words or [(one.name, one.text()[-20_000:]) for one in self.controllers]

    def close(self) -> None:
        """End all replicas."""
        for one in self.controllers:
            if one.process.poll() is None:
                one.process.kill()
            one.process.wait(10)
        self._last_words = self.report()
        self._ports.release()
        shutil.rmtree(self._home, ignore_errors=True)

    def _launch(
        self, name: str, xds: str, admin: str, arguments: tuple[str, ...], kubeconfig: Path | None
    ) -> Controller:
        log = self._home / f"{name}.log"
        command = [
            COMMAND, "controller",
            "--kubeconfig", kubeconfig or self.cluster.kubeconfig,
            "--namespace", SYSTEM_NAMESPACE,
            "--xds-port", xds.rpartition(":")[2],
            "--control-plane", self.control_plane,
            "--admin", admin,
            "--lease-duration", f"{LEASE_SECONDS}s",
            *arguments,
        ]  # fmt: skip
        environment = {**os.environ, "POD_NAME": name, "POD_IP": self.kubelet.node, "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                start_new_session=True,
            )  # fmt: skip
        return Controller(process, log, name=name, xds=xds, admin=admin)


def condition_of(conditions: list[dict[str, Any]], kind: str) -> tuple[str, str]:
    """Status and reason of a condition; empty when there is none."""
    return next(((one["status"], one["reason"]) for one in conditions if one["type"] == kind), ("", ""))


@asynccontextmanager
async def worlds(cluster: Cluster, kubelet: Kubelet) -> AsyncIterator[World]:
    """A world in which load balancers are played, and whose replicas are gone at the end."""
    world = World(cluster, kubelet)
    try:
        async with world.front, play(world.balancer):
            yield world
    finally:
        world.close()
