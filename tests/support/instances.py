"""`tidegate run` as a process of its own, with its data plane, for tests that use it as its users do.

``Instances`` starts them and, at the end of a test, ends whatever is left: controllers and the Envoys that
outlive them by design. What they wrote is kept for the report of a failed test.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from support.waiting import eventually
from tidegate.admin.address import UnixAddress
from tidegate.admin.client import AdminClient
from tidegate.admin.view import ListenerView, State
from tidegate.errors import InstanceError

COMMAND = Path(sys.executable).with_name("tidegate")
"""The installed command, as users call it."""

START_SECONDS = 15.0
REPORTED_CHARACTERS = 20_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """What a command that ended by itself printed, and its exit status."""

    status: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        """All it printed."""
        return self.output + self.errors


class Command:
    """A command that runs until it is told to end; what it prints goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        """Of the command itself."""
        return self.process.pid

    def text(self) -> str:
        """All it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    async def wait_text(self, expected: str, *, within: float = 5.0) -> str:
        """All it has printed, once that holds a text."""

        async def text() -> str:
            return self.text()

        return await eventually(text, lambda shown: expected in shown, what=f"it prints {expected!r}", within=within)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def ended(self, *, within: float = 20.0) -> int:
        """The exit status, once it has ended."""
        return await asyncio.to_thread(self.process.wait, within)

    async def kill(self) -> None:
        """End it in the hard way; the Envoy of an instance stays."""
        self.process.kill()
        await self.ended()


class Instance(Command):
    """One `tidegate run`. Another one with the same ``state_dir`` is its successor."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, state_dir: Path) -> None:
        super().__init__(process, log)
        self.state_dir = state_dir
        self._client = AdminClient(UnixAddress(str(state_dir / "admin.sock")))

    async def state(self) -> State | None:
        """What it says of itself; None while it does not answer. Fails the test when it has ended."""
        try:
            state = await asyncio.to_thread(self._client.state)
        except InstanceError:
            status = self.process.poll()
            assert status is None, f"tidegate ended with {status}:\n{self.text()[-REPORTED_CHARACTERS:]}"
            return None
        return state if state.instance.pid == self.pid else None

    async def get(self, path: str) -> str:
        """A page of its admin API."""
        return (await asyncio.to_thread(self._client.get, path)).decode()

    async def wait(self, holds: Callable[[State], bool], *, what: str, within: float = 5.0) -> State:
        """The first state that ``holds``, within so many seconds."""
        state = await eventually(self.state, lambda state: state is not None and holds(state), what=what, within=within)
        assert state is not None
        return state

    async def wait_ready(self, *, within: float = START_SECONDS) -> State:
        """The state once the first configuration is applied."""
        return await self.wait(lambda state: state.instance.ready, what="the instance is ready", within=within)

    async def listener(self, name: str) -> ListenerView | None:
        """One listener, by its name, of the state now."""
        state = await self.state()
        return next((entry for entry in state.listeners if entry.listener == name), None) if state else None

    async def wait_listener(self, name: str, state: str, *, within: float = 5.0) -> ListenerView:
        """A listener once it is in a state: Live, Pending, Failed or Rejected."""
        found = await eventually(
            lambda: self.listener(name),
            lambda entry: entry is not None and entry.state == state,
            what=f"listener {name} is {state}",
            within=within,
        )
        assert found is not None
        return found

    async def object(self, kind: str, name: str) -> dict[str, Any]:
        """An API object with its status, as the instance shows it now."""
        state = await self.state()
        assert state is not None
        return find_object(state, kind, name)

    def envoys(self) -> list[psutil.Process]:
        """The Envoys that work from this instance's directory, those of earlier controllers included."""
        return envoys_in(self.state_dir)


