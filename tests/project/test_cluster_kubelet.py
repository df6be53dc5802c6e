"""The kubelet, load balancer and garbage collector of test clusters do what the real ones do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support import manifests
from support.backends import Backend
from support.cluster import Cluster
from support.cluster_container import why_no_pods
from support.cluster_fixtures import show_when_failed
from support.cluster_kubelet import Kubelet, running
from support.cluster_roles import GarbageCollector, LoadBalancer, play, publish_endpoints, serving
from support.cluster_volumes import Projection
from support.manifests import Manifest
from support.waiting import eventually

PROGRAM = """
import http.server, json, os, pathlib, signal, socket, sys, time

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/ready" and pathlib.Path("/run/demo/broken").exists():
            return self.send_error(503)
        if self.path == "/end":
            os._exit(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(about()).encode())

    def log_message(self, *words):
        pass

def about():
    try:
        pathlib.Path("/etc/demo/new").write_text("")
        root = "writable"
    except OSError:
        root = "read-only"
    files = [pathlib.Path(place, name) for place, _, names in os.walk("/etc/demo") for name in names]
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    return {
        "files": {str(path): path.read_text() for path in files if ".." not in str(path)},
        "environment": dict(os.environ),
        "arguments": sys.argv[1:],
        "pid": os.getpid(),
        "ids": [os.getuid(), os.getgid()],
        "root": root,
        "node": socket.gethostbyname("node.example"),
        "capabilities": [line.split()[1] for line in status if line.startswith("CapBnd")],
    }

def end(number, frame):
    print("told to end", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
print("starts", flush=True)
http.server.HTTPServer(("", 80), Page).serve_forever()
"""
"""Tells what a container sees, on a port below 1024; not ready while a file is there; ends when told to."""


def deployment(*, replicas: int = 1, argument: str = "one", **spec: Any) -> Manifest:
    """A Deployment of that program, with volumes, probe, hook and rights as a data plane's."""
    labels = {"app": "demo"}
    container = {
        "name": "demo",
        "image": "demo",
        "command": ["python", "-c", PROGRAM],
        "args": [argument, "$(POD_NAME)"],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "ports": [{"name": "status", "containerPort": 80}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "status"}, "failureThreshold": 1},
        "securityContext": {"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo told beforehand; echo > /run/demo/hook"]}}},
        "volumeMounts": [
            {"name": "configuration", "mountPath": "/etc/demo/configuration", "readOnly": True},
            {"name": "keys", "mountPath": "/etc/demo/keys", "readOnly": True},
            {"name": "run", "mountPath": "/run/demo"},
        ],
    }
    pod = {
        "terminationGracePeriodSeconds": 20,
        "securityContext": {
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
        },
        "containers": [container],
        "volumes": [
            {"name": "configuration", "configMap": {"name": "demo"}},
            {"name": "keys", "secret": {"secretName": "demo", "defaultMode": 0o440}},
            {"name": "run", "emptyDir": {}},
        ],
        **spec,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "demo", "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def configuration(text: str) -> Manifest:
    """The ConfigMap that the program's pods mount."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "demo"}, "data": {"config": text}}


def demo_service(**spec: Any) -> Manifest:
    """A Service that selects the program's pods."""
    service = manifests.service("demo", 8080, target_port=80)
    service["spec"] |= {"selector": {"app": "demo"}, **spec}
    return service


SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "demo"}, "stringData": {"key": "secret"}}


@pytest.fixture
async def kubelet(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Kubelet]:
    """A kubelet for the program's pods."""
    if reason := why_no_pods():
        pytest.skip(reason)
    async with running(cluster.api, tmp_path, labels="app=demo") as kubelet:
        show_when_failed(request, kubelet.report)
        kubelet.names["node.example"] = kubelet.node
        yield kubelet


async def ask(address: str, path: str = "/", *, port: int = 80) -> dict[str, Any]:
    """What the program at an address tells."""
    async with aiohttp.ClientSession() as http, http.get(f"http://{address}:{port}{path}") as response:
        answer: dict[str, Any] = json.loads(await response.text())
        return answer


