"""`tidegate run` on a terminal: the live view, its end, and when it is not shown."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

from support.backends import Backend
from support.clients import connection
from support.instances import COMMAND, Instances
from support.manifests import Manifest, backend, gateway, listener, parent, replace_in, tcproute, write
from support.ports import Ports
from support.waiting import eventually

REDRAWN = re.compile(r"\x1b\[(2K|1A)")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLUMNS, LINES = 80, 24


class Terminal:
    """A command on a terminal of 80 columns; ``text`` is all it has drawn so far, without colours."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self._screen = screen
        self._drawn = b""

    async def text(self) -> str:
        """All that was drawn."""
        with contextlib.suppress(BlockingIOError, OSError):  # OSError: the command has ended.
            while chunk := os.read(self._screen, 65536):
                self._drawn += chunk
        text = REDRAWN.sub("\n", self._drawn.decode(errors="replace"))
        return ESCAPES.sub("", text).replace("\r", "")

    async def wait(self, expected: str, *, within: float = 15.0) -> str:
        """What was drawn, once it holds a text."""
        return await eventually(self.text, lambda text: expected in text, what=f"{expected!r} is shown", within=within)


@contextlib.contextmanager
def on_terminal(tidegate: Instances, *arguments: str | Path) -> Iterator[Terminal]:
    """Run a command on a terminal while the block lasts."""
    screen, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = tidegate.environment({"TERM": "xterm"})
    del environment["COLUMNS"]
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=environment,
        start_new_session=True,
    )
    os.close(inside)
    os.set_blocking(screen, False)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait(10)
        os.close(screen)


def documents(port: int) -> list[Manifest]:
    """The guide's names: one listener and a route."""
    return [
        gateway("my-tcp-gateway", [listener("foo", port)]),
        tcproute("tcp-app-1", [parent("my-tcp-gateway", sectionName="foo")], [backend("my-foo-service")]),
    ]


async def test_live_view_follows_what_happens(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Listeners, routes, backends and connections are shown in full at 80 columns, and change with the input."""
    port, path = ports.reserve(), tmp_path / "gateway.yaml"
    write(path, *documents(port))
    async with Backend("one") as one:
        flags = ["--backend", f"my-foo-service:6000={one.address}", "--drain-time", "1s"]
        with on_terminal(tidegate, "run", path, *flags) as terminal:
            text = await terminal.wait("1/1 my-foo-service:6000")
            row = next(line for line in text.splitlines() if line.startswith("my-tcp-gateway/foo"))
            assert row.split()[:4] == ["my-tcp-gateway/foo", f"{port}/TCP", "Live", "tcp-app-1"]
            assert max(map(len, text.splitlines())) <= COLUMNS
            async with connection(port) as conversation:
                assert await conversation.line() == "one"
                await terminal.wait("1 connections")
            replace_in(path, "name: my-foo-service", "name: nobody")
            await terminal.wait("! listener my-tcp-gateway/foo: connections to nobody:6000 are refused")
            terminal.process.send_signal(signal.SIGINT)
            await terminal.wait("stopping")
            assert terminal.process.wait(10) == 0


async def test_second_ctrl_c_does_not_wait(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """The first one lets connections end, the second one does not; the status says that it was cut short."""
    port, path = ports.reserve(), tmp_path / "gateway.yaml"
    write(path, *documents(port))
    async with Backend("one") as one:
        flags = ["--backend", f"my-foo-service:6000={one.address}", "--drain-time", "1h"]
        with on_terminal(tidegate, "run", path, *flags) as terminal:
            await terminal.wait("1/1 my-foo-service:6000")
            async with connection(port) as conversation:
                assert await conversation.line() == "one"
                terminal.process.send_signal(signal.SIGINT)
                await terminal.wait("stopping")
                terminal.process.send_signal(signal.SIGINT)
                assert terminal.process.wait(10) == 130


async def test_logs_instead_of_the_view_on_request(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """With --log-format a terminal gets lines too."""
    path = tmp_path / "gateway.yaml"
    write(path, *documents(ports.reserve()))
    with on_terminal(tidegate, "run", path, "--log-format", "json", "--drain-time", "0") as terminal:
        text = await terminal.wait('"started"')
        assert "LISTENER" not in text
        assert all(json.loads(line)["level"] for line in text.splitlines())


async def test_without_a_terminal_there_are_logs(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Each line is an event with its time; what is wrong is a warning with object and reason."""
    path = tmp_path / "gateway.yaml"
    write(path, *documents(ports.reserve()))
    instance = tidegate.start(path, "--log-format", "json")
    await instance.wait_text("BackendNotFound", within=15)
    events = [json.loads(line) for line in instance.text().splitlines()]
    assert all({"timestamp", "level", "event"} <= set(event) for event in events)
    assert [event["object"] for event in events if event["level"] == "warning"] == ["TCPRoute default/tcp-app-1"]


async def test_failures_leave_the_terminal_as_it_was(tidegate: Instances, tmp_path: Path) -> None:
    """A command that cannot start says one sentence, and the cursor is back."""
    with on_terminal(tidegate, "run", tmp_path / "missing.yaml") as terminal:
        assert terminal.process.wait(10) == 2
        text = await terminal.wait("tidegate: ")
        assert "missing.yaml" in text
        assert terminal._drawn.rfind(b"\x1b[?25h") > terminal._drawn.rfind(b"\x1b[?25l")
