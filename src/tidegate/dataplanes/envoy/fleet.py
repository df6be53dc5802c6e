"""The data plane that forwards with proxies elsewhere: one scope per Gateway, each served by Envoys in Pods.

It starts no process: whoever runs proxies gives them the bootstrap of ``pod``, and they come here. In: changes of the
plan, which Gateways there are, which addresses are ready. Out: outcomes. One event loop owns everything here; this
module only passes values between the parts::

    apply ──▶ router ──part of a scope──▶ catalogs ──changed names──▶ proxy streams ──▶ proxies
                                                                          │ events
             other replicas ──events──▶ roster ◀──────────────────────────┤
                                          └──outcomes──▶ reports          └──▶ follower ──▶ the leader

Every replica of the controller serves the proxies that come to it. Only the leader's outcomes are of use to anybody,
so the others tell it what happens to theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Literal

import msgspec
from envoy.config.core.v3 import base_pb2
from google.protobuf.message import Message

from tidegate.dataplanes.envoy.accesslog import AccessLogOptions, access_log
from tidegate.dataplanes.envoy.catalog import Changed
from tidegate.dataplanes.envoy.credentials import Credentials
from tidegate.dataplanes.envoy.features import FLEET_FEATURES
from tidegate.dataplanes.envoy.fleetserver import FleetServer
from tidegate.dataplanes.envoy.follower import Follower
from tidegate.dataplanes.envoy.outbox import decode
from tidegate.dataplanes.envoy.proxyevents import ProxyEvent, Settled
from tidegate.dataplanes.envoy.proxynode import from_message
from tidegate.dataplanes.envoy.proxystream import ProxyStream
from tidegate.dataplanes.envoy.roster import Roster
from tidegate.dataplanes.envoy.scopes import PlanRouter, Scope
from tidegate.dataplanes.envoy.stats import counting_loggers
from tidegate.dataplanes.envoy.translate import TranslateOptions
from tidegate.dataplanes.reports import ReportStream
from tidegate.names import ListenerKey, ObjectKey, SocketKey
from tidegate.plan.features import Features
from tidegate.plan.infrastructure import Infrastructure, KeptInfrastructure
from tidegate.plan.outcome import Report, SocketReport, Traffic
from tidegate.plan.types import PlanChange, Socket
from tidegate.telemetry.logs import logger

_OURS = ""
"""Where the streams to this replica are, for the roster."""

_TICK_SECONDS = 0.5
_LOG_FORMATS: Mapping[str, Literal["text", "json"]] = {"text": "text", "json": "json"}

_log = logger("envoy")


class FleetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``grace``: for how many seconds a proxy counts that has lost its stream, because its replica ended, say.

    When a node falls silent, all that had a connection to it notice within 5 s of each other, and a proxy comes back
    within 1 s of that.
    """

    grace: float = 8.0


class _Gateway:
    """One scope: its resources, its streams by the name of the proxy, and its access log."""

    def __init__(self) -> None:
        self.is_ours = False
        self.infrastructure: Infrastructure | None = None
        self.kept_log = "off"
        self.scope = Scope(self._loggers)
        self.streams: dict[str, ProxyStream] = {}

    @property
    def is_gone(self) -> bool:
        """Whether nobody needs to remember it."""
        return not self.is_ours and self.scope.is_empty and not self.streams

    @property
    def log_format(self) -> str:
        """The format of the access log."""
        return self.infrastructure.parameters.access_log if self.infrastructure is not None else self.kept_log

    def _loggers(self, prefix: str, listener: ListenerKey, route: ObjectKey | None) -> list[Message]:
        options = AccessLogOptions(format=_LOG_FORMATS.get(self.log_format, "off"), path=None)
        lines = access_log(options, listener=str(listener), route=route.path if route else "")
        labels = {"gateway": listener.owner.path, "listener": listener.listener}
        if route is not None:
            labels["route"] = route.path
        return [*counting_loggers(prefix, labels), *lines]