async def wait_ready(cluster: Cluster, count: int) -> list[tuple[str, int]]:
    """The endpoints of the Service once there are so many."""
    return await eventually(
        lambda: serving(cluster.api, "demo", 8080),
        lambda endpoints: len(endpoints) == count,
        what=f"{count} pods are ready",
        within=20,
    )


async def wait_changed(address: str, holds: Mapping[str, str]) -> None:
    """Returns once the program sees these files."""
    await eventually(lambda: ask(address), lambda told: told["files"] == holds, what=f"the files are {holds}")


@pytest.mark.root
async def test_container_sees_what_its_pod_template_says(cluster: Cluster, kubelet: Kubelet) -> None:
    """A pod has its files, names, address and user, may open low ports, and has no other right."""
    await cluster.api.apply(configuration("a"), SECRET, demo_service(), deployment())
    ((address, port),) = await wait_ready(cluster, 1)
    told = await ask(address)
    (pod,) = kubelet.pods_of("demo")
    assert port == 80
    assert told["files"] == {"/etc/demo/configuration/config": "a", "/etc/demo/keys/key": "secret"}
    assert told["arguments"] == ["one", pod.name]
    assert told["environment"]["POD_IP"] == address
    assert "KUBEBUILDER_ASSETS" not in told["environment"]
    assert told["node"] == kubelet.node
    assert told["ids"] == [65532, 65532]
    assert told["pid"] == 1
    assert told["root"] == "read-only"
    assert told["capabilities"] == ["0000000000000000"]
    await cluster.api.wait("Deployment", "demo", lambda found: found["status"].get("readyReplicas") == 1, what="ready")


@pytest.mark.root
async def test_pod_waits_for_its_volumes_and_sees_them_change(cluster: Cluster, kubelet: Kubelet) -> None:
    """A pod whose Secret is missing starts once that is there; a changed ConfigMap reaches the running program."""
    await cluster.api.apply(configuration("a"), demo_service(), deployment())

    async def pods() -> int:
        return len(kubelet.pods_of("demo"))

    await eventually(pods, what="the pod is there")
    await cluster.api.apply(SECRET)
    ((address, _),) = await wait_ready(cluster, 1)
    await cluster.api.apply(configuration("b"))
    await wait_changed(address, {"/etc/demo/configuration/config": "b", "/etc/demo/keys/key": "secret"})
    assert kubelet.pods_of("demo")[0].starts == 1


@pytest.mark.root
async def test_pods_are_replaced_without_a_gap_and_ended_politely(cluster: Cluster, kubelet: Kubelet) -> None:
    """A changed template starts a new pod first; the old one gets its hook, then SIGTERM. No replica ends all."""
    await cluster.api.apply(configuration("a"), SECRET, demo_service(), deployment())
    ((before, _),) = await wait_ready(cluster, 1)
    (old,) = kubelet.pods_of("demo")
    await cluster.api.apply(deployment(argument="two"))

    async def new_only() -> bool:
        endpoints = await serving(cluster.api, "demo", 8080)
        assert endpoints, "there is always a ready pod"
        return len(endpoints) == 1 and endpoints[0][0] != before

    async def gone() -> bool:
        return old not in kubelet.pods

    await eventually(new_only, what="the new pod has taken over", within=20)
    await eventually(gone, what="the old pod is gone", within=20)
    assert old.text().split("\n") == ["starts", "told beforehand", "told to end", ""]
    await cluster.api.apply(deployment(argument="two", replicas=0))
    await wait_ready(cluster, 0)
    assert await cluster.api.find("EndpointSlice", "demo-kubelet")
    await cluster.api.delete("Service", "demo")
    await cluster.api.wait_gone("EndpointSlice", "demo-kubelet")


