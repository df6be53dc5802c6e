"""One operating system process of Envoy: starting it, recognising it later, waiting for its end.

In: a program and its arguments. Out: a ``ProcessId`` that outlives the controller and can be checked by a
later one, and ``Process``, a handle to await or end it. A started process has a session of its own, so that
Ctrl-C in the controller's terminal does not reach it, and writes to a file, because an unread pipe would
stop it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from tidegate.errors import DataPlaneError

# Changes directory and raises the limit of open files as far as the system permits (macOS says "unlimited"
# but permits less) without touching this process. The words after the script are $0, $1 and so on.
_LAUNCH = (
    'umask 077; cd -- "$0" || exit 126; '
    'ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || ulimit -S -n 10240 2>/dev/null; '
    'exec "$@"'
)
# Python ignores SIGPIPE, and a child would inherit that as well as what its parent blocks.
_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_SECONDS = 0.1


class ProcessId(msgspec.Struct, frozen=True, kw_only=True):
    """Identity of a process. ``started`` and ``boot`` tell it from a later one with the same number."""

    pid: int
    started: str
    boot: str


def identify(pid: int) -> ProcessId | None:
    """The identity of the process that has this number now; None when it has ended."""
    try:
        started, ended = _started(pid)
    except (OSError, psutil.Error):
        return None
    return None if ended else ProcessId(pid=pid, started=started, boot=_boot())


class Process:
    """A process of ours, or one that an earlier controller left. It goes on when the handle is dropped."""

    def __init__(self, identity: ProcessId) -> None:
        self.identity = identity
        self._status: int | None = None

    @property
    def pid(self) -> int:
        """The process number."""
        return self.identity.pid

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        self._reap()
        return identify(self.pid) == self.identity

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End a child of ours at once and wait for that, which takes a moment. Blocks."""
        self.send(signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    async def wait(self) -> str:
        """Wait for the end; returns in words how it ended, as far as that is known."""
        if sys.platform == "linux":
            await self._wait_by_descriptor()
        while self.alive:  # noqa: ASYNC110  # Nothing tells: there is no such descriptor here.
            await asyncio.sleep(_POLL_SECONDS)
        return self._ending()

    async def _wait_by_descriptor(self) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            # Only now is it certain that the descriptor is not that of a later process with this number.
            if self.alive:
                loop.add_reader(descriptor, ended.set)
                await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def _reap(self) -> None:
        # An adopted process is not our child; how it ended is then for its parent to know.
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)

    def _ending(self) -> str:
        if self._status is None:
            return "it ended"
        if self._status < 0:
            return f"it was ended by signal {-self._status} ({signal.Signals(-self._status).name})"
        return f"it ended with status {self._status}"


def launch(arguments: Sequence[str | Path], *, directory: Path, output: Path) -> Process:
    """Start a program in ``directory``, its output appended to ``output``. Raises DataPlaneError."""
    command = ["/bin/sh", "-c", _LAUNCH, str(directory), *(str(argument) for argument in arguments)]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        # Not subprocess: its objects end or complain about a child that is meant to outlive them.
        pid = os.posix_spawn(
            command[0], command, os.environ, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_SIGNALS
        )
    except OSError as error:
        raise DataPlaneError(f"cannot start {arguments[0]}: {error}") from error
    # Even a child that has ended already can be looked at: nobody but us waits for it.
    return Process(ProcessId(pid=pid, started=_started(pid)[0], boot=_boot()))


def _started(pid: int) -> tuple[str, bool]:
    """When a process started, in the system's own unit, and whether it has ended but was not yet waited for."""
    if sys.platform == "linux":
        # After the name, which may hold spaces and parentheses: state is the 1st field, start time the 20th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[19], fields[0] in "ZX"
    process = psutil.Process(pid)
    return str(process.create_time()), process.status() == psutil.STATUS_ZOMBIE


def _boot() -> str:
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return str(psutil.boot_time())
