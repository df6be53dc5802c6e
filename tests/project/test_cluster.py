"""The real API server that other tests stand on: it starts, is empty for each test, and can be killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import psutil
import pytest

from support import manifests
from support.cluster import Cluster
from support.cluster_api import ApiError
from support.waiting import eventually


async def test_objects_are_applied_read_and_waited_for(cluster: Cluster) -> None:
    """An applied object is in the test's namespace; its status can be patched and waited for."""
    (applied,) = await cluster.api.apply(manifests.gateway("edge", [manifests.listener("tcp", 8080)]))
    assert applied["metadata"]["namespace"] == cluster.namespace
    accepted = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    await cluster.api.patch_status("Gateway", "edge", {"conditions": [accepted]})
    found = await cluster.api.wait_condition("Gateway", "edge", "Accepted", reason="Accepted")
    assert [item["metadata"]["name"] for item in await cluster.api.items("Gateway")] == ["edge"]
    await cluster.api.delete("Gateway", found["metadata"]["name"])
    await cluster.api.wait_gone("Gateway", "edge")


async def test_invalid_object_is_refused_with_a_reason(cluster: Cluster) -> None:
    """The CRDs' rules are in force."""
    with pytest.raises(ApiError, match="listeners") as refused:
        await cluster.api.create(manifests.gateway("edge", []))
    assert refused.value.status == 422


@pytest.mark.parametrize("turn", [1, 2])
async def test_nothing_is_left_of_another_test(cluster: Cluster, turn: int) -> None:
    """Objects of every scope, with finalizers, are gone for the next test, and their namespaces with them."""
    namespaces = [item["metadata"]["name"] for item in await cluster.api.items("Namespace")]
    assert [name for name in namespaces if name.startswith(("test-", "other"))] == [cluster.namespace]
    assert await cluster.api.items("Gateway", namespace="") == []
    assert await cluster.api.items("GatewayClass") == []
    assert await cluster.api.find("CustomResourceDefinition", "shells.example.com") is None
    finalizer = {"finalizers": ["example.com/kept"]}
    gateway = manifests.gateway("edge", [manifests.listener("tcp", 8080)], namespace="other")
    gateway["metadata"] |= finalizer
    await cluster.api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}},
        manifests.service("db", namespace="other"),
        gateway,
        {
            "apiVersion": f"{manifests.GROUP}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "tide"},
            "spec": {"controllerName": f"example.com/turn-{turn}"},
        },
        SHELLS,
    )
    await cluster.api.apply({"apiVersion": "example.com/v1", "kind": "Shell", "metadata": {"name": "a"} | finalizer})


SHELLS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "shells.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Shell", "plural": "shells"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


async def test_experimental_channel_has_its_own_server(experimental_cluster: Cluster) -> None:
    """There, TCPRoute is served in v1alpha2 as well."""
    route = manifests.tcproute("route", [], [manifests.backend("db")], version="v1alpha2")
    await experimental_cluster.api.apply(route)
    assert await experimental_cluster.api.get("TCPRoute", "route")


async def test_own_server_can_be_killed_and_keeps_what_it_stored(own_cluster: Cluster) -> None:
    """A test with a server of its own may end it; what was stored is there afterwards."""
    await own_cluster.api.apply(manifests.service("db"))
    own_cluster.server.process.kill()
    await own_cluster.server.restart()
    assert await own_cluster.api.get("Service", "db")


STARTS_ONE_AND_WAITS = """
import sys, time
from pathlib import Path
from support.cluster import Daemon
daemon = Daemon(Path("/bin/sleep"), ["1000"], Path(sys.argv[1]))
daemon.start()
print(daemon.pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux), as on Linux")
async def test_nothing_runs_on_when_the_test_run_is_killed(tmp_path: Path) -> None:
    """A daemon ends with the process that started it, also when that had no time to end it."""
    run = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        STARTS_ONE_AND_WAITS,
        str(tmp_path / "log"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.stdout is not None
    daemon = psutil.Process(int(await run.stdout.readline()))
    run.kill()
    await run.wait()

    async def ended() -> bool:
        return not daemon.is_running() or daemon.status() == psutil.STATUS_ZOMBIE

    await eventually(ended, what="the daemon has ended")
