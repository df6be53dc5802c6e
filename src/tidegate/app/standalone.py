"""The composition root of a standalone instance: puts every part together.

Comes in: settings. Goes out: a running instance, or the decision about some input without any socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tidegate._version import __version__
from tidegate.admin.figures import figures_of
from tidegate.admin.observe import Observer
from tidegate.admin.server import Providers, serve
from tidegate.admin.view import Instance, State
from tidegate.app import interpreter
from tidegate.app.announcing import Announcer
from tidegate.app.tasks import first_error
from tidegate.controller.board import OUTCOME_PATIENCE_S
from tidegate.controller.foresight import settle
from tidegate.controller.picture import picture, picture_in_slices
from tidegate.controller.reconciler import Reconciler
from tidegate.core.compile import SOCKETS
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision
from tidegate.core.tables import OUTCOMES
from tidegate.dataplanes.base import DataPlane
from tidegate.dataplanes.envoy.features import FEATURES as ENVOY_FEATURES
from tidegate.dataplanes.hostaddresses import host_addresses
from tidegate.dataplanes.nftables.features import FEATURES as NFTABLES_FEATURES
from tidegate.errors import SettingsError, TidegateError
from tidegate.instance import InstanceDirectory, claim
from tidegate.model.diagnostics import Diagnostic, Location
from tidegate.names import ObjectKey
from tidegate.plan.features import Features
from tidegate.plan.outcome import Pending, Traffic
from tidegate.settings import (
    AccessLog,
    AccessLogFormat,
    CheckSettings,
    InputSettings,
    OnExit,
    RunSettings,
    SourceAddress,
)
from tidegate.sources import listing
from tidegate.sources.ages import Ages
from tidegate.sources.backends import parse_backends
from tidegate.sources.standalone import StandaloneSource
from tidegate.telemetry.events import Event
from tidegate.telemetry.logs import logger
from tidegate.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from tidegate.dataplanes.envoy.accesslog import AccessLogOptions

TRAFFIC_INTERVAL_S = 1.0
"""How often the counters of the data plane are read, in seconds."""

ACCESS_LOG_FILE = "access.log"
"""Where Envoy writes an access log without a path, in the instance directory; relayed to standard output."""

_VIEW_INTERVAL_S = 0.25

PLANES: dict[str, Features] = {"envoy": ENVOY_FEATURES, "nftables": NFTABLES_FEATURES}
"""The data planes of this build and what each can do."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen: ``state`` as with a data plane that takes everything, what there is to say about
    the input, and where objects stand in it. ``readable``: all of the input could be read.
    """

    state: State
    diagnostics: tuple[Diagnostic, ...]
    readable: bool
    origin: Callable[[ObjectKey, tuple[str | int, ...]], Location | None]


def check(settings: CheckSettings) -> CheckResult:
    """Decide about the input as ``run`` would, without any socket.

    Raises SettingsError and SourceError.
    """
    source = _source(settings, Ages(), watch=False)
    loaded = source.load()
    decision = Decision(_config(settings))
    for change in loaded.as_batch().changes:
        decision.set_object(change.key, change.resource)
    statuses = settle(decision, host_addresses(), this_host=True)
    instance = Instance(
        name="check",
        version=__version__,
        pid=os.getpid(),
        started_at=dt.datetime.now(dt.UTC),
        data_plane=settings.data_plane,
        ready=True,
    )
    return CheckResult(
        state=picture(decision, statuses, loaded.diagnostics, (), instance),
        diagnostics=loaded.diagnostics,
        readable=loaded.readable,
        origin=source.origin,
    )


async def run(
    settings: RunSettings, *, stop: asyncio.Event, reread: asyncio.Event, observer: Observer | None = None
) -> None:
    """Serve the input until ``stop`` is set; ``reread`` asks for reading everything anew.

    Raises SettingsError, SourceError, InstanceError and DataPlaneError when it cannot start.
    """
    listing.require(settings.paths)
    _require_writable(settings.access_log)
    interpreter.prepare()
    with claim(settings.name, settings.state_dir) as directory:
        ages = Ages(directory.path / "objects.jsonl")
        source = _source(settings, ages, watch=settings.watch, keep=directory.path / "inputs")
        running = _Running(settings, directory, source, observer)
        try:
            await running.serve(stop, reread)
        finally:
            ages.save()


def _source(settings: InputSettings, ages: Ages, *, watch: bool, keep: Path | None = None) -> StandaloneSource:
    return StandaloneSource(
        settings.paths, backends=parse_backends(settings.backends), dns=settings.dns, ages=ages, watch=watch, keep=keep
    )


def _config(settings: InputSettings) -> CoreConfig:
    return CoreConfig(features=PLANES[settings.data_plane], controller_name=settings.controller_name)


def _plane(settings: RunSettings, directory: InstanceDirectory) -> DataPlane:
    return _kernel(settings, directory) if settings.data_plane == "nftables" else _envoy(settings, directory)


def _kernel(settings: RunSettings, directory: InstanceDirectory) -> DataPlane:
    from tidegate.dataplanes.nftables.options import NftablesOptions
    from tidegate.dataplanes.nftables.plane import NftablesDataPlane

    options = NftablesOptions(
        preserve_source=settings.kernel.source_address is SourceAddress.PRESERVE,
        allow_route_localnet=settings.kernel.allow_route_localnet,
        allow_shadow=settings.kernel.allow_shadow,
    )
    return NftablesDataPlane(name=settings.name, directory=directory.path / "nftables", options=options)


def _envoy(settings: RunSettings, directory: InstanceDirectory) -> DataPlane:
    # Loading Envoy's API takes a good part of a second: only who serves pays for it.
    from tidegate.dataplanes.envoy.options import EnvoyOptions
    from tidegate.dataplanes.envoy.plane import EnvoyDataPlane
    from tidegate.dataplanes.nftables.leftover import require_none

    require_none(settings.name, directory.path / "nftables")
    options = EnvoyOptions(
        access_log=_access_log(settings.access_log, directory), rotate_access_log=settings.access_log.path is None
    )
    return EnvoyDataPlane(directory=directory.path / "envoy", envoy=settings.envoy, options=options)


class _Running:
    """One instance between start and stop."""

    def __init__(
        self,
        settings: RunSettings,
        directory: InstanceDirectory,
        source: StandaloneSource,
        observer: Observer | None,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._source = source
        self._observer = observer
        self._plane = _plane(settings, directory)
        self._metrics = Metrics(version=__version__, data_plane=settings.data_plane)
        self._log = logger("instance")
        self._stirred = asyncio.Event()
        self._traffic: Sequence[Traffic] = ()
        self._started_at = dt.datetime.now(dt.UTC)
        self._ready = False
        self._is_wanted_to_end = False
        self._reconciler = Reconciler(
            decision=Decision(_config(settings)),
            source=source,
            plane=self._plane,
            metrics=self._metrics,
            published=Announcer(self._log).announce,
            stirred=self._stirred.set,
        )

    async def serve(self, stop: asyncio.Event, reread: asyncio.Event) -> None:
        """Until ``stop`` is set, then close as the settings say; as well when the caller cancels, or watches and fails.

        In a task of its own, so that one thing can be told from the other: a part of the data plane that fails cancels
        the task that it was started in, as a caller does.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(self._serve(stop, reread), name="instance")
                while not serving.done():
                    try:
                        await asyncio.wait({serving})
                    except asyncio.CancelledError:
                        # If it ends already, it does so at once now.
                        self._is_wanted_to_end = serving.cancel()
            if serving.cancelled():
                raise asyncio.CancelledError
        except* TidegateError as group:
            raise first_error(group) from group

    async def _serve(self, stop: asyncio.Event, reread: asyncio.Event) -> None:
        drain = self._settings.drain_time if self._settings.on_exit is OnExit.DRAIN else None
        providers = Providers(state=self._state, ready=self._is_ready, metrics=self._render)
        address = self._directory.admin_address(self._settings.admin)
        async with self._access_lines(), contextlib.AsyncExitStack() as admin:
            # First, so that an address that is taken ends nothing that an earlier controller left serving.
            bound = await admin.enter_async_context(serve(address, providers))
            # It ends before the plane does: nobody follows any more what becomes of listeners while they drain.
            async with self._plane_running(drain), admin.pop_all():
                self._directory.announce(bound)
                self._log.info("started", name=self._directory.name, admin=str(bound))
                await self._until(stop, reread)
                if drain is not None:
                    self._announce_drain(drain)
                self._log.info("stopping", on_exit=self._settings.on_exit.value, drain_seconds=drain)

    def _announce_drain(self, seconds: float) -> None:
        # A session that ends takes its directories along before it ends its processes.
        try:
            self._directory.announce_drain(seconds)
        except OSError as error:
            self._log.warning("not said to other commands that this instance drains", reason=str(error))

    @contextlib.asynccontextmanager
    async def _access_lines(self) -> AsyncIterator[None]:
        """Relay the access log unless it has a path of its own; around the plane, for its last lines."""
        wanted = self._settings.access_log
        if wanted.format is AccessLogFormat.OFF or wanted.path is not None:
            yield
            return
        from tidegate.dataplanes.envoy.logtail import LogTail

        tail = LogTail(self._directory.path / ACCESS_LOG_FILE, self._access_line, start="end")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(tail.run(), name="access log")
            try:
                yield
            finally:
                task.cancel()

    def _access_line(self, line: str) -> None:
        """To standard output; where the live view has that, among its events."""
        if self._observer is not None:
            event = Event(at=dt.datetime.now(dt.UTC), level="info", message=line)
            with self._watched():
                self._observer.on_event(event)
            return
        with contextlib.suppress(BrokenPipeError):  # Nobody reads it any more: the traffic goes on.
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    @contextlib.asynccontextmanager
    async def _plane_running(self, drain: float | None) -> AsyncIterator[None]:
        """Whoever wants it to end, ends it as the settings say. After an error of ours it goes on serving, as after a
        crash, and the next start takes it over.
        """
        started = False
        try:
            await self._plane.start()
            started = True
            yield
        finally:
            if started and not self._is_wanted_to_end:
                self._log.error("ended by an error: what is served goes on, and the next start takes it over")
            await self._plane.close(drain=drain if self._is_wanted_to_end else None)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Around a call of the observer. It is the caller's: what it raises is the caller's wish to end."""
        try:
            yield
        except BaseException:
            self._is_wanted_to_end = True
            raise

    async def _until(self, stop: asyncio.Event, reread: asyncio.Event) -> None:
        """Run all parts until ``stop``; the first error of a part is what the caller sees."""
        try:
            async with asyncio.TaskGroup() as tasks:
                parts = [
                    tasks.create_task(part, name=name)
                    for name, part in (
                        ("reconciler", self._reconciler.run()),
                        ("traffic", self._follow_traffic()),
                        ("view", self._follow_view()),
                        ("reread", self._follow_reread(reread)),
                        ("settle", self._settle()),
                    )
                ]
                await stop.wait()
                self._is_wanted_to_end = True
                for part in parts:
                    part.cancel()
        except* TidegateError as group:
            raise first_error(group) from group

    async def _follow_reread(self, reread: asyncio.Event) -> None:
        while True:
            await reread.wait()
            reread.clear()
            self._log.info("reading the input again")
            self._source.rescan()

    async def _settle(self) -> None:
        """Once everything of the first configuration is in force and published."""
        while not self._is_ready():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(OUTCOME_PATIENCE_S)
        await asyncio.sleep(OUTCOME_PATIENCE_S)
        interpreter.settled()

    async def _follow_traffic(self) -> None:
        while True:
            before, self._traffic = self._traffic, await self._plane.traffic()
            if self._traffic != before:
                self._stirred.set()
            await asyncio.sleep(TRAFFIC_INTERVAL_S)

    async def _follow_view(self) -> None:
        """Hand the picture to the observer whenever something stirred, a few times a second at most."""
        while self._observer is not None:
            await self._stirred.wait()
            self._stirred.clear()
            state = await self._state(objects=False)
            with self._watched():
                self._observer.on_state(state)
            await asyncio.sleep(_VIEW_INTERVAL_S)

    def _is_ready(self) -> bool:
        """Once the data plane has settled everything of the first configuration, for good."""
        if not self._ready and self._reconciler.loaded:
            graph = self._reconciler.decision.graph
            outcomes = (graph.get(OUTCOMES, key) for key, _ in graph.items(SOCKETS))
            self._ready = all(outcome is not None and not isinstance(outcome, Pending) for outcome in outcomes)
        return self._ready

    async def _state(self, *, objects: bool = True) -> State:
        instance = Instance(
            name=self._directory.name,
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            data_plane=self._settings.data_plane,
            ready=self._is_ready(),
        )
        reconciler = self._reconciler
        return await picture_in_slices(
            reconciler.decision,
            reconciler.board.statuses,
            reconciler.diagnostics,
            self._traffic,
            instance,
            objects=objects,
        )

    async def _render(self) -> AsyncGenerator[bytes, None]:
        self._traffic = traffic = await self._plane.traffic()
        state = await self._state(objects=False)
        pieces = self._metrics.render(await asyncio.to_thread(figures_of, state, traffic))
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece


def _require_writable(access_log: AccessLog) -> None:
    """Envoy rejects every listener whose access log it cannot open, so that is found out before."""
    if access_log.path is None:
        return
    try:
        with access_log.path.open("ab"):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingsError(f"--access-log {access_log.path}: cannot be written: {why}; choose another path") from error


def _access_log(wanted: AccessLog, directory: InstanceDirectory) -> AccessLogOptions | None:
    from tidegate.dataplanes.envoy.accesslog import AccessLogOptions

    if wanted.format is AccessLogFormat.OFF:
        return None
    return AccessLogOptions(format=wanted.format.value, path=wanted.path or directory.path / ACCESS_LOG_FILE)
