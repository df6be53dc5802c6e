"""Writes statuses into a Kubernetes cluster, while this replica leads.

In: what the source shows of every object, and the statuses in force. Out: changes of the status subresource, as few
as say it. What to write and when is decided by the ledger; here are the requests, and what their failures mean.

A change is a JSON merge patch that names the resource version which it was made from, so that it is refused when
anybody was faster, and that has nothing of the object but the status, so that no other field can be in its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import enum
import time
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.errors import KubeError
from tidegate.kube.resources import ApiResource
from tidegate.model.kinds import Kind
from tidegate.model.observed import Observed
from tidegate.model.status import Status
from tidegate.names import ObjectKey
from tidegate.reporting.base import StatusClient, Subject, Written
from tidegate.reporting.jitter import jitter
from tidegate.reporting.ledger import Attempt, Ledger
from tidegate.reporting.pacing import Outage
from tidegate.reporting.refusals import conflicts, is_gone, never, not_now
from tidegate.telemetry.logs import logger

CONCURRENCY = 8
"""How many objects are written at a time."""


class WriteOutcome(enum.StrEnum):
    """What became of looking after one object's status. Unchanged: nothing was to be written, or not any more."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    FAILED = "failed"


def _ignore(*_: object) -> None:
    """Whoever does not want to know."""


class KubernetesStatusWriter:
    """Implements ``StatusWriter``. ``observe``, ``publish`` and ``complete`` at any time, ``run`` while leading.

    ``counted`` is called for every object looked after, ``written`` for every status that was written, ``crowded``
    with a text when entries of ours have no room next to those of others. ``doubted`` says of which Gateways too little
    is known for now to take back that they are Programmed. All return at once.
    """

    def __init__(
        self,
        client: StatusClient,
        *,
        controller_name: str,
        counted: Callable[[Kind, WriteOutcome], None] = _ignore,
        written: Callable[[Written], None] = _ignore,
        crowded: Callable[[Subject, str], None] = _ignore,
        doubted: Callable[[ObjectKey], bool] = lambda _: False,
    ) -> None:
        self._client = client
        self._ledger = Ledger(controller_name, doubted=doubted)
        self._outage = Outage()
        self._counted = counted
        self._written = written
        self._crowded = crowded
        self._news = asyncio.Event()
        # One worker waits for news; those behind it need not wake up for each.
        self._queue = asyncio.Lock()
        self._log = logger("statuses")

    def observe(self, key: ObjectKey, observed: Observed | None) -> None:
        """Take what is written in an object's status now; None: the object is gone."""
        self._ledger.observe(key, observed, time.monotonic())
        self._news.set()

    def publish(self, statuses: Mapping[ObjectKey, Status | None]) -> None:
        """Take statuses that are new; None: what was written of ours is to be withdrawn."""
        self._ledger.publish(statuses, time.monotonic())
        self._news.set()

    def complete(self) -> None:
        """Everything in force has been published once, so entries of ours that nobody published are left over.

        Until then they are left alone: at the start they may just not have been decided again.
        """
        self._ledger.complete(time.monotonic())
        self._news.set()

    async def run(self) -> None:
        """Write whatever differs from what is in force, until cancelled. Only one replica may do that at a time."""
        self._outage = Outage()
        self._ledger.begin(time.monotonic())
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(CONCURRENCY):
                    tasks.create_task(self._work(), name=f"status writer {number}")
        finally:
            self._ledger.end()

    async def _work(self) -> None:
        while True:
            key = await self._turn()
            try:
                await self._attend(key)
            except Exception as error:  # noqa: BLE001 - contained: one object must not keep all others from their turn
                self._ledger.refused(key)
                self._log.error("internal error, contained", object=str(key), error=repr(error), exc_info=error)
            finally:
                self._ledger.release(key)
                self._news.set()
            # What needs no request must not keep the loop from everything else.
            await asyncio.sleep(0)

    async def _turn(self) -> ObjectKey:
        """The next object. While the server does not answer, it is asked by one worker at a time, after a while."""
        async with self._queue:
            while True:
                now = time.monotonic()
                if self._outage.on and (self._ledger.busy or now < self._outage.until):
                    wake = None if self._ledger.busy else self._outage.until
                elif (key := self._ledger.take(now)) is not None:
                    return key
                else:
                    wake = self._ledger.next_due
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if wake is None else max(0.0, wake - now)):
                        await self._news.wait()

    async def _attend(self, key: ObjectKey) -> None:
        attempt = self._ledger.attempt(key, time.monotonic(), dt.datetime.now(dt.UTC))
        if attempt is None:
            return
        self._tell_homeless(attempt)
        if attempt.body is None:
            self._counted(attempt.kind, WriteOutcome.UNCHANGED)
            return
        try:
            answer = await self._client.merge_patch(_path(attempt, "status"), attempt.body)
        except KubeError as error:
            await self._failed(attempt, error)
            return
        self._answered()
        observed = _observed(answer, attempt.seen.version)
        written = self._ledger.written(attempt, observed, time.monotonic(), dt.datetime.now(dt.UTC))
        self._counted(attempt.kind, WriteOutcome.WRITTEN)
        self._written(written)

    async def _failed(self, attempt: Attempt, error: KubeError) -> None:
        if not conflicts(error):
            self._counted(attempt.kind, WriteOutcome.UNCHANGED if is_gone(error) else WriteOutcome.FAILED)
            self._handle(attempt, error)
            return
        self._counted(attempt.kind, WriteOutcome.CONFLICT)
        try:
            answer = await self._client.get(_path(attempt))
        except KubeError as failure:
            self._handle(attempt, failure)
            return
        self._answered()
        fresh = _observed(answer, attempt.seen.version)
        self._ledger.conflicted(attempt.key, fresh, time.monotonic(), jitter=jitter())

    def _handle(self, attempt: Attempt, error: KubeError) -> None:
        """Decide when an object that could not be written or read has its next turn."""
        now = time.monotonic()
        if not_now(error):
            if not self._outage.on:
                self._log.warning("statuses wait for the API server", error=str(error))
            self._outage.failed(now, jitter=jitter(), at_least=error.retry_after or 0.0)
            self._ledger.again(attempt.key, now)
            return
        self._answered()
        if is_gone(error):
            self._ledger.lost(attempt.key)
        elif never(error):
            self._ledger.refused(attempt.key)
            self._log.error("status refused by the API server", object=str(attempt.key), error=str(error))
        elif self._ledger.failed(attempt.key, now, jitter=jitter()) == 1:
            self._log.warning("status not written, trying again", object=str(attempt.key), error=str(error))

    def _answered(self) -> None:
        if self._outage.on:
            self._outage.over()
            self._log.info("statuses are written again")

    def _tell_homeless(self, attempt: Attempt) -> None:
        if attempt.homeless:
            names = ", ".join(entry["parentRef"]["name"] for entry in attempt.homeless)
            text = f"no room in status.parents, which is full with entries of other controllers, for: {names}"
            self._log.warning("status incomplete", object=str(attempt.key), problem=text)
            self._crowded(attempt.subject, text)


def _path(attempt: Attempt, subresource: str = "") -> str:
    kind = attempt.kind
    resource = ApiResource(kind.group, attempt.seen.version, kind.plural, kind.namespaced)
    return resource.object(attempt.key.namespace, attempt.key.name, subresource)


def _observed(answer: Mapping[str, Any], version: str) -> Observed:
    metadata = answer["metadata"]
    return Observed(
        version=version,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 0),
        status=answer.get("status") or {},
    )
