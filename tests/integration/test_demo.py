"""`tidegate demo`: what a newcomer sees first works, follows an edit, and leaves nothing behind."""

import asyncio
import re
import signal
from pathlib import Path

from support.clients import connection
from support.instances import Instances
from support.manifests import replace_in
from support.waiting import eventually


async def answer(port: int) -> str:
    """What a line to a port of the demo is answered with; empty when the connection is ended."""
    try:
        async with connection(port) as conversation:
            await conversation.send(b"hi\n")
            return await conversation.line()
    except ConnectionError:
        return ""


async def test_demo_shows_answers_of_both_backends_and_ends(tidegate: Instances) -> None:
    """With --once it prints the listeners, their routes and an answer from each backend, and ends with 0."""
    finished = await tidegate.run("demo", "--once", within=60)
    assert finished.status == 0, finished.text
    for word in ("my-tcp-gateway/foo", "my-tcp-gateway/bar", "tcp-app-1", "tcp-app-2", "Live"):
        assert word in finished.output
    assert len(re.findall(r"-> my-(?:foo|bar)-service answers: hello", finished.output)) == 2


async def test_demo_follows_an_edit_until_ctrl_c(tidegate: Instances) -> None:
    """It names its manifest; an edit of it changes who answers, and is shown; Ctrl-C ends it with 0."""
    demo = tidegate.launch("demo")
    text = await demo.wait_text("Ctrl-C ends", within=30)
    manifest = Path(re.findall(r"manifest +(\S+)", text)[0])
    port = int(re.findall(r":(\d+)  'hello' -> my-foo-service", text)[0])
    assert await answer(port) == "my-foo-service answers: hi"
    replace_in(manifest, "name: my-foo-service", "name: my-bar-service")
    await eventually(
        lambda: answer(port), lambda line: line == "my-bar-service answers: hi", what="the edit is followed"
    )
    await demo.wait_text(f"{port}  'hello' -> my-bar-service")
    demo.send(signal.SIGINT)
    assert await demo.ended() == 0, demo.text()
    assert not await asyncio.to_thread(manifest.exists)
