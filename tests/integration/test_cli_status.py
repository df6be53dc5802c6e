"""`tidegate status` and `get` against an instance that runs."""

import asyncio
import json
import subprocess
import time
from pathlib import Path

import yaml

from support.backends import Backend
from support.clients import connection
from support.instances import COMMAND, Instances
from support.manifests import Manifest, backend, gateway, listener, parent, tcproute, write
from support.ports import Ports


def documents(port: int, app: str = "red") -> list[Manifest]:
    """One listener and a route to one backend."""
    return [gateway("edge", [listener("tcp", port)]), tcproute("app", [parent("edge")], [backend(app)])]


async def test_status_and_get_show_what_runs(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """The table has the listener with its counters; get has the objects with the status of an API server."""
    port, path = ports.reserve(), tmp_path / "gateway.yaml"
    write(path, *documents(port))
    async with Backend("red") as red:
        instance = tidegate.start(path, "--backend", f"red:6000={red.address}")
        await instance.wait_ready()
        async with connection(port) as conversation:
            assert await conversation.line() == "red"
            await instance.wait(lambda state: state.listeners[0].active == 1, what="the connection is counted")
            there = ["--state-dir", str(instance.state_dir)]
            shown = await tidegate.run("status", *there, "-o", "wide")
            assert shown.status == 0, shown.text
            row = next(line for line in shown.output.splitlines() if line.startswith("edge/tcp"))
            assert row.split()[:8] == ["edge/tcp", f"{port}/TCP", "Live", "app", "1/1", "red:6000", "1", "1"]
        got = await tidegate.run("get", "gateways,tcproutes", *there)
        assert [line.split()[0] for line in got.output.splitlines() if line] == ["NAME", "edge", "NAME", "app"]
        document = yaml.safe_load((await tidegate.run("get", "tcproute", "app", "-o", "yaml", *there)).output)
        assert document["status"]["parents"][0]["conditions"][0]["type"] == "Accepted"
        missing = await tidegate.run("get", "tcproute", "nope", *there)
        assert (missing.status, missing.output) == (1, "")
        assert missing.errors.startswith('tidegate: tcproutes "nope" not found in namespace default')


async def test_what_get_prints_can_be_run_again(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """The YAML of all kinds, status and defaults included, is clean input for check."""
    path, copy = tmp_path / "gateway.yaml", tmp_path / "copy.yaml"
    write(path, *documents(ports.reserve()))
    instance = tidegate.start(path, "--backend", "red:6000=127.0.0.1:9")
    await instance.wait_ready()
    kinds = "gateways,tcproutes,services,endpointslices"
    there = ["--state-dir", str(instance.state_dir)]
    copy.write_text((await tidegate.run("get", kinds, "-o", "yaml", *there)).output)
    checked = await tidegate.run("check", copy, "-o", "json", "--strict")
    assert checked.status == 0, checked.text
    assert {item["kind"] for item in json.loads(checked.output)["objects"]} == {
        "Gateway",
        "TCPRoute",
        "Service",
        "EndpointSlice",
    }


async def test_instances_are_found_by_name_directory_and_address(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """--name finds it in the default place, --admin by its address; without any flag the only one is meant."""
    path, admin = tmp_path / "gateway.yaml", f"127.0.0.1:{ports.reserve()}"
    write(path, *documents(ports.reserve()))
    running = tidegate.launch("run", path, "--name", "web", "--admin", admin, "--drain-time", "0")
    await running.wait_text("started", within=15)
    for flags in ([], ["--name", "web"], ["--admin", admin]):
        shown = await tidegate.run("status", *flags, "-o", "json")
        assert json.loads(shown.output)["instance"]["name"] == "web", shown.text
    wrong = await tidegate.run("status", "--name", "other")
    assert wrong.status == 2
    assert "no instance named other is running; running: web" in wrong.errors


async def test_nothing_runs(tidegate: Instances) -> None:
    """One sentence that says how to start one, and status 2."""
    for command in (["status"], ["get", "gateways"], ["status", "--admin", "127.0.0.1:9"]):
        ended = await tidegate.run(*command)
        assert (ended.status, ended.output) == (2, "")
        assert ended.errors.startswith("tidegate: no instance ")
        assert ended.errors.count("\n") == 1
        assert "tidegate run PATH" in ended.errors


async def test_watching_shows_it_again_until_interrupted(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """--watch repeats, and the end of the instance ends it with a sentence."""
    path = tmp_path / "gateway.yaml"
    write(path, *documents(ports.reserve()))
    instance = tidegate.start(path, "--drain-time", "0")
    await instance.wait_ready()
    watching = tidegate.launch("status", "--watch", "--state-dir", instance.state_dir)
    await watching.wait_text("LISTENER")
    instance.process.terminate()
    assert await watching.ended() == 2
    assert "no instance answers" in watching.text()


async def test_a_reader_that_leaves_early_is_no_failure(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """`tidegate get ... | head -1` prints a line and no complaint."""
    path = tmp_path / "gateway.yaml"
    gateways = [gateway(f"g{number}", [listener("tcp", ports.reserve())]) for number in range(20)]
    write(path, *gateways)
    instance = tidegate.start(path)
    await instance.wait_ready()
    line = f"{COMMAND} get gateways -o yaml --state-dir {instance.state_dir} | head -1"
    process = await asyncio.create_subprocess_shell(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=tidegate.environment(None)
    )
    output, errors = await process.communicate()
    assert (output, errors) == (b"apiVersion: v1\n", b"")


async def test_asking_is_quick(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A status takes less than a second even on a busy machine: it loads no data plane."""
    path = tmp_path / "gateway.yaml"
    write(path, *documents(ports.reserve()))
    instance = tidegate.start(path)
    await instance.wait_ready()
    taken = []
    for _ in range(3):
        begin = time.monotonic()
        assert (await tidegate.run("status", "--state-dir", str(instance.state_dir))).status == 0
        taken.append(time.monotonic() - begin)
    assert min(taken) < 1
