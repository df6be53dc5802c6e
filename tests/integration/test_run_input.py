"""Bad input through the command: one clear message, hurt to nothing else, the last good version serves on."""

from pathlib import Path

import pytest
import yaml

from support.backends import Backend
from support.clients import connection, who_serves
from support.instances import Instance, Instances
from support.manifests import Manifest, backend, gateway, listener, parent, tcproute, write, write_text
from support.ports import Ports
from support.waiting import eventually, steadily
from tidegate.admin.view import Problem, State

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(ord('b') + number)}: &{chr(ord('b') + number)} [{','.join(['*' + chr(ord('a') + number)] * 9)}]\n"
    for number in range(12)
)

UNREADABLE: dict[str, tuple[bytes, str, int]] = {
    "unclosed bracket": (b"kind: [Gateway\n", "bad.yaml:", 2),
    "tab": (b"kind: Gateway\nspec:\n\tlisteners: []\n", "bad.yaml:3", 2),
    "not UTF-8": (b"kind: Gateway\nmetadata: {name: \xff\xfe}\n", "bad.yaml", 2),
    "binary": (bytes(range(256)), "bad.yaml", 2),
    "deep nesting": (b"[" * 20_000 + b"]" * 20_000, "bad.yaml", 2),
    "anchor bomb": (BOMB.encode(), "bad.yaml", 2),
    "scalar document": (b"just text\n", "bad.yaml:1", 1),
    "duplicate key": (b"kind: Gateway\napiVersion: v1\nkind: Gateway\n", "bad.yaml:3", 2),
}


def documents(port: int, app: str = "red") -> list[Manifest]:
    """One listener and a route to one backend."""
    return [
        gateway("edge", [listener("tcp", port)]),
        tcproute("app", [parent("edge")], [backend(app)]),
    ]


async def start(tidegate: Instances, path: Path, *backends: Backend) -> Instance:
    """A ready instance of a file or folder."""
    flags = [text for entry in backends for text in ("--backend", f"{entry.name}:6000={entry.address}")]
    instance = tidegate.start(path, *flags)
    await instance.wait_ready()
    return instance


def errors_of(state: State) -> list[Problem]:
    """What is wrong with the input, notes and warnings aside."""
    return [problem for problem in state.problems if problem.severity == "error"]


@pytest.mark.parametrize("case", UNREADABLE)
async def test_unreadable_file_is_named_and_hurts_nothing(
    tidegate: Instances, ports: Ports, tmp_path: Path, case: str
) -> None:
    """A file that cannot be read is one problem with its place; the other files serve, and go on being followed."""
    content, place, status = UNREADABLE[case]
    port = ports.reserve()
    write(tmp_path / "gateway.yaml", *documents(port))
    async with Backend("red") as red, Backend("blue") as blue:
        instance = await start(tidegate, tmp_path, red, blue)
        (tmp_path / "bad.yaml").write_bytes(content)
        state = await instance.wait(
            lambda state: any("bad.yaml" in problem.file for problem in state.problems), what="the problem is named"
        )
        (error,) = errors_of(state)
        assert place in f"{error.file}:{error.line}"
        assert error.message
        assert "\n" not in error.message
        assert await who_serves(port) == "red"
        write(tmp_path / "gateway.yaml", *documents(port, "blue"))
        await eventually(lambda: who_serves(port), lambda who: who == "blue", what="other files are followed")
        finished = await tidegate.run("check", tmp_path, "--backend", "blue:6000=127.0.0.1:1")
    assert finished.status == status
    assert "bad.yaml" in finished.text
    assert "Traceback" not in finished.text
    assert "bad.yaml" in instance.text()


