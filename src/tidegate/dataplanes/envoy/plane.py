"""The data plane that forwards with Envoy: ties plan, resources, processes and outcomes together.

In: changes of the plan. Out: outcomes and counters. One event loop owns everything here; what decides is in
pure modules (``catalog``, ``ads``, ``settlement``), what acts is in others (``supervisor``, ``portwatch``).
This module only passes values between them::

    apply ──▶ catalog ──changed names──▶ session (ads) ──responses──▶ Envoy
                │                            │
            portwatch ──holders──▶ settlement ◀──confirmations
                                        └──outcomes──▶ reports
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

from google.protobuf.message import Message

from tidegate.dataplanes.envoy import binary, bootstrap, envoylog, generations, naming
from tidegate.dataplanes.envoy.accesslog import access_log
from tidegate.dataplanes.envoy.ads import Confirmation
from tidegate.dataplanes.envoy.catalog import Catalog, Changed
from tidegate.dataplanes.envoy.features import FEATURES
from tidegate.dataplanes.envoy.generations import Generation
from tidegate.dataplanes.envoy.logtail import LogTail, Position, Rotation
from tidegate.dataplanes.envoy.meter import TrafficMeter
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.dataplanes.envoy.resources import Kind
from tidegate.dataplanes.envoy.session import Session
from tidegate.dataplanes.envoy.settlement import Settlement
from tidegate.dataplanes.envoy.stats import counting_loggers
from tidegate.dataplanes.envoy.supervisor import Supervisor
from tidegate.dataplanes.envoy.translate import TranslateOptions
from tidegate.dataplanes.hostaddresses import host_addresses, wildcard_address
from tidegate.dataplanes.portwatch import PortWatch
from tidegate.dataplanes.reports import ReportStream
from tidegate.dataplanes.retries import BindRetries
from tidegate.errors import DataPlaneError
from tidegate.names import ListenerKey, ObjectKey, SocketKey
from tidegate.plan.features import Features
from tidegate.plan.outcome import AddressReport, Pending, Report, SocketReport, Traffic
from tidegate.plan.types import PlanChange
from tidegate.telemetry.logs import logger

_log = logger("envoy")

_RETRY_SECONDS = 0.5
TRAFFIC_FILE = "traffic.json"
"""The counters of all Envoys that ever ran in a plane's directory."""

_FILES = 16_384
"""Below this limit of open files people are told: a connection takes two of them."""
_OWN_FILES = 100
_ADDRESS_SECONDS = 5.0


