"""The instance directory: one private directory per running instance, and how commands find it.

Comes in: ``--name``, ``--state-dir``, ``--admin``. Goes out: to ``run``, a locked directory of its own;
to ``status`` and ``get``, the address of a running instance. In the directory lie a lock, a record
of who runs (``instance.json``), the admin socket, and what other parts keep there under names of their
own. The lock belongs to a process and goes with it, so a killed instance leaves nothing to clean up;
the record of one is ignored, because nobody holds the lock.

The directory belongs to the user and is closed to all others: whoever can write there could replace the
socket that carries the configuration.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tidegate.admin.address import AdminAddress, UnixAddress, parse_admin_address, unix_address
from tidegate.errors import InstanceError, SettingsError

LOCK_FILE = "lock"
RECORD_FILE = "instance.json"
ADMIN_SOCKET = "admin.sock"
DEFAULT_NAME = "default"

_LOCK_SECONDS = 0.3
_LONGEST_SECONDS = 10 * 365 * 86400.0
"""What dates have room for; a drain time may be longer."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs in a directory, and where it answers.

    ``drains_until``: it answers no more, and ends once its connections have, at that moment at the latest.
    """

    name: str
    pid: int
    started_at: dt.datetime
    admin: AdminAddress
    drains_until: dt.datetime | None = None


class InstanceDirectory:
    """The directory of the instance that runs in this process, locked until ``claim`` ends."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path

    def socket_path(self, name: str) -> str:
        """The path for a Unix domain socket in here. Raises SettingsError when it is too long."""
        return unix_address(self.path / name).path

    def admin_address(self, wanted: AdminAddress | None) -> AdminAddress:
        """The address of the admin API: ``wanted``, or a socket in here."""
        return UnixAddress(self.socket_path(ADMIN_SOCKET)) if wanted is None else wanted

    def announce(self, admin: AdminAddress) -> None:
        """Let other commands find this instance at ``admin``."""
        self._record = Record(name=self.name, pid=os.getpid(), started_at=dt.datetime.now(dt.UTC), admin=admin)
        self._write_record()

    def announce_drain(self, seconds: float) -> None:
        """Let other commands know, after ``announce``, that this instance drains for so long at most."""
        until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=min(seconds, _LONGEST_SECONDS))
        self._record = msgspec.structs.replace(self._record, drains_until=until)
        self._write_record()

    def _write_record(self) -> None:
        write_atomically(self.path / RECORD_FILE, msgspec.json.encode(self._record))


@contextlib.contextmanager
def claim(name: str, state_dir: Path | None = None) -> Iterator[InstanceDirectory]:
    """The directory of an instance, created and locked while the block lasts.

    Raises SettingsError when the directory is not safe to use, InstanceError when another process runs
    as this instance.
    """
    path = base_directory(create=True) / name if state_dir is None else state_dir.expanduser().absolute()
    _make_private(path)
    directory = InstanceDirectory(name, path)
    directory.socket_path(ADMIN_SOCKET)
    with _lock(path, name):
        try:
            yield directory
        finally:
            (path / RECORD_FILE).unlink(missing_ok=True)


def locate(*, name: str | None = None, state_dir: Path | None = None, admin: str | None = None) -> AdminAddress:
    """Where the instance answers that a command is about.

    ``admin`` is taken as it is. Without a name it is the one named ``default``, or the only one that runs.
    Raises InstanceError when there is none, and says which ones there are, or when it drains.
    """
    if admin is not None:
        return parse_admin_address(admin)
    if state_dir is not None:
        record = _running_in(state_dir.expanduser().absolute())
        if record is None:
            raise InstanceError(
                f"no instance is running in {state_dir}: start one with 'tidegate run PATH --state-dir {state_dir}'"
            )
        return _answering(record)
    running = {record.name: record for record in running_instances()}
    wanted = name or (DEFAULT_NAME if DEFAULT_NAME in running or len(running) != 1 else next(iter(running)))
    if wanted not in running:
        raise InstanceError(_not_running(name, sorted(running)))
    return _answering(running[wanted])


