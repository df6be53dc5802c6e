"""Tells operators what happens, as Kubernetes Events, while this replica leads.

In: statuses that were written, and what else there is to tell of an object. Out: events that ``kubectl describe``
shows. They are of ``events.k8s.io/v1``, not the older kind of the core group: the server keeps both as one, and the
newer has a series for repetitions and names who reports. Nobody waits for an event, and nothing depends on one: what
cannot be written is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from typing import Any, Protocol

from tidegate.errors import KubeError
from tidegate.kube.resources import ApiResource
from tidegate.reporting.base import Subject, Written
from tidegate.reporting.happenings import Happening, Tone, happenings
from tidegate.reporting.jitter import jitter
from tidegate.reporting.journal import Entry, Journal
from tidegate.reporting.pacing import Allowance, Outage
from tidegate.reporting.refusals import is_gone, not_now
from tidegate.telemetry.logs import logger

EVENTS = ApiResource("events.k8s.io", "v1", "events")
CLUSTER_NAMESPACE = "default"
"""Where events about objects lie that are in no namespace."""

LONGEST_NOTE = 1024
"""In bytes of UTF-8; the API server refuses longer ones."""
LONGEST_NAME = 200
"""In characters; the API server refuses longer ones, before it makes them shorter still and adds its own."""


class EventClient(Protocol):
    """What is asked of an API server here; ``kube.client.KubeClient`` does it. Raises KubeError."""

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object in the collection at a path; what became of it."""
        ...

    async def merge_patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """JSON merge patch (RFC 7396)."""
        ...


class EventRecorder:
    """Writes events one by one while it runs. Without running it takes and forgets everything.

    ``instance`` is who we are among the replicas, such as the name of our Pod.
    """

    def __init__(self, client: EventClient, *, controller_name: str, instance: str) -> None:
        self._client = client
        self._controller = controller_name
        self._instance = instance
        self._journal: Journal | None = None
        self._pace = Allowance(burst=50, refill=0.1, gap=0.0)
        self._outage = Outage()
        self._quiet = False
        self._news = asyncio.Event()
        self._log = logger("events")

    def wrote(self, written: Written) -> None:
        """A status was written: tell what it means, if it means anything. Returns at once, and never fails."""
        try:
            for happening in happenings(written, self._controller):
                self._note(happening)
        except Exception as error:  # noqa: BLE001 - contained: whoever wrote the status must not suffer from this
            self._log.error("internal error, contained", object=str(written.subject.key), exc_info=error)

    def tell(self, subject: Subject, *, tone: Tone, reason: str, note: str, action: str) -> None:
        """Tell anything else about an object. Returns at once.

        ``reason`` and ``action`` are words in upper camel case, ``note`` is a text for people.
        """
        self._note(Happening(subject=subject, tone=tone, reason=reason, note=note, action=action))

    def left_out(self, subject: Subject, note: str) -> None:
        """A status could not say all that it should: tell that. Returns at once."""
        self.tell(subject, tone=Tone.WARNING, reason="StatusFull", note=note, action="UpdateStatus")

    async def run(self) -> None:
        """Write events until cancelled."""
        self._journal, self._outage, self._quiet = Journal(), Outage(), False
        try:
            while True:
                entry = await self._next(self._journal)
                await self._write(self._journal, entry)
        finally:
            self._journal = None

    def _note(self, happening: Happening) -> None:
        if self._journal is None:
            return
        if self._journal.note(happening, time.monotonic(), dt.datetime.now(dt.UTC)):
            self._news.set()
        else:
            self._log.debug("too many events", object=str(happening.subject.key), reason=happening.reason)

    async def _next(self, journal: Journal) -> Entry:
        while True:
            now = time.monotonic()
            ready = max(self._pace.ready_at, self._outage.until)
            if now >= ready and (entry := journal.take(now)) is not None:
                self._pace.use(now)
                return entry
            due = journal.next_due
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(due, ready) - now):
                    await self._news.wait()

    async def _write(self, journal: Journal, entry: Entry) -> None:
        count = entry.count
        try:
            name = await self._send(entry)
        except KubeError as error:
            self._failed(journal, entry, error)
        else:
            self._outage.over()
            journal.told(entry, name, count, time.monotonic())

    async def _send(self, entry: Entry) -> str:
        """Create an event, or count it up; its name."""
        namespace = entry.happening.subject.key.namespace or CLUSTER_NAMESPACE
        if entry.name:
            await self._client.merge_patch(EVENTS.object(namespace, entry.name), {"series": _series(entry)})
            return entry.name
        created = await self._client.create(EVENTS.collection(namespace), self._body(entry, namespace))
        name: str = created["metadata"]["name"]
        return name

    def _failed(self, journal: Journal, entry: Entry, error: KubeError) -> None:
        now = time.monotonic()
        if not_now(error):
            self._outage.failed(now, jitter=jitter(), at_least=error.retry_after or 0.0)
            journal.again(entry, now)
            return
        self._outage.over()
        if is_gone(error) and entry.name:
            # Events do not live long: this one is told anew, with all that was counted.
            entry.name = ""
            journal.again(entry, now)
            return
        journal.failed(entry)
        if not self._quiet:
            self._quiet = True
            self._log.warning("an event was not written; more of these are not logged", error=str(error))

    def _body(self, entry: Entry, namespace: str) -> dict[str, Any]:
        happening = entry.happening
        name = happening.subject.key.name[:LONGEST_NAME]
        body = {
            "apiVersion": EVENTS.api_version,
            "kind": "Event",
            "metadata": {"generateName": f"{name.rstrip('.-')}-", "namespace": namespace},
            "eventTime": _micro_time(entry.first),
            "type": happening.tone.value,
            "reason": happening.reason,
            "action": happening.action,
            "note": _shortened(happening.note),
            "regarding": _reference(happening.subject),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
        }
        return body | ({"series": _series(entry)} if entry.count > 1 else {})


def _series(entry: Entry) -> dict[str, Any]:
    return {"count": entry.count, "lastObservedTime": _micro_time(entry.last)}


def _reference(subject: Subject) -> dict[str, str]:
    key = subject.key
    reference = {
        "apiVersion": f"{key.group}/{subject.version}" if key.group else subject.version,
        "kind": key.kind,
        "name": key.name,
        "uid": subject.uid,
    }
    return reference | ({"namespace": key.namespace} if key.namespace else {})


def _shortened(note: str) -> str:
    data = note.encode()
    ellipsis = "…"
    room = LONGEST_NOTE - len(ellipsis.encode())
    return note if len(data) <= LONGEST_NOTE else data[:room].decode(errors="ignore") + ellipsis


def _micro_time(moment: dt.datetime) -> str:
    """``metav1.MicroTime``."""
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
