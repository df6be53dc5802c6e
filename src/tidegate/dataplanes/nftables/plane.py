"""The data plane in the kernel: ties plan, table, ports and outcomes together.

In: changes of the plan. Out: outcomes and counters. One event loop owns everything here; what decides is in pure
modules (``catalog``, ``translate``, ``reach``, ``settlement``), what acts is in others (``keeper``, ``meter``,
``portwatch``). This module only passes values between them::

    apply ──▶ catalog ──sockets to write──▶ writer ──forwardings──▶ keeper ──▶ kernel
                              ▲                │
            portwatch ──free ports             └──written, refused──▶ settlement ──outcomes──▶ reports

No connection passes through this process. While it does not run, the kernel goes on as it was told last.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tidegate.dataplanes.hostaddresses import host_addresses
from tidegate.dataplanes.nftables import host
from tidegate.dataplanes.nftables.adoption import Adoption
from tidegate.dataplanes.nftables.catalog import Catalog
from tidegate.dataplanes.nftables.features import FEATURES
from tidegate.dataplanes.nftables.instancelock import InstanceLock
from tidegate.dataplanes.nftables.keeper import Keeper, Wanted
from tidegate.dataplanes.nftables.kernel import TableLostError
from tidegate.dataplanes.nftables.marks import Marks
from tidegate.dataplanes.nftables.meter import Meter
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.reach import HostFacts
from tidegate.dataplanes.nftables.settlement import Settlement
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.dataplanes.nftables.sysctls import ROUTE_LOCALNET, Sysctls
from tidegate.dataplanes.portwatch import PortWatch
from tidegate.dataplanes.reports import ReportStream
from tidegate.dataplanes.retries import BindRetries
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

_ROUND = 1_000
"""How many sockets are written at a time: an urgent change passes between two rounds of a bulk load."""

_RETRY_SECONDS = 0.5
_HOST_SECONDS = 2.0
_TABLE_SECONDS = 1.0
_AFTER_ERROR_SECONDS = 1.0
_DRAIN_POLL_SECONDS = 0.1

_log = logger("nftables")


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
        self._facts = HostFacts(routes_localnet=options.allow_route_localnet)
        self._marks = Marks(0)
        self._catalog = Catalog(self._marks, self._facts, hairpins=options.preserve_source)
        self._keeper: Keeper | None = None
        self._meter: Meter | None = None
        self._unchecked: set[SocketKey] = set()
        self._due: dict[SocketKey, None] = {}
        self._work = asyncio.Event()
        self._complete = False
        self._swept = False
        self._scopes: set[str] = set()
        self._addresses: tuple[str, ...] = ()
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
            await self._begin()
        except BaseException:
            self._release()
            raise
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        jobs: dict[str, Coroutine[None, None, None]] = {
            "write": self._write(),
            "count": self._present_meter.run(),
            "retry": self._retry(),
            "host": self._watch_host(),
            "table": self._watch_table(),
        }
        if not self._options.allow_shadow:
            jobs["ports"] = self._ports.run()
        self._tasks = [group.create_task(job, name=f"nftables plane {name}") for name, job in jobs.items()]

    def apply(self, change: PlanChange) -> None:
        """Take a change and return at once."""
        present = self._catalog.sockets()
        known = {key for key in change if isinstance(key, SocketKey) and key in present}
        touched = self._catalog.apply(change)
        new = [key for key in change if isinstance(key, SocketKey) and key in present and key not in known]
        gone = [key for key in touched if key not in present]
        for key in gone:
            self._unchecked.discard(key)
            self._ports.remove(key)
            self._settlement.forget(key)
        self._look_at_addresses(new)
        if self._options.allow_shadow:
            self._complete = True
        else:
            # Nothing is taken from a local process before it was looked whether there is one.
            self._unchecked.update(new)
            if new or not self._complete:
                self._ports.add(new)
        self._write_soon(key for key in touched if key not in self._unchecked)
        self._publish(key for key in change if isinstance(key, SocketKey))
        self._report_addresses({key.scope for key in new} - self._scopes)

    def outcomes(self) -> AsyncIterator[Sequence[Report]]:
        """What became of what was applied, until ``close``."""
        return self._reports.batches()

    async def traffic(self) -> Sequence[Traffic]:
        """The counters now."""
        return await self._present_meter.traffic()

    async def close(self, *, drain: float | None) -> None:
        """Stop translating new connections and let those open end for up to ``drain`` seconds; None: all goes on."""
        for task in self._tasks:
            task.cancel()
        try:
            await self._stack.aclose()
            if self._keeper is not None and self._meter is not None:
                if drain is not None:
                    await self._drain(self._keeper, self._meter, drain)
                await self._meter.look()
                await self._meter.save()
        finally:
            # Also when the end is cancelled: nobody would remove it later.
            if self._keeper is not None and drain is not None:
                self._remove(self._keeper)
            self._release()
            self._reports.close()

    @property
    def _present_keeper(self) -> Keeper:
        assert self._keeper is not None, "the plane was started"
        return self._keeper

    @property
    def _present_meter(self) -> Meter:
        assert self._meter is not None, "the plane was started"
        return self._meter

    async def _begin(self) -> None:
        await asyncio.to_thread(self._directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        if not host.has_net_admin():
            raise DataPlaneError(
                "the nftables data plane needs CAP_NET_ADMIN: run tidegate as root, or give it that capability"
            )
        keeper = Keeper(self._table, self._options)
        try:
            found = await keeper.begin()
        except BaseException:
            keeper.close()
            raise
        try:
            await self._settle_in(keeper, found)
        except BaseException:
            if not found.elements:
                keeper.delete()
            keeper.close()
            raise
        self._keeper = keeper

    async def _settle_in(self, keeper: Keeper, found: Adoption) -> None:
        """Learn about the host, and take over what was adopted."""
        self._facts = await asyncio.to_thread(host.facts, routes_localnet=self._options.allow_route_localnet)
        self._addresses = await asyncio.to_thread(host_addresses)
        self._marks = Marks(keeper.origin.slot)
        self._catalog = Catalog(self._marks, self._facts, hairpins=self._options.preserve_source)
        self._meter = Meter(self._directory / TRAFFIC_FILE, self._table, keeper, lambda: self._marks)
        remembered = (await self._meter.connections()).remembered
        self._marks.adopt(found.known, found.numbers | remembered)
        await self._meter.load()
        # The rule that keeps others from using 127.0.0.0/8 is there by now.
        if self._options.allow_route_localnet:
            self._sysctls.set(ROUTE_LOCALNET, "1")
        else:
            self._sysctls.restore()

    def _remove(self, keeper: Keeper) -> None:
        try:
            self._sysctls.restore()
        finally:
            keeper.delete()

    def _release(self) -> None:
        if self._meter is not None:
            self._meter.close()
        if self._keeper is not None:
            self._keeper.close()
        self._lock.release()

    def _write_soon(self, keys: Iterable[SocketKey]) -> None:
        self._due.update(dict.fromkeys(keys))
        self._work.set()

    async def _write(self) -> None:
        """Bring what is due into the kernel, again and again, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._due:
                keys = list(self._due)[:_ROUND]
                for key in keys:
                    del self._due[key]
                await self._write_round(keys)
            await self._sweep_once()

    async def _write_round(self, keys: Sequence[SocketKey]) -> None:
        present = self._catalog.sockets()
        revisions = {key: present[key].revision for key in keys if key in present}
        try:
            wanted = {key: self._wanted(key) for key in keys}
            faults = await self._present_keeper.write(wanted)
        except TableLostError:
            await self._rebuild()
            return
        except DataPlaneError as error:
            _log.error("rules not written", reason=str(error))  # An expected failure, no bug.
            self._write_soon(keys)
            await asyncio.sleep(_AFTER_ERROR_SECONDS)
            return
        for key in keys:
            if key in faults:
                self._settlement.reject(key, revisions.get(key, ""), faults[key])
                _log.warning("rules refused", socket=str(key), reason=faults[key])
                continue
            self._catalog.written(key)
            if key in revisions:
                self._settlement.written(key, revisions[key], self._catalog.limits(key))
        self._publish(keys)

    def _wanted(self, key: SocketKey) -> Wanted:
        forwarding = self._catalog.forwarding(key)
        # What is served already is not given up because somebody else comes to listen there.
        free = not self._settlement.is_held(key) or self._present_keeper.has(forwarding.entry.place)
        present = key in self._catalog.sockets()
        return Wanted(forwarding, present and free and not self._settlement.is_elsewhere(key))

    async def _sweep_once(self) -> None:
        """After the first plan: remove what an earlier controller left and nobody wants."""
        if self._swept or not self._complete or self._unchecked or self._settlement.rejected():
            return
        try:
            await self._present_keeper.sweep()
        except DataPlaneError as error:
            _log.warning("leftovers not removed", reason=str(error))
            return
        self._marks.forget_the_rest()
        self._present_meter.look_soon()
        self._swept = True

    async def _rebuild(self) -> None:
        """Somebody removed the table: make it again, with everything that is planned."""
        message = "somebody removed the rules from the kernel; they are made again"
        _log.error("table lost", reason=message)
        self._settlement.down(message)
        self._publish(list(self._catalog.sockets()))
        try:
            await self._present_keeper.begin_again()
        except DataPlaneError as error:
            _log.error("table not made", reason=str(error))
            await asyncio.sleep(_AFTER_ERROR_SECONDS)
        else:
            self._settlement.up()
            self._present_meter.begin_anew()
            self._swept = False
        self._write_soon(key for key in self._catalog.sockets() if key not in self._unchecked)

    async def _drain(self, keeper: Keeper, meter: Meter, seconds: float) -> None:
        await keeper.end_entries()
        try:
            async with asyncio.timeout(seconds):
                while (await meter.connections()).open:  # noqa: ASYNC110  Nobody tells when they end.
                    await asyncio.sleep(_DRAIN_POLL_SECONDS)
        except TimeoutError:
            if seconds > 0:
                _log.info("drain time over", seconds=seconds)

    def _publish(self, keys: Iterable[SocketKey]) -> None:
        present = self._catalog.sockets()
        for key in keys:
            outcome = self._settlement.outcome(key, present[key].revision) if key in present else None
            self._reports.put(SocketReport(socket=key, outcome=outcome))

    def _report_addresses(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            self._scopes.add(scope)
            self._reports.put(AddressReport(scope=scope, addresses=self._addresses))

    def _ports_checked(self, checked: Collection[SocketKey], holders: Mapping[SocketKey, str]) -> None:
        present = [key for key in checked if key in self._catalog.sockets()]
        troubles = {key: self._trouble(key, who) for key, who in holders.items()}
        touched = self._settlement.hold(present, troubles)
        waited = [key for key in present if key in self._unchecked]
        self._unchecked.difference_update(waited)
        self._complete = True
        self._write_soon({*touched, *waited})
        self._publish(touched)

    def _trouble(self, key: SocketKey, holder: str) -> str:
        if self._present_keeper.has(self._catalog.forwarding(key).entry.place):
            return f"port {key.port} is listened on by {holder} too, which gets none of its connections"
        return (
            f"port {key.port} is held by {holder}; it is served as soon as it is free, "
            "or at once with --allow-shadow, which takes its connections away"
        )

    def _look_at_addresses(self, keys: Iterable[SocketKey]) -> None:
        """Whether the addresses of new sockets are this host's."""
        elsewhere = {key for key in keys if key.address != WILDCARD_ADDRESS and not host.is_local(key.address)}
        if elsewhere:
            known = {key for key in self._catalog.sockets() if self._settlement.is_elsewhere(key)}
            self._settlement.place(known | elsewhere)

    async def _retry(self) -> None:
        """Offer sockets again that the kernel refused."""
        retries, loop = BindRetries(), asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            self._write_soon(retries.due(self._settlement.rejected(), loop.time()))

    async def _watch_host(self) -> None:
        """Follow the host's addresses, and whether it forwards."""
        while True:
            await asyncio.sleep(_HOST_SECONDS)
            facts = await asyncio.to_thread(host.facts, routes_localnet=self._options.allow_route_localnet)
            self._addresses = await asyncio.to_thread(host_addresses)
            self._write_soon(key for key in self._catalog.set_facts(facts) if key not in self._unchecked)
            specific = {key.address for key in self._catalog.sockets()} - {WILDCARD_ADDRESS}
            foreign = await asyncio.to_thread(lambda: {one for one in specific if not host.is_local(one)})  # noqa: B023
            moved = self._settlement.place([key for key in self._catalog.sockets() if key.address in foreign])
            self._write_soon(key for key in moved if key not in self._unchecked)
            self._publish(moved)
            self._report_addresses(tuple(self._scopes))

    async def _watch_table(self) -> None:
        """Notice when somebody removed the table."""
        while True:
            await asyncio.sleep(_TABLE_SECONDS)
            try:
                lost = await self._present_keeper.is_lost()
            except DataPlaneError as error:
                _log.debug("table not looked at", reason=str(error))
                continue
            if lost:
                await self._rebuild()


def require_linux() -> None:
    """Raise DataPlaneError elsewhere."""
    if sys.platform != "linux":
        raise DataPlaneError("the nftables data plane needs Linux: choose another with --dataplane")
