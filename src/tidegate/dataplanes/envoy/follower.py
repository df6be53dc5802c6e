"""Tells the leading replica what happens to the proxies whose streams are here.

In: who leads, and events. Out: a stream to the leader, over the same port as the proxies' and with the same mutual
TLS: first all that holds, then what changes. It is opened again whenever it ends. What the leader makes of it is left
to its ``roster``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import grpc

from tidegate.dataplanes.envoy import keepalive
from tidegate.dataplanes.envoy.credentials import Credentials
from tidegate.dataplanes.envoy.fleetserver import REPORT
from tidegate.dataplanes.envoy.outbox import Outbox, encode
from tidegate.dataplanes.envoy.proxyevents import ProxyEvent
from tidegate.errors import DataPlaneError
from tidegate.telemetry.logs import logger

FIRST_BACK_OFF = 0.2
LONGEST_BACK_OFF = 2.0

_log = logger("envoy")


class Follower:
    """Reports to one leader at a time. ``present`` gives all that holds now, for a stream that begins.

    ``server_name`` is a DNS name in the certificate of every replica, whatever its address is.
    """

    def __init__(
        self, *, credentials: Credentials, server_name: str, present: Callable[[], Iterable[ProxyEvent]]
    ) -> None:
        self._credentials = credentials
        self._server_name = server_name
        self._present = present
        self._leader: str | None = None
        self._decided = asyncio.Event()
        self._outbox: Outbox | None = None

    def follow(self, leader: str | None) -> None:
        """Report to the replica at this address, ``host:port``; None: to nobody."""
        if leader != self._leader:
            self._leader = leader
            self._decided.set()

    def put(self, event: ProxyEvent) -> None:
        """Something happened to a proxy of ours."""
        if self._outbox is not None:
            self._outbox.put(event)

    async def run(self) -> None:
        """Report, until cancelled."""
        while True:
            self._decided.clear()
            async with asyncio.TaskGroup() as tasks:
                report = tasks.create_task(self._report_to(self._leader), name="report to the leader")
                await self._decided.wait()
                report.cancel()

    async def _report_to(self, leader: str | None) -> None:
        """Report to one leader, again and again, until cancelled."""
        if leader is None:
            return
        loop, delay, told = asyncio.get_running_loop(), FIRST_BACK_OFF, ""
        while True:
            began = loop.time()
            self._outbox = Outbox(self._present())
            try:
                await self._report_once(leader, self._outbox)
                reason = "it ended the stream"
            except DataPlaneError as error:
                reason = str(error)
            finally:
                self._outbox = None
            if loop.time() - began > LONGEST_BACK_OFF:
                delay = FIRST_BACK_OFF
            # Once per reason, not once per attempt.
            if reason != told:
                told = reason
                _log.warning("leader not told", leader=leader, reason=reason)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_BACK_OFF)

    async def _report_once(self, leader: str, outbox: Outbox) -> None:
        """One stream, to its end. Raises DataPlaneError."""
        now = self._credentials()
        credentials = grpc.ssl_channel_credentials(now.authorities, now.key, now.certificate)
        options = (*keepalive.GRPC_OPTIONS, ("grpc.ssl_target_name_override", self._server_name))
        service, method = REPORT
        failure: grpc.aio.AioRpcError | None = None
        async with (
            grpc.aio.secure_channel(leader, credentials, options=options) as channel,
            asyncio.TaskGroup() as tasks,
        ):
            open_stream: Any = channel.stream_unary(f"/{service}/{method}", bytes, bytes)
            report = open_stream()
            telling = tasks.create_task(_tell(report, outbox), name="tell the leader")
            try:
                await report
            except grpc.aio.AioRpcError as error:
                failure = error
            # gRPC would let it wait for ever for something to tell.
            telling.cancel()
        if failure is not None:
            raise DataPlaneError(f"{failure.code().name.lower()}: {failure.details()}") from failure


async def _tell(report: Any, outbox: Outbox) -> None:
    """Write until that fails: why it does is said to whoever waits for the end of the report."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        async for batch in outbox.batches():
            await report.write(encode(batch))
