"""The kubelet, with what stands between a Deployment and it: pods of a test cluster are real processes here.

    async def test_something(cluster: Cluster, kubelet: Kubelet) -> None:
        kubelet.names["tidegate.tidegate-system.svc"] = kubelet.node    # as cluster DNS and kube-proxy would have it
        ...                                                             # now Deployments of data planes have pods
        address, port = (await serving(cluster.api, "edge-tidegate", 8080))[0]

The fixture ``kubelet`` is in ``support.cluster_fixtures``; it skips tests where this machine cannot run pods.
It needs nothing of tidegate's internals: it reads Deployments, Services, ConfigMaps and Secrets, and

- starts, replaces and ends pods as the Deployment controller does (``cluster_rollout``);
- gives each a network of its own (``cluster_network``), with an address that its node reaches and that reaches its
  node (``kubelet.node``, where tests put controllers and backends: Kubernetes allows no loopback in endpoints);
- runs its container with exactly its arguments, environment, files, user and lack of rights (``cluster_podspec``,
  ``cluster_container``), starts it again when it ends, and keeps its ConfigMaps and Secrets current
  (``cluster_volumes``);
- probes its readiness, and publishes that as EndpointSlices of every Service that selects it;
- ends it by preStop hook, SIGTERM and, after the grace period, SIGKILL.

Everything is done as soon as it is seen: probes and volumes do not wait for their periods.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp

from support.cluster_api import Api
from support.cluster_container import Container, ContainerSpec, Mount
from support.cluster_network import Network, Sandbox, check
from support.cluster_podspec import PodSpec, Source, container_spec, read
from support.cluster_roles import SERVICE_NAME, play
from support.cluster_rollout import Seen, next_step
from support.cluster_volumes import Projection
from support.manifests import Manifest

DATA_PLANES = "gateway.networking.k8s.io/gateway-name"
"""A label of the Deployments that are run unless a test says otherwise."""

PROBE_TIMEOUT = aiohttp.ClientTimeout(total=1)
RESTART_SECONDS = 1.0
NODE_NAME = "test-node"
MANAGER = "kubelet"

Owner = tuple[str, str]
"""Namespace and name of a Deployment."""


class Pod:
    """One pod: its network, its volumes and its container."""

    def __init__(self, name: str, owner: Owner, template: Manifest, folder: Path) -> None:
        self.name = name
        self.namespace = owner[0]
        self.owner = owner
        self.template = template
        self.spec: PodSpec = read(template)
        self.folder = folder
        self.address = ""
        self.ready = False
        self.stopping = False
        self.starts = 0
        self.container: Container | None = None
        self.sandbox: Sandbox | None = None
        self._volumes: dict[str, Projection] = {}
        self._failures = 0
        self._next_start = 0.0

    @property
    def labels(self) -> Mapping[str, str]:
        """Of the pod."""
        labels: Mapping[str, str] = self.template["metadata"].get("labels", {})
        return labels

    async def connect(self, network: Network) -> None:
        """Give it its network; in its node's own one there is nothing to do."""
        if self.spec.host_network:
            self.address = network.node
            return
        self.sandbox = Sandbox()
        self.address = await network.connect(self.sandbox)
        for name, value in self.spec.sysctls.items():
            place = f"/proc/sys/{name.replace('.', '/')}"
            await check(["sh", "-c", 'printf %s "$1" >"$2"', "sh", value, place], within=self.sandbox)

    async def bring_up_to_date(self, api: Api, names: Mapping[str, str]) -> None:
        """Write its volumes, and start its container when that does not run. Waits for what is not there yet."""
        if not await self._fill_volumes(api):
            return
        if self.container is None or (not self.container.running and _now() > self._next_start):
            self._next_start = _now() + RESTART_SECONDS
            folder = self.folder / f"start{self.starts + 1}"
            folder.mkdir()
            self.container = Container(self._container_spec(names), self.sandbox, folder)
            await self.container.start()
            self.starts += 1

    async def probe(self, http: aiohttp.ClientSession) -> None:
        """Ask whether it is ready; it stays ready until enough questions in a row have failed."""
        if self.container is None or not self.container.running:
            self.ready = False
        elif self.spec.probe is None:
            self.ready = True
        elif await self._answers(http, f"http://{self.address}:{self.spec.probe.port}{self.spec.probe.path}"):
            self.ready, self._failures = True, 0
        else:
            self._failures += 1
            self.ready = self.ready and self._failures < self.spec.probe.failures

    async def stop(self) -> None:
        """End it as its specification says: preStop hook, SIGTERM, and SIGKILL after the grace period."""
        container = self.container
        if container is not None and container.running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.spec.grace_seconds):
                    if self.spec.pre_stop:
                        await container.run(self.spec.pre_stop)
                    container.send(signal.SIGTERM)
                    await container.ended()
        self.kill()

    def kill(self) -> None:
        """End it at once, as when its node is lost."""
        if self.container is not None:
            self.container.kill()
        if self.sandbox is not None:
            self.sandbox.close()
            self.sandbox = None

    def text(self) -> str:
        """All that its containers printed."""
        logs = sorted(self.folder.glob("start*/log"))
        return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in logs)

    async def _answers(self, http: aiohttp.ClientSession, url: str) -> bool:
        try:
            async with http.get(url, timeout=PROBE_TIMEOUT) as response:
                return response.status < 400
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _fill_volumes(self, api: Api) -> bool:
        """Whether everything that the volumes show is there."""
        complete = True
        for name, source in self.spec.sources.items():
            if source.kind == "emptyDir":
                continue
            found = await api.find(source.kind, source.name, namespace=self.namespace)
            if found is not None:
                self._projection(name, source).show(_files(found))
            complete = complete and name in self._volumes
        return complete

    def _projection(self, name: str, source: Source) -> Projection:
        if name not in self._volumes:
            directory = self.folder / "volumes" / name
            self._volumes[name] = Projection(directory, mode=source.mode, group=self.spec.file_group)
        return self._volumes[name]

    def _container_spec(self, names: Mapping[str, str]) -> ContainerSpec:
        directories = {name: projection.directory for name, projection in self._volumes.items()}
        for name, source in self.spec.sources.items():
            if source.kind == "emptyDir":
                directories[name] = self._empty_directory(name)
        facts = {
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            "status.podIP": self.address,
            "status.podIPs": self.address,
            "spec.nodeName": NODE_NAME,
        }
        return container_spec(self.spec, facts, directories, self._lookups(names))

    def _empty_directory(self, name: str) -> Path:
        """Everybody in the pod may write there; it is kept when the container starts again."""
        directory = self.folder / "volumes" / name
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o777)
        return directory

    def _lookups(self, names: Mapping[str, str]) -> tuple[Mount, ...]:
        """The files by which a pod looks up names: it has those of ``hosts``, and a name server that knows none."""
        hosts = {"localhost": "127.0.0.1", self.name: self.address, **names}
        texts = {
            "hosts": "".join(f"{address} {name}\n" for name, address in hosts.items()),
            "resolv.conf": "nameserver 127.0.0.1\n",
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text, encoding="ascii")
        return tuple(Mount(source=self.folder / name, path=Path("/etc", name), read_only=True) for name in texts)


