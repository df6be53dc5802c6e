"""The admin API of a real instance."""

import json
import stat
from pathlib import Path

from support.instances import Instances
from support.manifests import backend, gateway, listener, parent, tcproute, write
from support.ports import Ports


async def test_all_pages_answer(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Health, readiness, metrics, state and objects, over a socket that only its owner can use."""
    path = tmp_path / "gateway.yaml"
    write(path, gateway("edge", [listener("tcp", ports.reserve())]), tcproute("app", [parent("edge")], [backend("no")]))
    instance = tidegate.start(path)
    await instance.wait_ready()
    assert await instance.get("/healthz") == "ok\n"
    assert await instance.get("/readyz") == "ok\n"
    metrics = await instance.get("/metrics")
    assert 'tidegate_listener_programmed{gateway="default/edge",listener="tcp"} 1.0' in metrics
    assert "tidegate_ready 1.0" in metrics
    assert "tidegate_config_changes_total" in metrics
    objects = json.loads(await instance.get("/api/v1/objects/gateways/default"))
    assert [item["metadata"]["name"] for item in objects["items"]] == ["edge"]
    route = json.loads(await instance.get("/api/v1/objects/tcproutes/default/app"))
    assert route["status"]["parents"][0]["controllerName"] == "tidegate.dev/gateway-controller"
    socket = instance.state_dir / "admin.sock"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(instance.state_dir.stat().st_mode) == 0o700


async def test_metrics_count_problems_of_the_input(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """An invalid object is counted while it is there, and forgotten after."""
    path = tmp_path / "gateway.yaml"
    good = gateway("edge", [listener("tcp", ports.reserve())])
    write(path, good, gateway("bad", [listener("tcp", 0)]))
    instance = tidegate.start(path)
    await instance.wait_ready()
    metrics = await instance.get("/metrics")
    assert "tidegate_rejected_objects 1.0" in metrics
    assert 'tidegate_object_problems{severity="error"} 1.0' in metrics
    write(path, good)
    await instance.wait(lambda state: not state.problems, what="the problem is gone")
    assert "tidegate_rejected_objects 0.0" in await instance.get("/metrics")
