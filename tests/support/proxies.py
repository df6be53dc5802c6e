"""Proxies as their Pods run them: real Envoys, started by ``tidegate proxy`` with the files of a ``ProxyContainer``.

A test plays the kubelet: it makes the directories, mounts files and certificates, starts the command, runs the
command that drains before it ends the container, and asks whether the container is ready.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.cluster import Daemon
from support.instances import COMMAND, Finished
from support.waiting import eventually
from tidegate.dataplanes.envoy.admin_client import AdminClient
from tidegate.dataplanes.envoy.bootstrap import ADMIN_SOCKET
from tidegate.dataplanes.envoy.pod import Directories
from tidegate.errors import DataPlaneError
from tidegate.fleet.pki import KeyPair
from tidegate.plan.infrastructure import ProxyContainer

_ASK_SECONDS = 2.0


def directories(base: Path) -> Directories:
    """Where the container's things lie, under a directory whose path is short enough for sockets."""
    return Directories(configuration=str(base / "conf"), certificates=str(base / "certs"), run=str(base / "run"))


class ProxyPod:
    """The Pod of one proxy: ``name`` and ``address`` are what the cluster would have given it."""

    def __init__(self, container: ProxyContainer, *, name: str, address: str) -> None:
        self.container = container
        self.name = name
        self.address = address
        self._versions = itertools.count(1)
        self._certificates = Path(container.certificates_directory)
        configuration = Path(container.configuration_directory)
        for directory in (configuration, self._certificates):
            directory.mkdir(parents=True, exist_ok=True)
        for file, text in container.files.items():
            (configuration / file).write_text(text)
        words = {"$(POD_NAME)": name, "$(POD_IPS)": address}
        arguments = [words.get(argument, argument) for argument in container.arguments]
        self.process = Daemon(COMMAND, arguments, configuration.parent / "container.log")
        self.admin = AdminClient(Path(container.run_directory) / ADMIN_SOCKET)

    def mount(self, pair: KeyPair, authorities: bytes) -> None:
        """Put certificates where the container expects them, or others in their place, as the kubelet does.

        The files are links into a directory that is a link too, and that link is replaced.
        """
        files = {"tls.crt": pair.certificate, "tls.key": pair.key.pem, "ca.crt": authorities}
        version = self._certificates / f"..v{next(self._versions)}"
        version.mkdir()
        for name, content in files.items():
            (version / name).write_bytes(content)
        draft = self._certificates / "..data_tmp"
        draft.symlink_to(version.name)
        draft.rename(self._certificates / "..data")
        for name in files:
            link = self._certificates / name
            if not link.is_symlink():
                link.symlink_to(Path("..data") / name)

    def start(self) -> None:
        """Start the container."""
        self.process.start()

    async def stop(self) -> None:
        """End the container at once."""
        await self.admin.close()
        await asyncio.to_thread(self.process.kill)

    @asynccontextmanager
    async def draining(self, *, time: str) -> AsyncIterator[asyncio.Task[Finished]]:
        """What is run before the container is told to end, while the block is; in ``time`` instead of the Gateway's."""
        arguments = list(self.container.drain_arguments)
        arguments[arguments.index("--time") + 1] = time
        async with asyncio.TaskGroup() as tasks:
            yield tasks.create_task(asyncio.to_thread(_run, arguments))

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the status port; 0 while nothing answers."""
        return await asyncio.to_thread(_get, f"http://127.0.0.1:{self.container.status_port}{path}")

    async def stats(self) -> str:
        """All its statistics; empty while it does not answer."""
        try:
            return (await self.admin.get("/stats")).decode()
        except DataPlaneError:
            return ""

    async def is_ready(self) -> bool:
        """What the readiness probe says."""
        status, _ = await self.get("/ready")
        return status == 200

    async def is_connected(self) -> bool:
        """Whether it has a stream to its control plane."""
        return "control_plane.connected_state: 1" in await self.stats()

    async def until_connected(self, *, within: float = 15.0) -> None:
        """Wait until it has a stream to its control plane."""
        await eventually(self.is_connected, what=f"proxy {self.name} is connected", within=within, every=0.05)

    async def until_ready(self, *, within: float = 15.0) -> None:
        """Wait until the readiness probe succeeds."""
        try:
            await eventually(self.is_ready, what=f"proxy {self.name} is ready", within=within, every=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.process.text()[-2000:]}") from error


def _run(arguments: list[str]) -> Finished:
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    return Finished(status=done.returncode, output=done.stdout, errors=done.stderr)


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=_ASK_SECONDS) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""