class Kubelet:
    """Runs the pods of all Deployments with some label. ``pods`` are those that exist now, the ending ones too.

    ``names`` are those that pods can look up, and their addresses, for containers that start from now on.
    """

    def __init__(
        self, api: Api, folder: Path, network: Network, tasks: asyncio.TaskGroup, *, labels: str, services: str
    ) -> None:
        self.node = network.node
        self.names: dict[str, str] = {}
        self.pods: list[Pod] = []
        self.resting = False
        self._api = api
        self._folder = folder
        self._network = network
        self._tasks = tasks
        self._labels = labels
        self._services = services
        self._numbers = itertools.count(1)
        self._published: dict[Owner, Manifest] = {}
        self._http = aiohttp.ClientSession()

    async def look(self) -> None:
        """Do everything that is to be done now."""
        deployments = await self._api.items("Deployment", namespace="", labels=self._labels)
        await self._roll_out(deployments)
        async with asyncio.TaskGroup() as group:
            for pod in self.pods:
                if not pod.stopping:
                    await pod.bring_up_to_date(self._api, {**self.names})
                group.create_task(pod.probe(self._http))
        await self._publish(deployments)
        for deployment in deployments:
            await self._report(deployment)

    def pods_of(self, deployment: str, *, namespace: str | None = None) -> list[Pod]:
        """The pods of a Deployment that are not being ended, oldest first."""
        owner = (self._api.namespace if namespace is None else namespace, deployment)
        return [pod for pod in self.pods if pod.owner == owner and not pod.stopping]

    async def close(self) -> None:
        """End all pods at once."""
        for pod in self.pods:
            pod.kill()
        await self._http.close()

    def report(self) -> list[tuple[str, str]]:
        """What each pod printed last, under titles."""
        return [(f"pod {pod.name}", pod.text()[-20_000:]) for pod in self.pods]

    async def _roll_out(self, deployments: list[Manifest]) -> None:
        owners = {_owner(deployment) for deployment in deployments}
        for pod in self.pods:
            if pod.owner not in owners:
                self._stop(pod)
        for deployment in deployments:
            owner, template = _owner(deployment), deployment["spec"]["template"]
            pods = [pod for pod in self.pods if pod.owner == owner and not pod.stopping]
            step = next_step(
                deployment,
                [Seen(name=pod.name, current=pod.template == template, ready=pod.ready) for pod in pods],
            )
            for pod in pods:
                if pod.name in step.stop:
                    self._stop(pod)
            for _ in range(step.start):
                await self._start(owner, template)

    async def _start(self, owner: Owner, template: Manifest) -> None:
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
        name = f"{owner[1]}-{digest}-{next(self._numbers)}"
        folder = self._folder / name
        folder.mkdir(parents=True)
        pod = Pod(name, owner, template, folder)
        self.pods.append(pod)
        await pod.connect(self._network)

    def _stop(self, pod: Pod) -> None:
        if not pod.stopping:
            pod.stopping = True
            self._tasks.create_task(self._end(pod), name=f"end {pod.name}")

    async def _end(self, pod: Pod) -> None:
        await pod.stop()
        self.pods.remove(pod)

    async def _publish(self, deployments: list[Manifest]) -> None:
        """One EndpointSlice for each Service that selects pods of ours."""
        wanted: dict[Owner, Manifest] = {}
        for service in await self._api.items("Service", namespace="", labels=self._services):
            namespace, selector = service["metadata"]["namespace"], service["spec"].get("selector")
            ours = [one for one in deployments if one["metadata"]["namespace"] == namespace and _selects(selector, one)]
            if ours:
                wanted[_owner(service)] = self._slice(service)
        for (namespace, name), document in wanted.items():
            if self._published.get((namespace, name)) != document:
                await self._api.apply(document, manager=MANAGER)
                self._published[namespace, name] = document
        for namespace, name in self._published.keys() - wanted.keys():
            await self._api.delete("EndpointSlice", f"{name}-{MANAGER}", namespace=namespace)
            del self._published[namespace, name]

    def _slice(self, service: Manifest) -> Manifest:
        metadata, selector = service["metadata"], service["spec"]["selector"]
        pods = [
            pod
            for pod in self.pods
            if pod.namespace == metadata["namespace"] and selector.items() <= pod.labels.items() and pod.address
        ]
        owner = {"apiVersion": "v1", "kind": "Service", "name": metadata["name"], "uid": metadata["uid"]}
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{metadata['name']}-{MANAGER}",
                "namespace": metadata["namespace"],
                "labels": {SERVICE_NAME: metadata["name"], "endpointslice.kubernetes.io/managed-by": MANAGER},
                "ownerReferences": [owner],
            },
            "addressType": "IPv4",
            "endpoints": [_endpoint(pod) for pod in pods],
            "ports": [
                {"name": port.get("name", ""), "protocol": port["protocol"], "port": port["targetPort"]}
                for port in service["spec"]["ports"]
            ],
        }

    async def _report(self, deployment: Manifest) -> None:
        """The Deployment's status, when that changes."""
        pods = [pod for pod in self.pods if pod.owner == _owner(deployment) and not pod.stopping]
        ready = sum(pod.ready for pod in pods)
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": sum(pod.template == deployment["spec"]["template"] for pod in pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
        }
        # The API server leaves out zeros.
        if {name: number for name, number in status.items() if number} != deployment.get("status", {}):
            namespace, name = _owner(deployment)
            await self._api.patch_status("Deployment", name, status, namespace=namespace)


