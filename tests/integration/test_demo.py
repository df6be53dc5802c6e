"""`tidegate demo`: what a newcomer sees first works, follows an edit, and leaves nothing behind."""

import asyncio
import re
import signal
import subprocess
from pathlib import Path

import psutil

from support.clients import who_serves
from support.instances import COMMAND, Instances, envoys_in
from support.waiting import eventually


async def test_demo_shows_answers_of_both_backends_and_ends(tidegate: Instances) -> None:
    """With --once it prints the listeners, their routes and an answer from each backend, and ends with 0."""
    finished = await tidegate.run("demo", "--once", within=60)
    assert finished.status == 0, finished.text
    for word in ("foo", "bar", "tcp-app-1", "tcp-app-2", "my-foo-service", "my-bar-service", "127.0.0.1"):
        assert word in finished.output
    assert "Traceback" not in finished.text


async def test_demo_follows_an_edit_until_ctrl_c(tidegate: Instances, tmp_path: Path) -> None:
    """It names its manifest; an edit of it changes who answers; Ctrl-C ends it and its Envoy."""
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [COMMAND, "demo"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=tidegate.environment({"PYTHONUNBUFFERED": "1"}),
            start_new_session=True,
        )

    async def text() -> str:
        return output.read_text()

    try:
        shown = await eventually(text, lambda shown: "demo.yaml" in shown and "Ctrl-C" in shown, what="it is up", within=30)
        manifest = Path(re.search(r"\S*demo\.yaml", shown).group())
        ports = {name: int(port) for name, port in re.findall(r"name: (foo|bar)\s+protocol: TCP\s+port: (\d+)", manifest.read_text())}
        assert "foo" in await answer(ports["foo"])
        manifest.write_text(manifest.read_text().replace("my-foo-service", "my-bar-service"))
        await eventually(lambda: answer(ports["foo"]), lambda line: "bar" in line, what="the edit is followed")
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 20) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in output.read_text()
