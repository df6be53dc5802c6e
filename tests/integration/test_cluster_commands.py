"""`tidegate status`, `get` and `check` against a real API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.cluster import Cluster
from support.instances import Finished, Instances
from support.manifests import Manifest, backend, gateway, listener, parent, service, slice_of, tcproute, write
from support.snapshots import condition, gateway_status, served_class
from tidegate.names import CONTROLLER_NAME

GATEWAY = gateway("g", [listener("foo", 8080)])
ROUTE = tcproute("r", [parent("g")], [backend("svc")])


class Commands:
    """Commands that ask the cluster of a test."""

    def __init__(self, tidegate: Instances, cluster: Cluster) -> None:
        self._tidegate = tidegate
        self.cluster = cluster

    async def run(self, *arguments: str) -> Finished:
        """A command with the cluster's kubeconfig."""
        return await self._tidegate.run(*arguments, "--kubeconfig", str(self.cluster.kubeconfig))


@pytest.fixture
async def commands(tidegate: Instances, cluster: Cluster) -> Commands:
    """Commands, and a cluster in which a controller has written statuses."""
    status = {"parents": [_entry(CONTROLLER_NAME), _entry("example.com/other")]}
    await _store(cluster, served_class(), {**GATEWAY, "status": gateway_status("foo", addresses=["192.0.2.7"])})
    await _store(cluster, {**ROUTE, "status": status}, service("svc"), *slice_of("svc", [("10.1.0.7", 7000)]))
    return Commands(tidegate, cluster)


def _entry(controller: str) -> Manifest:
    conditions = [condition("Accepted"), condition("ResolvedRefs")]
    return {"parentRef": parent("g"), "controllerName": controller, "conditions": conditions}


async def _store(cluster: Cluster, *documents: Manifest) -> None:
    """Apply objects, and then what their controllers say of them."""
    for document in documents:
        status = document.get("status")
        await cluster.api.apply({name: value for name, value in document.items() if name != "status"})
        if status is not None:
            await cluster.api.patch_status(document["kind"], document["metadata"]["name"], status)


async def test_status_shows_what_the_controller_wrote(commands: Commands) -> None:
    """Listeners with state, route, endpoints and addresses, from the objects of all namespaces."""
    done = await commands.run("status", "-o", "wide")
    assert done.status == 0, done.text
    lines = done.output.splitlines()
    assert lines[0] == "cluster: 1 Gateway, 1 listener (1 Live)"
    namespace = commands.cluster.namespace
    assert lines[3].split() == [
        *(f"{namespace}/g/foo", "8080/TCP", "Live", f"{namespace}/r", "1/1", f"{namespace}/svc:6000", "192.0.2.7")
    ]
    state = json.loads((await commands.run("status", "-o", "json")).output)
    assert state["cluster"] is True


async def test_get_shows_objects_as_kubectl_does(commands: Commands) -> None:
    """Tables of one namespace or all, and whole objects with the entries of every controller."""
    namespace = commands.cluster.namespace
    done = await commands.run("get", "gateways,tcproutes", "-n", namespace)
    assert [line.split()[:3] for line in done.output.splitlines() if line] == [
        ["NAME", "CLASS", "ADDRESS"],
        ["g", "tidegate", "192.0.2.7"],
        ["NAME", "PARENTS", "ACCEPTED"],
        ["r", "g", "True"],
    ]
    everywhere = await commands.run("get", "tcproutes", "-A")
    assert everywhere.output.splitlines()[1].split()[0] == namespace
    document = yaml.safe_load((await commands.run("get", "tcproute", "r", "-n", namespace, "-o", "yaml")).output)
    assert [entry["controllerName"] for entry in document["status"]["parents"]] == [
        CONTROLLER_NAME,
        "example.com/other",
    ]
    assert "managedFields" not in document["metadata"]
    missing = await commands.run("get", "tcproute", "nope", "-n", namespace)
    assert (missing.status, missing.output) == (1, "")


async def test_check_decides_on_top_of_the_cluster(commands: Commands, tmp_path: Path) -> None:
    """What is in the cluster need not be in the files, and nothing is written."""
    namespace, path = commands.cluster.namespace, tmp_path / "route.yaml"
    before = await _versions(commands.cluster)
    write(path, tcproute("new", [parent("g")], [backend("svc")], namespace=namespace))
    good = await commands.run("check", str(path))
    assert good.status == 0, good.text
    assert f"served by TCPRoute {namespace}/r; 1 more attached, which it precedes" in good.output
    write(path, tcproute("new", [parent("g", port=9)], [backend("gone")], namespace=namespace))
    bad = await commands.run("check", str(path), "-o", "json")
    assert bad.status == 1, bad.text
    problems = json.loads(bad.output)["problems"]
    assert {problem["object"] for problem in problems} == {f"TCPRoute {namespace}/new"}
    assert {problem["file"] for problem in problems} == {str(path)}
    assert await _versions(commands.cluster) == before


async def _versions(cluster: Cluster) -> Any:
    return sorted((item["metadata"]["uid"], item["metadata"]["resourceVersion"]) for _, item in await _all(cluster))


async def _all(cluster: Cluster) -> Any:
    kept = {"Lease", "Event", "APIService"}  # The server writes these by itself.
    return [(kind, item) for kind, item in await cluster.api.everything() if kind.kind not in kept]


async def test_server_that_is_away_is_told(tidegate: Instances, cluster: Cluster, tmp_path: Path) -> None:
    """One sentence, and no traceback."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(yaml.safe_dump(config))
    done = await tidegate.run("status", "--kubeconfig", str(elsewhere))
    assert done.status == 2
    (line,) = done.errors.splitlines()
    assert "cannot be reached" in line