@contextlib.asynccontextmanager
async def running(api: Api, folder: Path, *, labels: str = DATA_PLANES, services: str = "") -> AsyncIterator[Kubelet]:
    """A kubelet while the block runs. ``folder`` is for its files; ``labels`` select its Deployments, ``services`` the
    Services that may select its pods, which are all unless there are very many.
    """
    network = Network()
    try:
        await network.start()
        async with asyncio.TaskGroup() as tasks:
            kubelet = Kubelet(api, folder, network, tasks, labels=labels, services=services)
            try:
                async with play(kubelet):
                    yield kubelet
            finally:
                await kubelet.close()
    finally:
        network.close()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _owner(item: Manifest) -> Owner:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _selects(selector: Mapping[str, str] | None, deployment: Manifest) -> bool:
    labels = deployment["spec"]["template"]["metadata"].get("labels", {})
    return bool(selector) and dict(selector or {}).items() <= labels.items()


def _endpoint(pod: Pod) -> Manifest:
    """A pod that is being ended is served on, while it is ready, only where there is nothing else."""
    return {
        "addresses": [pod.address],
        "conditions": {
            "ready": pod.ready and not pod.stopping,
            "serving": pod.ready,
            "terminating": pod.stopping,
        },
        "nodeName": NODE_NAME,
        "targetRef": {"kind": "Pod", "name": pod.name, "namespace": pod.namespace},
    }


def _files(found: Manifest) -> dict[str, bytes]:
    if found["kind"] == "Secret":
        return {name: base64.b64decode(text) for name, text in found.get("data", {}).items()}
    return {name: text.encode() for name, text in found.get("data", {}).items()}
