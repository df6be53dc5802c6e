"""Generations of Envoy: each is one process with a directory of its own, which a later controller can find.

In: a base directory, a program, a bootstrap. Out: ``Generation`` objects, started now or left by an earlier
controller. The directory ``gen-N`` holds everything of one process: its bootstrap, its sockets (admin, xDS,
refusing listener) and a record of who it is. Two generations can serve side by side, since they
listen with SO_REUSEPORT; which of them serves when is for ``plane`` to decide.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tidegate.dataplanes.envoy import bootstrap, naming
from tidegate.dataplanes.envoy.admin_client import AdminClient
from tidegate.dataplanes.envoy.binary import Binary
from tidegate.dataplanes.envoy.occupancy import active_connections
from tidegate.dataplanes.envoy.process import Process, ProcessId, launch
from tidegate.errors import DataPlaneError
from tidegate.telemetry.logs import logger

LONGEST_SOCKET_PATH = 100
"""Paths of Unix domain sockets must stay below some 104 bytes on every system."""

LOG_FILE = "envoy.log"
"""Envoy's own log, in the base directory: one for all generations, so that it outlives a crash."""

_BOOTSTRAP_FILE = "bootstrap.pb"
_RECORD_FILE = "generation.json"
_LONGEST_NAME = "gen-99999/refuse.sock"
_TERMINATION_SECONDS = 5.0

_log = logger("envoy")


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What an Envoy is started from. Generations with equal digests are interchangeable."""

    binary: Binary
    bootstrap: bytes
    arguments: tuple[str, ...]

    @property
    def digest(self) -> str:
        """A hash of the program and of everything it is started with."""
        parts = (self.binary.digest.encode(), self.bootstrap, *(argument.encode() for argument in self.arguments))
        return hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in parts)).hexdigest()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a generation for a later controller. ``draining``: it accepts nothing any more."""

    process: ProcessId
    digest: str
    draining: bool = False


class Generation:
    """One Envoy process and its directory."""

    def __init__(self, number: int, directory: Path, record: Record, process: Process) -> None:
        self.number = number
        self.directory = directory
        self.process = process
        self.admin = AdminClient(directory / bootstrap.ADMIN_SOCKET)
        self._record = record

    @property
    def name(self) -> str:
        """What tells this generation from every other one of this directory, dead ones included."""
        return f"{self.number}-{self.process.identity.started}"

    @property
    def digest(self) -> str:
        """The digest of the recipe it was started from."""
        return self._record.digest

    @property
    def draining(self) -> bool:
        """Whether it was told to accept nothing any more."""
        return self._record.draining

    @property
    def control_socket(self) -> Path:
        """Where it asks for its configuration."""
        return self.directory / bootstrap.CONTROL_SOCKET

    @property
    def has_begun(self) -> bool:
        """Whether it got as far as to open its admin interface, which it does before it serves anything."""
        return self.admin.socket.exists()

    async def drain(self) -> None:
        """Stop accepting connections, for good; those open go on. Raises DataPlaneError."""
        await self.admin.post("/drain_listeners")
        self._record = msgspec.structs.replace(self._record, draining=True)
        try:
            _write_record(self.directory, self._record)
        except DataPlaneError as error:
            # It drains all the same; only a later controller would have to tell it again.
            _log.warning("draining of envoy not written down", pid=self.process.pid, reason=str(error))

    async def active_connections(self) -> int:
        """How many client connections are open. Raises DataPlaneError."""
        return await active_connections(self.admin)

    async def reopen_logs(self) -> None:
        """Have the access log opened anew, after its file was renamed. Raises DataPlaneError."""
        await self.admin.post("/reopen_logs")

    async def listener_names(self) -> set[str]:
        """The names of the sockets that it serves. Raises DataPlaneError."""
        body = await self.admin.get("/listeners?format=json")
        listing = msgspec.json.decode(body, type=_Listeners)
        return {one.name for one in listing.listener_statuses} - {naming.REFUSING_LISTENER}

    async def end(self) -> None:
        """End the process, open connections included, and remove its directory."""
        self.process.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(_TERMINATION_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.send(signal.SIGKILL)
            await self.process.wait()
        await self.discard()

    async def discard(self) -> None:
        """Remove the directory of an ended process."""
        await self.admin.close()
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)


class _ListenerStatus(msgspec.Struct):
    name: str


class _Listeners(msgspec.Struct):
    listener_statuses: list[_ListenerStatus] = []


def check_directory(base: Path) -> None:
    """Make the base directory. Raises DataPlaneError when sockets cannot live there."""
    length = len(str(base / _LONGEST_NAME).encode())
    if length >= LONGEST_SOCKET_PATH:
        excess = length - LONGEST_SOCKET_PATH + 1
        raise DataPlaneError(f"the path of {base} is {excess} bytes too long for sockets; choose a shorter directory")
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        base.chmod(0o700)
    except OSError as error:
        raise DataPlaneError(f"cannot use the directory {base}: {error}") from error


def start(base: Path, recipe: Recipe) -> Generation:
    """Start an Envoy in a new directory under ``base``. It serves when it gets a configuration.

    Raises DataPlaneError.
    """
    check_directory(base)  # Somebody may have removed it meanwhile.
    number = max((number for number, _ in _directories(base)), default=0) + 1
    directory = base / f"gen-{number}"
    try:
        return _start(number, directory, recipe)
    except DataPlaneError:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _start(number: int, directory: Path, recipe: Recipe) -> Generation:
    try:
        directory.mkdir(mode=0o700)
        (directory / _BOOTSTRAP_FILE).write_bytes(recipe.bootstrap)
    except OSError as error:
        raise DataPlaneError(f"cannot prepare {directory}: {error}") from error
    command: Sequence[str | Path] = (recipe.binary.path, "-c", _BOOTSTRAP_FILE, *recipe.arguments)
    process = launch(command, directory=directory, output=directory.parent / LOG_FILE)
    record = Record(process=process.identity, digest=recipe.digest)
    try:
        _write_record(directory, record)
    except DataPlaneError:
        # No later controller could find it.
        process.kill()
        raise
    return Generation(number, directory, record, process)


def survivors(base: Path) -> list[Generation]:
    """The generations under ``base`` whose process still runs, oldest first; removes what dead ones left.

    Raises DataPlaneError when the directory cannot be read.
    """
    found = []
    for number, directory in sorted(_directories(base)):
        try:
            record = msgspec.json.decode((directory / _RECORD_FILE).read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError):
            record = None
        process = Process(record.process) if record is not None else None
        if record is not None and process is not None and process.alive:
            found.append(Generation(number, directory, record, process))
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return found


def _directories(base: Path) -> list[tuple[int, Path]]:
    try:
        paths = list(base.iterdir())
    except OSError as error:
        raise DataPlaneError(f"cannot read the directory {base}: {error}") from error
    found = ((re.fullmatch(r"gen-(\d+)", path.name), path) for path in paths)
    return [(int(match[1]), path) for match, path in found if match is not None]


def _write_record(directory: Path, record: Record) -> None:
    path = directory / _RECORD_FILE
    draft = path.with_suffix(".new")
    try:
        draft.write_bytes(msgspec.json.encode(record))
        draft.replace(path)
    except OSError as error:
        raise DataPlaneError(f"cannot write {path}: {error}") from error
