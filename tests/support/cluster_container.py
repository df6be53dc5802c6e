"""A container of a test cluster's pods: a real process that has of the machine what a container would have.

It gets its pod's network, a mount and a process namespace of its own, the image's environment and not ours, the
user, groups and (no) capabilities of its security context, and a root that it cannot write to when that says so. Its
image is this machine with the virtual environment of the test run: the entry point is the installed ``tidegate``.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

import tidegate
from support.cluster_network import END_WITH_US, Sandbox
from support.waiting import eventually

TOOLS = ("ip", "mount", "nsenter", "setpriv", "unshare")
PROGRAMS = Path(sys.executable).parent
SOURCES = Path(tidegate.__file__).parents[1]
IMAGE_ENVIRONMENT = {
    "PATH": f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONPATH": str(SOURCES),
}


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A directory or file of ours at a place in the container."""

    source: Path
    path: Path
    read_only: bool


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a container runs, and as whom."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    user: int
    group: int
    groups: tuple[int, ...]
    read_only_root: bool


def why_no_pods() -> str | None:
    """The reason why this machine cannot run pods, if there is one."""
    if sys.platform != "linux":
        return "pods of a test cluster need Linux's namespaces"
    if os.geteuid() != 0:
        return "pods of a test cluster need root, for their namespaces"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"pods of a test cluster need {', '.join(missing)} (iproute2, util-linux)"
    attempt = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "none", "/mnt"]
    tried = subprocess.run(attempt, capture_output=True, text=True, check=False)
    return f"pods of a test cluster need namespaces: {tried.stderr.strip()}" if tried.returncode else None


class Container:
    """One run of a container. ``sandbox`` is None in the machine's own network; ``folder`` is for its use alone."""

    def __init__(self, spec: ContainerSpec, sandbox: Sandbox | None, folder: Path) -> None:
        self._spec = spec
        self._sandbox = sandbox
        self._folder = folder
        self.log = folder / "log"
        self._prepared = folder / "prepared"
        self._process: subprocess.Popen[bytes] | None = None
        self._first: int | None = None

    @property
    def pid(self) -> int:
        """Of the container's first process, as seen from here."""
        assert self._first is not None
        return self._first

    @property
    def running(self) -> bool:
        """Whether its first process has not ended yet."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start it; the main thread must do that, because the kernel ends it with the thread that started it."""
        self._launch()
        await eventually(self._is_prepared_or_ended, what="the container has started", within=10)

    async def run(self, command: Sequence[str]) -> int:
        """Run another command in the container, as a preStop hook is; its exit status."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--net", "--pid"]
        with self.log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *END_WITH_US,
                *enter,
                *self._as_user(command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            return await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise

    def send(self, number: signal.Signals) -> None:
        """Send its first process a signal."""
        if self.running:
            os.kill(self.pid, number)

    async def ended(self) -> int:
        """The exit status, once it has ended."""
        assert self._process is not None
        await eventually(self._has_ended, what="the container has ended", within=3600)
        return self._process.wait()

    def kill(self) -> None:
        """End all its processes at once, and wait for that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def text(self) -> str:
        """All it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def _as_user(self, command: Sequence[str]) -> list[str]:
        spec = self._spec
        environment = {**IMAGE_ENVIRONMENT, **spec.environment}
        groups = f"--groups={','.join(map(str, spec.groups))}" if spec.groups else "--clear-groups"
        return [
            *("env", "-i", *(f"{name}={value}" for name, value in environment.items())),
            *END_WITH_US,
            *(f"--reuid={spec.user}", f"--regid={spec.group}", groups),
            *("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", *command),
        ]

    def _launch(self) -> None:
        scratch = self._folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        network = ["nsenter", f"--net=/proc/{self._sandbox.pid}/ns/net"] if self._sandbox else []
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        preparations = _preparations(self._spec, scratch, self._prepared)
        script = _script([*preparations, ["exec", *self._as_user(self._spec.command)]])
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*END_WITH_US, *network, *own, "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def _is_prepared_or_ended(self) -> bool:
        assert self._process is not None
        if self._prepared.exists():
            self._first = _only_child(self._process.pid)
        return self._first is not None or not self.running

    async def _has_ended(self) -> bool:
        return not self.running


def _only_child(pid: int) -> int | None:
    """The child of a process that never has another one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(children[0]) if children else None


def _preparations(spec: ContainerSpec, scratch: Path, done: Path) -> list[list[str]]:
    """The commands that make the container's view of the files, before it becomes somebody who may not.

    They make the file ``done`` when all is in its place.
    """
    layers = sorted({*_closed_directories(), *filter(None, map(_nearest, (mount.path for mount in spec.mounts)))})
    commands = [["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(scratch)]]
    for number, directory in enumerate(layers):
        upper, work = scratch / f"upper{number}", scratch / f"work{number}"
        commands += [
            ["mkdir", "-m", "755", str(upper), str(work)],
            ["mount", "-t", "overlay", "-o", f"lowerdir={directory},upperdir={upper},workdir={work}", "overlay",
             str(directory)],
        ]  # fmt: skip
    for mount in spec.mounts:
        if mount.source.is_dir():
            commands.append(["mkdir", "-p", str(mount.path)])
        commands.append(["mount", "--bind", str(mount.source), str(mount.path)])
        if mount.read_only:
            commands.append(["mount", "-o", "remount,bind,ro", str(mount.path)])
    commands.append(["touch", str(done)])
    if spec.read_only_root:
        commands += [["mount", "-o", "remount,bind,ro", str(directory)] for directory in (*layers, Path("/"))]
    return commands


def _closed_directories() -> set[Path]:
    """The directories above the image's files that only their owner may enter: everybody may in an image."""
    files = (Path(sys.prefix), Path(sys.base_prefix), PROGRAMS.resolve(), SOURCES)
    above = {directory for path in files for directory in (path, *path.parents)}
    return {directory for directory in above if not directory.stat().st_mode & stat.S_IXOTH}


def _nearest(path: Path) -> Path | None:
    """The directory of this machine in which a mount point must be made; None when it is there."""
    if path.exists():
        return None
    nearest = next(parent for parent in path.parents if parent.exists())
    assert nearest != Path("/"), f"{path} is not played: a mount point in the root itself"
    return nearest


def _script(commands: Iterable[Sequence[str]]) -> str:
    return " && ".join(shlex.join(command) for command in commands)
