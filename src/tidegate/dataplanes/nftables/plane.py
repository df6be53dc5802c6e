"""The data plane in the kernel: ties plan, table, ports and outcomes together.

In: changes of the plan. Out: outcomes and counters. One event loop owns everything here; what decides is in pure
modules (``catalog``, ``translate``, ``reach``, ``doors``, ``settlement``), what acts is in others (``writer``,
``keeper``, ``meter``, ``neighbours``, ``portwatch``). This module only passes values between them::

    apply ──▶ catalog ──sockets to write──▶ writer ──forwardings──▶ keeper ──▶ kernel
                              ▲                │
     neighbours, portwatch ──free ports        └──written, refused──▶ settlement ──outcomes──▶ reports

No connection passes through this process. While it does not run, the kernel goes on as it was told last.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from tidegate.dataplanes.hostaddresses import host_addresses
from tidegate.dataplanes.nftables import host
from tidegate.dataplanes.nftables.adoption import Adoption
from tidegate.dataplanes.nftables.catalog import Catalog
from tidegate.dataplanes.nftables.doors import Neighbour, contests
from tidegate.dataplanes.nftables.features import FEATURES
from tidegate.dataplanes.nftables.instancelock import InstanceLock
from tidegate.dataplanes.nftables.keeper import Keeper
from tidegate.dataplanes.nftables.kernel import TableLostError
from tidegate.dataplanes.nftables.marks import Marks
from tidegate.dataplanes.nftables.meter import Meter
from tidegate.dataplanes.nftables.neighbours import Neighbours
from tidegate.dataplanes.nftables.nft import NEEDS_NET_ADMIN
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.settlement import Settlement
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.dataplanes.nftables.sysctls import ROUTE_LOCALNET, Sysctls
from tidegate.dataplanes.nftables.writer import Writer
from tidegate.dataplanes.portwatch import PortWatch
from tidegate.dataplanes.reports import ReportStream
from tidegate.errors import DataPlaneError
from tidegate.names import WILDCARD_ADDRESS, SocketKey
from tidegate.plan.features import Features
from tidegate.plan.outcome import AddressReport, Report, SocketReport, Traffic
from tidegate.plan.types import PlanChange
from tidegate.telemetry.logs import logger

TRAFFIC_FILE = "traffic.json"
"""The counters of all tables that there ever were."""

SYSCTLS_FILE = "sysctls.json"
"""What sysctls were before they were changed."""

_HOST_SECONDS = 2.0
_DRAIN_POLL_SECONDS = 0.1

_RETURN_ADVICE = (
    "with --source-address preserve a backend must send its answers through this host; without it, any may serve"
)
_SILENCE_ADVICE = "something on the way drops packets, or the endpoint's host is down; tidegate doctor knows this host"

_log = logger("nftables")


class _Parts(msgspec.Struct, frozen=True):
    """What there is between ``start`` and ``close``."""

    keeper: Keeper
    catalog: Catalog
    meter: Meter
    writer: Writer
    neighbours: Neighbours


class NftablesDataPlane:
    """Forwards with the kernel; implements ``DataPlane``.

    ``name`` names the table; ``directory`` belongs to this plane alone. A table left there by ``close(drain=None)``, or
    by a controller that was killed, is adopted by the next ``start`` of the same name. ``start`` and ``close`` must be
    called from the same task, which owns the plane's tasks.
    """

    def __init__(self, *, name: str, directory: Path, options: NftablesOptions) -> None:
        self._table = TableName(name)
        self._directory = directory
        self._options = options
        self._sysctls = Sysctls(directory / SYSCTLS_FILE)
        self._lock = InstanceLock(self._table)
        self._reports = ReportStream()
        self._settlement = Settlement()
        self._ports = PortWatch(lambda: (), self._ports_checked)
        self._running: _Parts | None = None
        self._scopes: set[str] = set()
        self._unplaced: set[SocketKey] = set()
        self._to_place = asyncio.Event()
        self._addresses: tuple[str, ...] = ()
        self._traffic: Sequence[Traffic] = ()
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def features(self) -> Features:
        """TCP listeners."""
        return FEATURES

    async def start(self) -> None:
        """Adopt or make the table. Raises DataPlaneError when it can never work here."""
        require_linux()
        self._lock.take()
        try:
            parts = await self._begin()
        except BaseException:
            self._lock.release()
            raise
        self._running = parts
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        jobs: dict[str, Coroutine[None, None, None]] = {
            "write": parts.writer.run(),
            "retry": parts.writer.retry(),
            "table": parts.writer.watch_table(),
            "count": parts.meter.run(),
            "host": self._watch_host(),
            "places": self._place(),
            "neighbours": parts.neighbours.run(),
        }
        if not self._options.allow_shadow:
            jobs["ports"] = self._ports.run()
        self._tasks = [group.create_task(job, name=f"nftables plane {name}") for name, job in jobs.items()]

    def apply(self, change: PlanChange) -> None:
        """Take a change and return at once."""
        catalog, writer = self._parts.catalog, self._parts.writer
        present = catalog.sockets()
        known = {key for key in change if isinstance(key, SocketKey) and key in present}
        touched = catalog.apply(change)
        new = [key for key in change if isinstance(key, SocketKey) and key in present and key not in known]
        for key in touched:
            if key not in present:
                self._unplaced.discard(key)
                self._ports.remove(key)
                self._settlement.forget(key)
                writer.forget(key)
        specific = [key for key in new if key.address != WILDCARD_ADDRESS]
        if specific:
            # Nor is anything said to be served at an address that may be another host's.
            writer.wait(specific)
            self._unplaced.update(specific)
            self._to_place.set()
        self._offer([key for key in new if key.address == WILDCARD_ADDRESS])
        writer.due(touched)
        self._publish(key for key in change if isinstance(key, SocketKey))
        self._report_addresses({key.scope for key in new} - self._scopes)

    def outcomes(self) -> AsyncIterator[Sequence[Report]]:
        """What became of what was applied, until ``close``."""
        return self._reports.batches()

    async def traffic(self) -> Sequence[Traffic]:
        """The counters now; after ``close``, what they were then."""
        if self._running is not None:
            self._traffic = await self._running.meter.traffic()
        return self._traffic

    async def close(self, *, drain: float | None) -> None:
        """Stop translating new connections and let those open end for up to ``drain`` seconds; None: all goes on."""
        for task in self._tasks:
            task.cancel()
        parts, self._running = self._running, None
        try:
            await self._stack.aclose()
            if parts is not None:
                if drain is not None:
                    await _drain(parts, drain)
                await parts.meter.look()
                self._traffic = await parts.meter.traffic()
                await parts.meter.save()
        finally:
            try:
                # Also when the end is cancelled: nobody would remove it later.
                if parts is not None and drain is not None:
                    self._remove(parts.keeper)
            finally:
                if parts is not None:
                    parts.neighbours.close()
                    parts.meter.close()
                    parts.keeper.close()
                self._lock.release()
                self._reports.close()

    @property
    def _parts(self) -> _Parts:
        assert self._running is not None, "between start and close"
        return self._running

    async def _begin(self) -> _Parts:
        await asyncio.to_thread(self._directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        if not host.has_net_admin():
            raise DataPlaneError(NEEDS_NET_ADMIN)
        keeper = Keeper(self._table, self._options)
        try:
            found = await keeper.begin()
        except BaseException:
            keeper.close()
            raise
        try:
            return await self._settle_in(keeper, found)
        except BaseException:
            if not found.elements:
                keeper.delete()
            keeper.close()
            raise

    async def _settle_in(self, keeper: Keeper, found: Adoption) -> _Parts:
        """Learn about the host, and take over what was adopted."""
        facts = await asyncio.to_thread(host.facts, routes_localnet=self._options.allow_route_localnet)
        self._addresses = await asyncio.to_thread(host_addresses)
        marks = Marks(keeper.origin.slot)
        catalog = Catalog(marks, facts, hairpins=self._options.preserve_source)
        advice = _RETURN_ADVICE if self._options.preserve_source else _SILENCE_ADVICE
        meter = Meter(self._directory / TRAFFIC_FILE, self._table, keeper, marks, advice=advice)
        try:
            former = await meter.load()
            marks.adopt(found.known, found.numbers | (await meter.connections()).remembered, former)
            # The rule that keeps others from using 127.0.0.0/8 is there by now.
            if self._options.allow_route_localnet:
                self._sysctls.set(ROUTE_LOCALNET, "1")
            else:
                self._sysctls.restore()
        except BaseException:
            meter.close()
            raise
        writer = Writer(
            catalog=catalog,
            keeper=keeper,
            marks=marks,
            meter=meter,
            settlement=self._settlement,
            publish=self._publish,
        )
        neighbours = Neighbours(self._table, lambda: keeper.known, catalog.sockets, self._neighbours_looked_at)
        return _Parts(keeper, catalog, meter, writer, neighbours)

    def _remove(self, keeper: Keeper) -> None:
        try:
            self._sysctls.restore()
        finally:
            keeper.delete()

    def _publish(self, keys: Iterable[SocketKey]) -> None:
        present = self._parts.catalog.sockets()
        for key in keys:
            outcome = self._settlement.outcome(key, present[key].revision) if key in present else None
            self._reports.put(SocketReport(socket=key, outcome=outcome))

    def _report_addresses(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            self._scopes.add(scope)
            self._reports.put(AddressReport(scope=scope, addresses=self._addresses))

    def _ports_checked(self, checked: Collection[SocketKey], holders: Mapping[SocketKey, str]) -> None:
        planned = self._parts.catalog.sockets()
        # Those that left the plan meanwhile are forgotten, and wait no more.
        troubles = {key: self._trouble(key, who) for key, who in holders.items() if key in planned}
        touched = self._settlement.hold(checked, troubles)
        self._parts.writer.released([*touched, *self._parts.writer.waiting_of(checked)])
        self._publish(touched)

    def _trouble(self, key: SocketKey, holder: str) -> str:
        if self._parts.writer.is_served(key):
            return f"port {key.port} is listened on by {holder} too, which gets none of its connections"
        return (
            f"port {key.port} is held by {holder}; it is served as soon as it is free, "
            "or at once with --allow-shadow, which takes its connections away"
        )

    def _offer(self, new: Collection[SocketKey]) -> None:
        """Have new sockets written; nothing is taken from anybody before it was looked whether there is somebody."""
        parts = self._parts
        parts.writer.wait(new)
        if new or not parts.writer.complete:
            parts.neighbours.add(new)

    def _neighbours_looked_at(self, taken: Mapping[SocketKey, Neighbour], new: Collection[SocketKey] | None) -> None:
        """Other tables take these; ``new`` sockets are looked at as to local processes now."""
        planned, writer = self._parts.catalog.sockets(), self._parts.writer
        present = {key: neighbour for key, neighbour in taken.items() if key in planned}
        found = contests(
            present, {key: writer.is_served(key) for key in present}, allow_shadow=self._options.allow_shadow
        )
        touched = self._settlement.contest(found)
        writer.due(touched)
        self._publish(touched)
        if new is not None:
            offer = writer.released if self._options.allow_shadow else self._ports.add
            offer([key for key in new if key in planned])

    async def _place(self) -> None:
        """Look whether the addresses of new sockets are this host's, and offer them then."""
        while True:
            await self._to_place.wait()
            self._to_place.clear()
            keys, self._unplaced = self._unplaced, set()
            try:
                foreign = await asyncio.to_thread(host.foreign, {key.address for key in keys})
            except DataPlaneError as error:
                _log.warning("addresses not looked at", reason=str(error))
                await asyncio.sleep(_HOST_SECONDS)
                self._unplaced |= {key for key in keys if key in self._parts.catalog.sockets()}
                self._to_place.set()
                continue
            sockets = self._parts.catalog.sockets()
            # One that went and came again meanwhile has its turn again.
            placed = [key for key in keys if key in sockets and key not in self._unplaced]
            elsewhere = {key for key in placed if key.address in foreign}
            if elsewhere:
                known = {key for key in sockets if self._settlement.is_elsewhere(key)}
                self._publish(self._settlement.place(known | elsewhere))
            self._offer(placed)

    async def _watch_host(self) -> None:
        """Follow the host's addresses, and whether it forwards."""
        trouble = ""
        while True:
            await asyncio.sleep(_HOST_SECONDS)
            try:
                await self._look_at_host()
            except DataPlaneError as error:
                # What is known stays.
                if str(error) != trouble:
                    _log.warning("host not looked at", reason=str(error))
                trouble = str(error)
            else:
                trouble = ""

    async def _look_at_host(self) -> None:
        facts = await asyncio.to_thread(host.facts, routes_localnet=self._options.allow_route_localnet)
        self._addresses = await asyncio.to_thread(host_addresses)
        catalog, writer = self._parts.catalog, self._parts.writer
        writer.due(catalog.set_facts(facts))
        asked = set(catalog.addressed())
        foreign = await asyncio.to_thread(host.foreign, asked)
        # Those whose address came meanwhile are as they were placed.
        moved = self._settlement.place(
            [
                key
                for address, keys in catalog.addressed().items()
                if address in foreign or address not in asked
                for key in keys
                if address in foreign or self._settlement.is_elsewhere(key)
            ]
        )
        writer.due(moved)
        self._publish(moved)
        self._report_addresses(tuple(self._scopes))