class _Replica:
    """What another replica reports on one stream; ``source`` is the stream's name."""

    def __init__(self, take: Callable[[str, ProxyEvent | None], None], source: str) -> None:
        self._take = take
        self._source = source
        self._complaints: set[str] = set()
        _log.info("replica reports", replica=source)

    def receive(self, message: bytes) -> None:
        try:
            heard = decode(message)
        except ValueError as error:
            self._complain(str(error))
            return
        for problem in heard.problems:
            self._complain(problem)
        for event in heard.events:
            self._take(self._source, event)

    def _complain(self, problem: str) -> None:
        """Once on a stream: a replica of another version says the same again and again."""
        if problem not in self._complaints:
            self._complaints.add(problem)
            _log.warning("report of a replica not understood", replica=self._source, reason=problem)

    def end(self) -> None:
        self._take(self._source, None)
        _log.info("replica reports no more", replica=self._source)


class EnvoyFleet:
    """Serves the proxies of many Gateways; implements ``DataPlane``.

    ``address`` is where to listen, ``host:port``; ``port`` tells which it became. ``credentials`` is asked for anew
    at every handshake. ``server_name`` is a DNS name in the certificate of every replica. ``start`` and ``close``
    must be called from the same task, which owns the plane's tasks.

    Gateways have to be made known by ``set_infrastructure``, in the same turn as the ``apply`` with what is planned
    for them: the proxies of others wait. It needs no order between the two.
    """

    def __init__(
        self, *, address: str, server_name: str, credentials: Credentials, options: FleetOptions | None = None
    ) -> None:
        self._gateways: dict[str, _Gateway] = {}
        self._router = PlanRouter()
        self._applied = False
        self._roster = Roster(grace=(options or FleetOptions()).grace)
        self._reports = ReportStream()
        self._server = FleetServer(address, credentials, converse=self._converse, attend=partial(_Replica, self._take))
        self._follower = Follower(credentials=credentials, server_name=server_name, present=self._present)
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def features(self) -> Features:
        """TCP listeners."""
        return FLEET_FEATURES

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        return self._server.port

    async def start(self) -> None:
        """Listen. Raises DataPlaneError."""
        await self._server.start()
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        jobs: dict[str, Coroutine[None, None, None]] = {"tick": self._tick(), "follow": self._follower.run()}
        self._tasks = [group.create_task(job, name=f"envoy fleet {name}") for name, job in jobs.items()]

    def set_infrastructure(self, changes: Mapping[ObjectKey, Infrastructure | KeptInfrastructure | None]) -> None:
        """The Gateways that came or changed, and, with None, those that are ours no more.

        The proxies of the latter are told nothing, so what they serve goes on until whoever runs them ends them. Those
        of one whose infrastructure is kept are served as before.
        """
        for key, infrastructure in changes.items():
            name = key.path
            gateway = self._gateway(name)
            log_format = gateway.log_format
            gateway.is_ours = infrastructure is not None
            if isinstance(infrastructure, KeptInfrastructure):
                gateway.kept_log = infrastructure.access_log
            else:
                gateway.infrastructure = infrastructure
            if gateway.log_format != log_format:
                self._send(gateway, gateway.scope.refresh(), ())
            self._serve(gateway)
            self._forget_if_gone(name)

    def apply(self, change: PlanChange) -> None:
        """Take a change and return at once."""
        for name, part in self._router.divide(change).items():
            gateway = self._gateway(name)
            sockets = {key: value for key, value in part.items() if isinstance(key, SocketKey)}
            for key, value in sockets.items():
                self._roster.plan(key, value.revision if isinstance(value, Socket) else None)
            self._send(gateway, gateway.scope.apply(part), sockets)
            self._publish(sockets)
            self._forget_if_gone(name)
        if not self._applied:
            self._applied = True
            for gateway in self._gateways.values():
                self._serve(gateway)

    def set_ready(self, scope: str, addresses: frozenset[str]) -> None:
        """The addresses of those proxies of a scope that get traffic now."""
        self._publish(self._roster.set_ready(scope, addresses))

    def covers(self, scope: str) -> bool:
        """Whether every address of a scope that is ready is that of a proxy with a stream here or at a replica that
        reports.
        """
        return self._roster.covers(scope)

    def lead(self) -> None:
        """Be the replica to which the others report, which they may do at any time."""
        self._follower.follow(None)

    def follow(self, leader: str | None) -> None:
        """Report to the replica at this address, ``host:port``. None: nobody leads, as far as is known."""
        self._follower.follow(leader)

    @property
    def has_proxies(self) -> bool:
        """Whether any proxy has a stream here."""
        return any(gateway.streams for gateway in self._gateways.values())

    async def send_away(self) -> None:
        """End the connections of all proxies and replicas, which come back at once, to whoever is there for them.

        Returns once it listens again, however long that takes.
        """
        await self._server.restart()

    def outcomes(self) -> AsyncIterator[Sequence[Report]]:
        """What became of what was applied, until ``close``."""
        return self._reports.batches()

    async def traffic(self) -> Sequence[Traffic]:
        """Nothing: proxies have counters of their own, for whoever asks them."""
        return ()

    async def close(self, *, drain: float | None) -> None:
        """End all streams. Proxies go on serving what they have: whoever runs them ends them. ``drain`` is ignored."""
        for task in self._tasks:
            task.cancel()
        try:
            await self._stack.aclose()
        finally:
            await self._server.stop()
            self._reports.close()

    def _gateway(self, name: str) -> _Gateway:
        return self._gateways.setdefault(name, _Gateway())

    def _forget_if_gone(self, name: str) -> None:
        if self._gateways[name].is_gone:
            del self._gateways[name]

    def _serve(self, gateway: _Gateway) -> None:
        """Let its proxies have what is planned, or not any more."""
        known = self._applied and gateway.is_ours
        if known != gateway.scope.known:
            gateway.scope.known = known
            self._send(gateway, {}, ())

    def _send(
        self, gateway: _Gateway, changed: Mapping[TranslateOptions, Changed], sockets: Iterable[SocketKey]
    ) -> None:
        for stream in tuple(gateway.streams.values()):
            stream.changed(changed.get(stream.node.surroundings, {}), sockets)

    def _converse(self, name: str, message: base_pb2.Node) -> ProxyStream:
        node = from_message(message)
        gateway = self._gateway(name)
        earlier = gateway.streams.get(node.name)
        if earlier is not None:
            earlier.supersede()
        catalog = gateway.scope.catalog(node.surroundings)
        stream = ProxyStream(name, node, catalog, happened=self._happened, ended=self._ended)
        gateway.streams[node.name] = stream
        _log.info("proxy connected", gateway=name, proxy=node.name, addresses=node.addresses)
        self._happened(stream.introduction())
        return stream

    def _ended(self, stream: ProxyStream) -> None:
        del self._gateways[stream.scope].streams[stream.node.name]
        self._forget_if_gone(stream.scope)
        _log.info("proxy disconnected", gateway=stream.scope, proxy=stream.node.name)

    def _happened(self, event: ProxyEvent) -> None:
        """Something happened to a proxy whose stream is here."""
        if isinstance(event, Settled):
            _log.info("proxy configured", gateway=event.scope, proxy=event.node)
        self._take(_OURS, event)
        self._follower.put(event)

    def _take(self, source: str, event: ProxyEvent | None) -> None:
        """Something happened to a proxy, here or elsewhere; None: to all of that replica, because it is gone."""
        now = asyncio.get_running_loop().time()
        self._publish(self._roster.lose(source, now) if event is None else self._roster.take(source, event, now))

    def _present(self) -> Iterator[ProxyEvent]:
        return (stream.introduction() for gateway in self._gateways.values() for stream in gateway.streams.values())

    def _publish(self, keys: Iterable[SocketKey]) -> None:
        for key in keys:
            self._reports.put(SocketReport(socket=key, outcome=self._roster.outcome(key)))

    async def _tick(self) -> None:
        """Offer listeners again that could not be opened, and let go of proxies that did not come back."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            for gateway in self._gateways.values():
                for stream in gateway.streams.values():
                    stream.tick(loop.time())
            self._publish(self._roster.expire(loop.time()))
