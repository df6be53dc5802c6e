"""A real API server for tests: etcd and kube-apiserver as processes of the test run, with the Gateway API installed.

    async def test_something(cluster: Cluster) -> None:
        await cluster.api.apply(gateway("edge", [listener("tcp", 8080)]))   # in a namespace of the test's own
        ... tidegate with cluster.kubeconfig ...
        await cluster.api.wait_condition("Gateway", "edge", "Programmed")

Fixtures (``support.cluster_fixtures``; tests skip with a reason without ``KUBEBUILDER_ASSETS``):

- ``cluster``: the API server of the test run with the standard channel. The test gets a namespace of its own
  (``cluster.namespace``, which is the default one of ``cluster.api``); whatever else exists after it is removed.
- ``experimental_cluster``: the same with the experimental channel, on a server of its own, with two IP families.
- ``own_cluster``: a server that only this test has, to stop, kill and restart it (``cluster.server``).

There is no controller manager, scheduler or kubelet: nothing is garbage-collected, no EndpointSlice is made, no
Pod runs. ``support.cluster_roles`` plays these parts.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml

from support.cluster_api import Api, ApiError, ServedKind, connected
from support.cluster_assets import Assets, Channel
from support.cluster_keys import Keys, make_keys
from support.ports import Ports
from support.waiting import eventually

START_SECONDS = 60.0
SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
KEPT_BY_THE_SERVER = frozenset({"APIService", "FlowSchema", "IPAddress", "PriorityLevelConfiguration", "ServiceCIDR"})
"""Kinds whose objects the API server itself makes and removes."""


SERVICE_ADDRESSES: Mapping[Channel, str] = {
    "standard": "10.0.0.0/16",
    "experimental": "10.0.0.0/16,fd00:10::/112",
}
"""Where Services have their addresses: clusters of one IP family and of two are both to be seen."""


class Daemon:
    """A program that runs until it is stopped, or until the process that started it ends in whatever way."""

    def __init__(self, program: Path, arguments: Iterable[str], log: Path) -> None:
        self.log = log
        self._command = [str(program), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the program."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, in the main thread: the kernel ends it with the thread that started it."""
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*guard, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP for one that hangs, SIGCONT to let it go on. Nothing happens when it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it in the hard way and wait for that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def text(self) -> str:
        """All it has logged so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class ApiServer:
    """An API server with its store, in a directory of its own."""

    def __init__(self, assets: Assets, directory: Path, channel: Channel = "standard") -> None:
        self.channel = channel
        self._assets = assets
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._ports = Ports()
        self.keys: Keys = make_keys(directory / "keys")
        self._store_url = f"http://127.0.0.1:{self._ports.reserve()}"
        port = self._ports.reserve()
        self.url = f"https://127.0.0.1:{port}"
        self.etcd = Daemon(assets.etcd, self._etcd_arguments(), directory / "etcd.log")
        self.process = Daemon(assets.api_server, self._server_arguments(port), directory / "kube-apiserver.log")
        self.kubeconfig = directory / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(self._kubeconfig()), encoding="utf-8")
        self._first: frozenset[str] = frozenset()

    def trust(self) -> ssl.SSLContext:
        """For TLS to the server as the administrator."""
        context = ssl.create_default_context(cafile=str(self.keys.authority))
        context.load_cert_chain(self.keys.admin_certificate, self.keys.admin_key)
        return context

    async def start(self) -> None:
        """Start both, install the Gateway API, and remember what a new cluster has."""
        self.etcd.start()
        self.process.start()
        await self.wait_ready()
        async with connected(self.url, self.trust()) as api:
            await install(api, self._assets.gateway_api(self.channel))
            await api.wait("Namespace", "default", what="the server has made its own namespaces")
            self._first = frozenset(item["metadata"]["uid"] for _, item in await api.everything())

    async def wait_ready(self, *, within: float = START_SECONDS) -> None:
        """Returns once the API server says that it is ready."""
        async with connected(self.url, self.trust()) as api:

            async def ready() -> str:
                assert self.etcd.running, self.report()
                assert self.process.running, self.report()
                try:
                    return str((await api.request("GET", "/readyz"))["message"])
                except (ApiError, aiohttp.ClientError) as error:
                    return str(error)

            await eventually(ready, lambda said: said == "ok", what="the API server is ready", within=within, every=0.1)

    async def restart(self) -> None:
        """Start the API server again after ``process.kill()``; what it stored is there."""
        self.process.start()
        await self.wait_ready()

    async def stop(self) -> None:
        """End the API server and its store; ``resume`` starts both."""
        self.process.kill()
        self.etcd.kill()

    async def resume(self) -> None:
        """Start both again, after ``stop``."""
        self.etcd.start()
        await self.restart()

    @property
    def store(self) -> Path:
        """All that is stored: a directory to copy and to put back while both are stopped."""
        return self._directory / "etcd"

    def close(self) -> None:
        """End both and remove what they stored; the logs stay."""
        self.process.kill()
        self.etcd.kill()
        self._ports.release()
        shutil.rmtree(self._directory / "etcd", ignore_errors=True)

    async def clean(self, api: Api) -> None:
        """Remove whatever was not there when the server had started."""
        await api.wipe(self._keeps)

    def report(self) -> list[tuple[str, str]]:
        """What both logged last, under titles."""
        return [(f"log of {one.log.stem}", one.text()[-20_000:]) for one in (self.process, self.etcd)]

    def _keeps(self, served: ServedKind, item: dict[str, Any]) -> bool:
        metadata = item["metadata"]
        return (
            metadata["uid"] in self._first
            or metadata.get("namespace") in SYSTEM_NAMESPACES
            or (served.kind == "Namespace" and metadata["name"] in SYSTEM_NAMESPACES)
            or served.kind in KEPT_BY_THE_SERVER
        )

    def _etcd_arguments(self) -> Iterable[str]:
        return (
            f"--data-dir={self.store}",
            f"--listen-client-urls={self._store_url}",
            f"--advertise-client-urls={self._store_url}",
            "--listen-peer-urls=http://127.0.0.1:0",
            # What it stores need not survive the machine.
            "--unsafe-no-fsync",
            "--log-level=warn",
        )

    def _server_arguments(self, port: int) -> Iterable[str]:
        return (
            f"--etcd-servers={self._store_url}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={self.keys.server_certificate}",
            f"--tls-private-key-file={self.keys.server_key}",
            f"--client-ca-file={self.keys.authority}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.keys.tokens_key}",
            f"--service-account-signing-key-file={self.keys.tokens_key}",
            f"--service-cluster-ip-range={SERVICE_ADDRESSES[self.channel]}",
            # A server that shuts down would otherwise wait for its own Endpoints to go.
            "--endpoint-reconciler-type=none",
            # Nobody makes the service accounts that this plug-in waits for before it admits a Pod.
            "--disable-admission-plugins=ServiceAccount",
            "--allow-privileged=true",
        )

    def _kubeconfig(self) -> dict[str, Any]:
        def encoded(path: Path) -> str:
            return base64.b64encode(path.read_bytes()).decode()

        user = {
            "client-certificate-data": encoded(self.keys.admin_certificate),
            "client-key-data": encoded(self.keys.admin_key),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": self.url, "certificate-authority-data": encoded(self.keys.authority)},
                }
            ],
            "users": [{"name": "admin", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """What a test has of an API server."""

    server: ApiServer
    api: Api
    namespace: str

    @property
    def kubeconfig(self) -> Path:
        """For an administrator, with everything inline."""
        return self.server.kubeconfig


async def install(api: Api, documents: Iterable[dict[str, Any]]) -> None:
    """Apply manifests, and wait until the kinds that CRDs among them define are served."""
    applied = []
    async with asyncio.TaskGroup() as group:
        for document in documents:
            group.create_task(api.apply(document))
            applied.append(document)
    for document in applied:
        if document["kind"] == "CustomResourceDefinition":
            name = document["metadata"]["name"]
            await api.wait_condition("CustomResourceDefinition", name, "Established", within=30)
            for version in document["spec"]["versions"]:
                await _served(api, document["spec"], version)


async def _served(api: Api, spec: dict[str, Any], version: dict[str, Any]) -> None:
    """Returns once the server answers for a version of a custom resource: some time after Established."""
    path = f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"

    async def answers() -> bool:
        try:
            await api.request("GET", path, params={"limit": "1"})
        except ApiError:
            return False
        return True

    if version["served"]:
        await eventually(answers, what=f"{path} is served", within=30, every=0.02)


@contextlib.asynccontextmanager
async def with_namespace(server: ApiServer, namespace: str) -> AsyncIterator[Cluster]:
    """The server as a test has it, with a new namespace."""
    async with connected(server.url, server.trust(), namespace) as api:
        await api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        yield Cluster(server=server, api=api, namespace=namespace)
