"""Every connection is counted once and written down once, whatever happens to endpoints and Envoys meanwhile."""

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from support.backends import Backend
from support.clients import Tally, ask_many, connection, who_serves
from support.instances import Instance, Instances
from support.manifests import Manifest, backend, gateway, listener, parent, service, slice_of, tcproute, write
from support.ports import Ports
from support.waiting import eventually
from tidegate.admin.view import ListenerView

LABELS = {"gateway": "default/edge", "listener": "tcp", "route": "default/app"}


def documents(port: int, *backends: Backend, missing: int = 0) -> list[Manifest | list[Manifest]]:
    """A listener whose route has one Service with these endpoints, and so much weight on a missing one."""
    refs = [backend("app", weight=50)] + ([backend("missing", weight=missing)] if missing else [])
    return [
        gateway("edge", [listener("tcp", port)]),
        tcproute("app", [parent("edge")], refs),
        service("app"),
        slice_of("app", [(entry.host, entry.port) for entry in backends]),
    ]


async def counted(instance: Instance, opened: int, refused: int) -> ListenerView:
    """The listener, once exactly so many connections are counted and none is open."""
    state = await instance.wait(
        lambda state: (
            (state.listeners[0].opened, state.listeners[0].refused, state.listeners[0].active) == (opened, refused, 0)
        ),
        what=f"{opened} connections are counted, {refused} of them refused",
    )
    return state.listeners[0]


def refusals(tally: Tally) -> int:
    return tally.refused.total()


async def test_counters_match_what_clients_saw(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Opened, refused and bytes are exact; active follows the connections that are open."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    async with Backend("red") as red:
        write(manifest, *documents(port, red, missing=50))
        instance = tidegate.start(manifest)
        await instance.wait_ready()
        tally = await ask_many(port, 300)
        entry = await counted(instance, 300, refusals(tally))
        assert entry.sent == len("red\n") * tally.served["red"]
        write(manifest, *documents(port, red))
        await instance.wait(lambda state: len(state.listeners[0].backends) == 1, what="the missing share is gone")
        async with connection(port) as conversation:
            await conversation.line()
            assert await conversation.echoes("x" * 99)
            await instance.wait(lambda state: state.listeners[0].active == 1, what="one connection is open")
        last = await counted(instance, 301, refusals(tally))
    assert last.received - entry.received == 100
    assert last.sent - entry.sent == len("red\n") + 100


async def test_counters_never_fall_back(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """They go on through changed endpoints, a killed Envoy, and a killed controller."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    async with Backend("red") as red, Backend("blue") as blue:
        write(manifest, *documents(port, red))
        first = tidegate.start(manifest)
        await first.wait_ready()
        await ask_many(port, 10)
        await counted(first, 10, 0)
        write(manifest, *documents(port, blue))
        await eventually(lambda: who_serves(port), lambda who: who == "blue", what="another endpoint")
        before = await first.wait(lambda state: state.listeners[0].opened > 10, what="it is counted on")
        opened = before.listeners[0].opened
        await counted(first, opened, 0)
        for envoy in first.envoys():
            envoy.kill()
        await eventually(lambda: who_serves(port), lambda who: who == "blue", what="Envoy is back", within=10)
        after = await first.wait(lambda state: state.listeners[0].opened > opened, what="it is counted on")
        opened = after.listeners[0].opened
        await counted(first, opened, 0)
        await first.kill()
        second = tidegate.start(manifest, state_dir=first.state_dir)
        await second.wait_ready()
        await ask_many(port, 10)
        await second.wait(lambda state: state.listeners[0].opened >= opened + 10, what="the successor counts on")


async def test_metrics_show_each_listener_and_route(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """The Prometheus page parses, and has the counters under the names of listener and route."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    async with Backend("red") as red:
        write(manifest, *documents(port, red))
        instance = tidegate.start(manifest)
        await instance.wait_ready()
        await ask_many(port, 20)
        await counted(instance, 20, 0)
        page = await instance.get("/metrics")
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if LABELS.items() <= sample.labels.items()
    }
    opened = [value for name, value in samples.items() if re.fullmatch(r"tidegate_listener_connections.*_total", name)]
    assert 20.0 in opened
    assert samples["tidegate_listener_connections_active"] == 0


async def test_access_log_has_a_line_for_each_connection(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Served and refused connections are written down as JSON, with who, where and why it ended."""
    port = ports.reserve()
    folder = tmp_path / "manifests"
    folder.mkdir()
    log = tmp_path / "access.json"

    async def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    async with Backend("red") as red:
        write(folder / "gateway.yaml", *documents(port, red, missing=50))
        instance = tidegate.start(folder, "--access-log", f"json={log}")
        await instance.wait_ready()
        tally = await ask_many(port, 40)
        rows = await eventually(lines, lambda rows: len(rows) >= 40, what="40 lines", within=15)
        assert len(rows) == 40
        refused = [row for row in rows if row["backend"] == "refused"]
        served = [row for row in rows if row["backend"] != "refused"]
        assert len(refused) == refusals(tally) > 0
        assert {row["ended"] for row in refused} == {"refused"}
        for row in rows:
            assert row["listener"] == "default/edge/tcp"
            assert row["route"] == "default/app"
            assert row["client"].startswith("127.0.0.1:")
            assert row["duration_ms"] >= 0
        for row in served:
            assert "app" in row["backend"]
            assert row["endpoint"] == red.address
            assert row["sent"] == len("red\n")


async def test_access_log_as_text_has_the_same(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Text lines begin with the time and go on as key=value."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    log = tmp_path / "access.log"

    async def lines() -> list[str]:
        return log.read_text().splitlines() if log.exists() else []

    async with Backend("red") as red:
        write(manifest, *documents(port, red))
        instance = tidegate.start(manifest, "--access-log", f"text={log}")
        await instance.wait_ready()
        assert await who_serves(port) == "red"
        (line,) = await eventually(lines, what="a line", within=15)
    time, *fields = line.split()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    values = dict(field.split("=", 1) for field in fields)
    assert values["listener"] == "default/edge/tcp"
    assert values["endpoint"] == red.address
    assert values["sent"] == "4"