class EnvoyDataPlane:
    """Forwards with an Envoy of its own; implements ``DataPlane``.

    ``directory`` belongs to this plane alone, is made with mode 0700, and must have a short path, because
    sockets live there. An Envoy left there by ``close(drain=None)``, or by a controller that was killed, is
    adopted by the next ``start`` with the same program and options. ``envoy`` is the program, None for the
    packaged one. ``start`` and ``close`` must be called from the same task, which owns the plane's tasks.
    """

    def __init__(self, *, directory: Path, envoy: Path | None, options: EnvoyOptions) -> None:
        self._directory = directory
        self._envoy = envoy
        self._options = options
        self._catalog = Catalog(TranslateOptions(wildcard=wildcard_address()), self._loggers)
        self._settlement = Settlement(self._catalog)
        self._reports = ReportStream()
        self._pending: set[SocketKey] = set()
        self._scopes: set[str] = set()
        self._addresses: tuple[str, ...] = ()
        self._session: Session | None = None
        self._adopted: set[str] = set()
        self._applied = False
        self._supervisor: Supervisor | None = None
        self._ports = PortWatch(self._own_pids, self._ports_checked, steady=self._steady)
        self._meter = TrafficMeter(
            directory / TRAFFIC_FILE,
            generations=self._generations,
            owners=self._catalog.series,
            former_owners=self._catalog.former_series,
        )
        self._stack = AsyncExitStack()
        self._notes: tuple[str, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def features(self) -> Features:
        """TCP listeners."""
        return FEATURES

    async def start(self) -> None:
        """Adopt or start Envoy. Raises DataPlaneError when it can never work here."""
        await asyncio.to_thread(generations.check_directory, self._directory)
        program = await asyncio.to_thread(binary.find, self._envoy)
        recipe = generations.Recipe(
            binary=program,
            bootstrap=bootstrap.bootstrap(bootstrap.BootstrapOptions()),
            arguments=self._options.arguments(),
        )
        supervisor = Supervisor(self._directory, recipe, converse=self._converse, watcher=self)
        self._addresses = await asyncio.to_thread(host_addresses)
        self._note_limits()
        logs = self._log_tails()
        self._adopted = await supervisor.begin()
        self._supervisor = supervisor
        await self._meter.load()
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        jobs: dict[str, Coroutine[None, None, None]] = {
            "supervise": supervisor.run(),
            "retire": supervisor.retire(),
            "count": self._meter.run(),
            "ports": self._ports.run(),
            "retry": self._retry(),
            "addresses": self._watch_addresses(),
        }
        jobs |= {f"follow log {number}": _follow(tail) for number, tail in enumerate(logs)}
        self._tasks = [group.create_task(job, name=f"envoy plane {name}") for name, job in jobs.items()]

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know about this plane on this machine; known after ``start``."""
        return self._notes

    def apply(self, change: PlanChange) -> None:
        """Take a change and return at once."""
        if any(isinstance(key, SocketKey) for key in change):
            self._meter.look_soon()
        known = self._catalog.sockets()
        new = [
            key for key, value in change.items()
            if isinstance(key, SocketKey) and value is not None and key not in known
        ]  # fmt: skip
        gone = [key for key, value in change.items() if isinstance(key, SocketKey) and value is None]
        # What an adopted Envoy serves already is not taken from it while its port is looked at.
        self._catalog.withhold(key for key in new if naming.socket_name(key) not in self._adopted)
        self._send(self._catalog.apply(change))
        for key in gone:
            self._settlement.forget(key)
            self._ports.remove(key)
        if new or not self._applied:
            self._ports.add(new)
        self._applied = True
        self._publish(self._touched(change))
        self._report_addresses({key.scope for key in new} - self._scopes)

    def outcomes(self) -> AsyncIterator[Sequence[Report]]:
        """What became of what was applied, until ``close``."""
        return self._reports.batches()

    async def traffic(self) -> Sequence[Traffic]:
        """The counters now."""
        return await self._meter.traffic()

    async def close(self, *, drain: float | None) -> None:
        """Stop accepting and let connections end for up to ``drain`` seconds; None: leave all serving."""
        for task in self._tasks:
            task.cancel()
        try:
            await self._stack.aclose()
        except BaseException:
            if self._supervisor is not None and drain is not None:
                await self._supervisor.kill()
            raise
        if self._supervisor is not None:
            if drain is None:
                for one in self._generations():
                    await self._meter.last_look(one)
            await self._supervisor.end(drain=drain)
            await self._meter.save()
        self._reports.close()

    def _loggers(self, prefix: str, listener: ListenerKey, route: ObjectKey | None) -> list[Message]:
        options = self._options.access_log
        lines = access_log(options, listener=str(listener), route=route.path if route else "") if options else []
        return [*counting_loggers(prefix), *lines]

    def _log_tails(self) -> list[LogTail]:
        """Call before Envoy starts, so that none of its lines are missed and no earlier ones come again."""
        path = self._directory / generations.LOG_FILE
        start = _end_of(path)
        tails = [LogTail(path, envoylog.relay, start=start, rotation=Rotation())]
        access = self._options.access_log
        if self._options.rotate_access_log and access is not None and access.format != "off" and access.path:
            tails.append(LogTail(access.path, _ignore, start="end", rotation=Rotation(reopen=self._reopen_logs)))
        return tails

    async def _reopen_logs(self) -> None:
        for one in self._generations():
            await one.reopen_logs()

    def _note_limits(self) -> None:
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files != resource.RLIM_INFINITY and files < _FILES:
            note = (
                f"this user may open {files} files per process (ulimit -H -n), which is enough for some "
                f"{max(files - _OWN_FILES, 0) // 2} connections at a time"
            )
            self._notes = (note,)
            _log.warning("few open files permitted", limit=files, note=note)

    async def ending(self, generation: Generation) -> None:
        """An Envoy is about to be ended (for ``supervisor``)."""
        await self._meter.last_look(generation)

    def ended(self, generation: Generation) -> None:
        """An Envoy has ended (for ``supervisor``)."""
        self._meter.retire(generation)

    def _generations(self) -> list[Generation]:
        return self._supervisor.generations() if self._supervisor is not None else []

    def _steady(self) -> bool:
        return self._supervisor is not None and self._supervisor.steady

    def _own_pids(self) -> Collection[int]:
        return self._supervisor.pids if self._supervisor is not None else ()

    def _touched(self, change: PlanChange) -> Iterable[SocketKey]:
        """The sockets whose revision may have changed. Pools are no part of a revision."""
        return [key for key in change if isinstance(key, SocketKey)]

    def _send(self, changed: Changed, *, force: bool = False) -> None:
        if self._session is not None:
            self._session.mark(changed, force=force)

    def _publish(self, keys: Iterable[SocketKey]) -> None:
        for key in keys:
            outcome = self._settlement.outcome(key)
            if isinstance(outcome, Pending):
                self._pending.add(key)
            else:
                self._pending.discard(key)
            self._reports.put(SocketReport(socket=key, outcome=outcome))

    def _report_addresses(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            self._scopes.add(scope)
            self._reports.put(AddressReport(scope=scope, addresses=self._addresses))

    def _converse(self) -> Session:
        session = Session(self._catalog, on_sent=self._sent, on_confirmations=self._confirmed, on_end=self._ended)
        self._session = session
        self._settlement.up()
        self._publish(list(self._catalog.sockets()))
        return session

    def _sent(self, session: Session, kind: Kind, names: Sequence[str]) -> None:
        if session is self._session:
            self._settlement.sent(kind, names)

    def _confirmed(self, session: Session, confirmations: Sequence[Confirmation]) -> None:
        if session is not self._session:
            return
        for confirmation in confirmations:
            self._publish(self._settlement.confirm(confirmation))
        supervisor = self._supervisor
        if supervisor is not None and supervisor.waits_for_replacement and self._serves_everything(session):
            supervisor.replaced()

    def _serves_everything(self, session: Session) -> bool:
        return self._catalog.ready and not self._pending and session.settled

    def _ended(self, session: Session) -> None:
        # Envoy itself may well be alive; if it is not, the supervisor says so.
        if session is self._session:
            self._session = None

    def down(self, message: str) -> None:
        """No Envoy serves now (for ``supervisor``)."""
        self._session = None
        self._adopted = set()
        self._settlement.down(message)
        self._publish(list(self._catalog.sockets()))

    def _ports_checked(self, checked: Collection[SocketKey], holders: Mapping[SocketKey, str]) -> None:
        present = [key for key in checked if key in self._catalog.sockets()]
        touched = self._settlement.hold(present, {key: self._trouble(key, who) for key, who in holders.items()})
        released = [key for key in present if key not in holders]
        self._send(self._catalog.release(released))
        if self._applied and not self._catalog.ready:
            self._catalog.ready = True
            self._send({})
        self._publish(touched)

    def _trouble(self, key: SocketKey, holder: str) -> str:
        if self._catalog.is_withheld(key):
            return f"port {key.port} is held by {holder}; it is served as soon as it is free"
        return f"port {key.port} is shared by {holder}, which takes a part of its connections"

    async def _retry(self) -> None:
        """Offer listeners that could not be opened again."""
        retries, loop = BindRetries(), asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            due = retries.due(self._settlement.retriable(), loop.time())
            if due:
                self._send({Kind.LISTENER: [naming.socket_name(key) for key in due]}, force=True)

    async def _watch_addresses(self) -> None:
        """Follow changes of the host's addresses."""
        while True:
            await asyncio.sleep(_ADDRESS_SECONDS)
            try:
                self._addresses = await asyncio.to_thread(host_addresses)
            except DataPlaneError as error:
                _log.debug("host not looked at", reason=str(error))
                continue
            self._report_addresses(tuple(self._scopes))


def _end_of(path: Path) -> Position | Literal["first"]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return "first"
    return Position(inode=status.st_ino, offset=status.st_size)


async def _follow(tail: LogTail) -> None:
    try:
        await tail.run()
    except DataPlaneError as error:
        # Traffic does not depend on a log being read.
        _log.warning("log not followed any more", reason=str(error))


def _ignore(line: str) -> None:
    """The access log's lines are for whoever reads its file."""