def running_instances() -> list[Record]:
    """The instances of this user in the default place, sorted by name."""
    base = base_directory(create=False)
    if not base.is_dir():
        return []
    found = (_running_in(path) for path in base.iterdir() if path.is_dir())
    return sorted((record for record in found if record is not None), key=lambda record: record.name)


def base_directory(*, create: bool) -> Path:
    """Where the instance directories of this user lie by default.

    Raises SettingsError when the place in the temporary directory belongs to somebody else.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _is_ours(Path(runtime)):
        base = Path(runtime) / "tidegate"
    else:
        base = Path(tempfile.gettempdir()) / f"tidegate-{os.getuid()}"
    if create or base.is_symlink() or base.exists():
        _make_private(base, follow=False)
    return base


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that no reader ever sees half of it. Readable by the owner only."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        new.write(content)
    Path(new.name).replace(path)


def _answering(record: Record) -> AdminAddress:
    if record.drains_until is not None:
        raise InstanceError(
            f"instance {record.name} is draining: it takes no new connections, and ends once those that are open have "
            f"ended, {_at_the_latest(record.drains_until)} (process {record.pid})"
        )
    return record.admin


def _at_the_latest(moment: dt.datetime) -> str:
    here = moment.astimezone()
    day = "" if here.date() == dt.datetime.now().astimezone().date() else f" on {here:%Y-%m-%d}"
    return f"at {here:%H:%M:%S}{day} at the latest"


def _not_running(name: str | None, running: list[str]) -> str:
    start = f"tidegate run PATH --name {name}" if name and name != DEFAULT_NAME else "tidegate run PATH"
    if name is None and len(running) > 1:
        return f"several instances are running ({', '.join(running)}): choose one with --name"
    what = f"no instance named {name} is running" if name else "no instance is running"
    others = f"; running: {', '.join(running)}" if running else ""
    return f"{what}{others}. Start one with '{start}'"


def _running_in(path: Path) -> Record | None:
    """The record of the instance that holds the lock of a directory; None when nobody does."""
    try:
        with (path / LOCK_FILE).open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read_record(path)
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise InstanceError(f"{path} belongs to another user") from error


def _read_record(path: Path) -> Record | None:
    """None while the instance is still starting, or runs another version."""
    try:
        return msgspec.json.decode((path / RECORD_FILE).read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


@contextlib.contextmanager
def _lock(path: Path, name: str) -> Iterator[None]:
    descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _try_lock(descriptor):
            # Who looks for instances holds the lock for an instant.
            if time.monotonic() > deadline:
                raise InstanceError(_in_the_way(path, name))
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_the_way(path: Path, name: str) -> str:
    record = _read_record(path)
    if record is not None and record.drains_until is not None:
        return (
            f"an instance named {name} is still draining in {path} (process {record.pid}): it ends "
            f"{_at_the_latest(record.drains_until)}; wait for that, or choose another name with --name"
        )
    who = f" (process {record.pid}, since {record.started_at.astimezone():%H:%M:%S})" if record else ""
    return f"an instance named {name} is already running{who} in {path}: stop it, or choose another name with --name"


def _make_private(path: Path, *, follow: bool = True) -> None:
    """Create a directory, or check one, that belongs to us and is closed to all others."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat() if follow else path.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not any(path.iterdir()):
            path.chmod(0o700)
            return
    except OSError as error:
        raise SettingsError(
            f"the directory {path} cannot be used: {error.strerror or error}; choose another with --state-dir"
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise SettingsError(f"{path} is not a directory; choose another with --state-dir")
    if found.st_uid != os.getuid():
        raise SettingsError(f"the directory {path} belongs to another user; choose another with --state-dir")
    if found.st_mode & 0o077:
        raise SettingsError(
            f"the directory {path} is open to other users: choose another with --state-dir, "
            f"or close this one with 'chmod 700 {path}' if nothing else uses it"
        )


def _is_ours(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