class Instances:
    """Starts commands for one test and leaves nothing behind."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="tg", dir="/tmp"))  # Socket paths must be short.
        self._commands: list[Command] = []

    def start(
        self,
        *arguments: str | Path,
        state_dir: Path | None = None,
        under: str = ":",
    ) -> Instance:
        """Start `tidegate run` with these arguments. The same ``state_dir`` makes it a successor.

        ``under`` is a shell command that comes before it, such as one that lowers limits.
        """
        directory = state_dir or self._home / f"s{len(self._commands)}"
        process, log = self._launch("run", *arguments, "--state-dir", directory, under=under)
        instance = Instance(process, log, directory)
        self._commands.append(instance)
        return instance

    def launch(self, *arguments: str | Path) -> Command:
        """Start another command of tidegate that runs until it is told to end."""
        command = Command(*self._launch(*arguments, under=":"))
        self._commands.append(command)
        return command

    def _launch(self, *arguments: str | Path, under: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = self._home / f"command{len(self._commands)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", f'{under}; exec "$@"', "sh", COMMAND, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment(),
                start_new_session=True,
            )
        return process, log

    async def run(self, *arguments: str | Path, within: float = 30.0, stdin: bytes = b"") -> Finished:
        """Run another command of tidegate to its end."""
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *map(str, arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(),
        )
        try:
            async with asyncio.timeout(within):
                output, errors = await process.communicate(stdin)
        except TimeoutError:
            process.kill()
            await process.communicate()
            raise
        assert process.returncode is not None
        return Finished(status=process.returncode, output=output.decode(), errors=errors.decode())

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of the commands: what they leave in default places lies in the test's own one."""
        home = str(self._home)
        ours = {"XDG_RUNTIME_DIR": home, "TMPDIR": home, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
        return {**os.environ, **ours, **(more or {})}

    def report(self) -> list[tuple[str, str]]:
        """What the instances and their Envoys wrote, newest part, under titles."""
        logs = [(f"tidegate, {entry.log.name}", entry.log) for entry in self._commands]
        logs += [(f"Envoy, {path.relative_to(self._home)}", path) for path in sorted(self._home.rglob("envoy.log"))]
        logs += [("internal error", path) for path in self.internal_errors()]
        return [
            (title, path.read_text(encoding="utf-8", errors="replace")[-REPORTED_CHARACTERS:])
            for title, path in logs
            if path.exists()
        ]

    def internal_errors(self) -> list[Path]:
        """The logs that show a traceback, and the reports that a command writes of a bug: there should be none."""
        logs = [entry.log for entry in self._commands if "Traceback (most recent" in entry.text()]
        return [*logs, *sorted(self._home.glob("tidegate-error-*"))]

    def close(self) -> None:
        """End everything that was started, and remove what it left."""
        for command in self._commands:
            if command.process.poll() is None:
                command.process.kill()
            command.process.wait(10)
        end_processes(envoys_in(self._home))
        shutil.rmtree(self._home)


def envoys_in(directory: Path) -> list[psutil.Process]:
    """The Envoy processes that work in a directory or were started with paths in it."""
    return [process for process in psutil.process_iter() if _is_envoy_in(process, directory)]


def _is_envoy_in(process: psutil.Process, directory: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or "envoy" not in process.name():
            return False
        return str(directory) in " ".join([process.cwd(), *process.cmdline()])
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False


def end_processes(processes: Iterable[psutil.Process]) -> None:
    """Kill processes and wait until they run no more; that init reaps them may take longer."""
    killed = list(processes)
    for process in killed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + 10
    while any(_runs(process) for process in killed):
        assert time.monotonic() < deadline, f"still running after SIGKILL: {killed}"
        time.sleep(0.005)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def find_object(state: State, kind: str, name: str) -> dict[str, Any]:
    """An object of a state."""
    for entry in state.objects:
        if entry["kind"] == kind and entry["metadata"]["name"] == name:
            return entry
    raise AssertionError(f"no {kind} {name} among {[(o['kind'], o['metadata']['name']) for o in state.objects]}")


def condition(conditions: Iterable[Mapping[str, Any]], kind: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    for entry in conditions:
        if entry["type"] == kind:
            return entry["status"], entry["reason"]
    raise AssertionError(f"no condition {kind}")