async def test_broken_edit_keeps_the_last_good_version(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A syntax error in the serving file itself changes nothing until it is mended."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red, Backend("blue") as blue:
        instance = await start(tidegate, manifest, red, blue)
        async with connection(port) as conversation:
            await conversation.line()
            write_text(manifest, manifest.read_text() + "---\nkind: [\n")
            await instance.wait(lambda state: bool(errors_of(state)), what="the problem is named")
            await steadily(lambda: who_serves(port), lambda who: who == "red", what="it serves on", during=0.3)
            write(manifest, *documents(port, "blue"))
            await eventually(lambda: who_serves(port), lambda who: who == "blue", what="the mended file")
            await instance.wait(lambda state: not errors_of(state), what="the problem is gone")
            assert await conversation.echoes("still here")


async def test_invalid_object_is_refused_as_an_api_server_would(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """A valid document with an invalid value keeps the object's last version and names the field."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(port))
    async with Backend("red") as red:
        instance = await start(tidegate, manifest, red)
        edge, route = documents(port)
        edge["spec"]["listeners"][0]["port"] = 70_000
        write(manifest, edge, route)
        state = await instance.wait(lambda state: bool(errors_of(state)), what="the problem is named")
        (problem,) = errors_of(state)
        assert problem.path == "spec.listeners[0].port"
        assert problem.line > 1
        assert "65535" in problem.message
        await steadily(lambda: who_serves(port), lambda who: who == "red", what="it serves on", during=0.3)


async def test_duplicate_objects_are_warned_of_and_the_last_wins(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """Two documents with one identity: the later one counts."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    edge, red_route = documents(port)
    _, blue_route = documents(port, "blue")
    write(manifest, edge, red_route, blue_route)
    async with Backend("red") as red, Backend("blue") as blue:
        instance = await start(tidegate, manifest, red, blue)
        assert await who_serves(port) == "blue"
        state = await instance.state()
    assert state is not None
    (problem,) = (problem for problem in state.problems if problem.severity == "warning")
    assert "TCPRoute default/app" in problem.message


async def test_unknown_fields_and_kinds_are_ignored_with_a_warning(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """What an API server would prune, and kinds that are not ours, change nothing."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    edge, route = documents(port)
    edge["spec"]["colour"] = "blue"
    stranger = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 3}}
    write(manifest, edge, route, stranger)
    async with Backend("red") as red:
        await start(tidegate, manifest, red)
        assert await who_serves(port) == "red"
        finished = await tidegate.run("check", manifest, "--backend", f"red:6000={red.address}")
        strict = await tidegate.run("check", manifest, "--backend", f"red:6000={red.address}", "--strict")
    assert finished.status == 0, finished.text
    assert "colour" in finished.text
    assert strict.status == 1


async def test_path_that_does_not_exist_ends_with_one_message(tidegate: Instances, tmp_path: Path) -> None:
    """Nothing to read at all is fatal, for run and check alike, and says which path."""
    missing = tmp_path / "nowhere.yaml"
    for command in ("run", "check"):
        finished = await tidegate.run(command, missing)
        assert finished.status == 2
        assert str(missing) in finished.errors
        assert len(finished.errors.strip().splitlines()) == 1
        assert not finished.output


async def test_wrong_flag_ends_with_one_message(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A flag that cannot be used is named, before anything starts."""
    manifest = tmp_path / "gateway.yaml"
    write(manifest, *documents(ports.reserve()))
    finished = await tidegate.run("run", manifest, "--backend", "nonsense")
    assert finished.status == 2
    assert "nonsense" in finished.errors
    assert "Traceback" not in finished.text


async def test_large_inputs_are_served(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """10,000 documents, and beside them one of 5 MB, do not keep a route from serving."""
    port = ports.reserve()
    write(tmp_path / "gateway.yaml", *documents(port))
    row = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: n{number}\n"
    (tmp_path / "many.yaml").write_text("---\n".join(row.format(number=number) for number in range(10_000)))
    large = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "large", "annotations": {"note": "x" * 5_000_000}},
    }
    (tmp_path / "large.yaml").write_text(yaml.safe_dump(large))
    async with Backend("red") as red, Backend("blue") as blue:
        instance = tidegate.start(
            tmp_path, "--backend", f"red:6000={red.address}", "--backend", f"blue:6000={blue.address}"
        )
        await instance.wait_ready(within=30)
        assert await who_serves(port) == "red"
        write(tmp_path / "gateway.yaml", *documents(port, "blue"))
        await eventually(lambda: who_serves(port), lambda who: who == "blue", what="edits are followed", within=2)


async def test_input_from_standard_input_and_json_are_read(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """`-` reads standard input, and JSON is as good as YAML."""
    text = yaml.safe_dump_all(documents(ports.reserve()))
    finished = await tidegate.run("check", "-", "--backend", "red:6000=127.0.0.1:1", stdin=text.encode())
    assert finished.status == 0, finished.text