@pytest.mark.root
async def test_unready_pod_is_taken_out_and_ended_container_started_again(cluster: Cluster, kubelet: Kubelet) -> None:
    """The probe decides about the endpoint; a container that ends starts again in the same pod, with its files."""
    await cluster.api.apply(configuration("a"), SECRET, demo_service(), deployment())
    ((address, _),) = await wait_ready(cluster, 1)
    (pod,) = kubelet.pods_of("demo")

    async def starts() -> int:
        return pod.starts

    assert pod.container is not None
    assert await pod.container.run(["touch", "/run/demo/broken"]) == 0
    await wait_ready(cluster, 0)
    with pytest.raises(aiohttp.ClientError):
        await ask(address, "/end")
    await eventually(starts, lambda count: count == 2, what="it starts again")
    assert await pod.container.run(["rm", "/run/demo/broken"]) == 0
    assert await wait_ready(cluster, 1) == [(address, 80)]


@pytest.mark.root
async def test_pods_reach_servers_of_the_test(cluster: Cluster, kubelet: Kubelet) -> None:
    """A backend of the test on the node's address is reached from a pod, and two pods may use the same port."""
    await cluster.api.apply(configuration("a"), SECRET, demo_service(), deployment(replicas=2))
    await wait_ready(cluster, 2)
    async with Backend("red", host=kubelet.node) as red:
        for pod in kubelet.pods_of("demo"):
            assert pod.container is not None
            script = f"import socket; socket.create_connection(('node.example', {red.port}), 5).recv(3)"
            assert await pod.container.run(["python", "-c", script]) == 0
        assert red.accepted == 2


async def test_load_balancer_gives_addresses(cluster: Cluster) -> None:
    """A Service of that type gets an address, the one that it asks for; others and other providers' get none."""
    other = {"type": "LoadBalancer", "loadBalancerClass": "example.com/other"}
    services = {
        "balanced": {"type": "LoadBalancer"},
        "choosy": {"type": "LoadBalancer", "loadBalancerIP": "203.0.113.7"},
        "other": other,
        "internal": {},
    }
    for name, spec in services.items():
        service = manifests.service(name)
        service["spec"] |= spec
        await cluster.api.apply(service)
    balancer = LoadBalancer(cluster.api)
    await balancer.look()
    await balancer.look()
    given = {
        item["metadata"]["name"]: item["status"]["loadBalancer"].get("ingress")
        for item in await cluster.api.items("Service")
    }
    assert [given[name] and given[name][0]["ip"] for name in services] == ["192.0.2.1", "203.0.113.7", None, None]


async def test_endpoints_of_a_service_follow_its_backends(cluster: Cluster) -> None:
    """Published endpoints are where a Service leads to, and backends that are gone leave no slice behind."""
    await cluster.api.apply(manifests.service("db"))
    for endpoints in ([("192.0.2.1", 5432), ("192.0.2.2", 5432)], [("192.0.2.1", 5433)]):
        await publish_endpoints(cluster.api, "db", endpoints)
        assert await serving(cluster.api, "db", 6000) == endpoints
    await publish_endpoints(cluster.api, "db", [])
    assert await cluster.api.items("EndpointSlice") == []


async def test_garbage_collector_deletes_what_lost_its_owner(cluster: Cluster) -> None:
    """An object goes after its owner, and not before."""
    (owner,) = await cluster.api.apply(configuration("a"))
    service = manifests.service("owned")
    service["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "demo", "uid": owner["metadata"]["uid"]}
    ]
    await cluster.api.apply(service)
    await GarbageCollector(cluster.api).look()
    assert await cluster.api.find("Service", "owned")
    async with play(GarbageCollector(cluster.api)):
        await cluster.api.delete("ConfigMap", "demo")
        await cluster.api.wait_gone("Service", "owned")


def test_volume_changes_in_one_step(tmp_path: Path) -> None:
    """All files of a volume lead through one link, which is replaced; keys that are gone have no file."""
    volume = Projection(tmp_path / "volume", mode=0o440, group=0)
    volume.show({"a": b"1", "b": b"1"})
    first = (volume.directory / "..data").readlink()
    volume.show({"a": b"1", "b": b"1"})
    assert (volume.directory / "..data").readlink() == first
    volume.show({"a": b"2", "c": b"2"})
    names = {path.name: path.read_bytes() for path in volume.directory.iterdir() if path.is_file()}
    assert names == {"a": b"2", "c": b"2"}
    assert (volume.directory / "..data").readlink() != first
    assert not (volume.directory / first).exists()