async def _drain(parts: _Parts, seconds: float) -> None:
    trouble = ""
    try:
        async with asyncio.timeout(seconds):
            while trouble := await _end_entries(parts.keeper, trouble):  # noqa: ASYNC110  Nor when this can be done.
                await asyncio.sleep(_DRAIN_POLL_SECONDS)
            while await _is_open(parts.meter):  # noqa: ASYNC110  Nobody tells when they end.
                await asyncio.sleep(_DRAIN_POLL_SECONDS)
    except TimeoutError:
        if seconds > 0:
            _log.info("drain time over", seconds=seconds)


async def _is_open(meter: Meter) -> bool:
    """Whether a connection is open, or may be: one that cannot be seen now is not cut for that."""
    try:
        return bool((await meter.connections()).open)
    except DataPlaneError as error:
        _log.debug("connections not looked at", reason=str(error))
        return True


async def _end_entries(keeper: Keeper, told: str) -> str:
    """Have no new connection translated. Returns why that cannot be done, which is logged unless it was ``told``."""
    try:
        await keeper.end_entries()
    except TableLostError:
        return ""  # Nothing is translated any more.
    except DataPlaneError as error:
        if str(error) != told:
            _log.error("new connections still served", reason=str(error))  # An expected failure, no bug.
        return str(error)
    return ""


def require_linux() -> None:
    """Raise DataPlaneError elsewhere."""
    if sys.platform != "linux":
        raise DataPlaneError("the nftables data plane needs Linux: choose another with --dataplane")
