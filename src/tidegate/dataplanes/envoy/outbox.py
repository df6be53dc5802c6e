"""What is to be told to the leading replica: the newest of each proxy, however slowly the leader reads.

In: what happened to proxies. Out: batches of events that add up to the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import msgspec

from tidegate.dataplanes.envoy.proxyevents import Changed, ProxyEvent, Settled
from tidegate.names import SocketKey
from tidegate.plan.outcome import SocketReport

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[ProxyEvent, ...])
_items = msgspec.json.Decoder(tuple[dict[str, Any], ...])


class _About(msgspec.Struct):
    """The part of a report that says which socket it is about."""

    socket: SocketKey


class Heard(msgspec.Struct, frozen=True):
    """A batch as far as this version understands it, and in ``problems`` what it does not, for people."""

    events: Sequence[ProxyEvent]
    problems: Sequence[str] = ()


class Outbox:
    """A mailbox with one place per proxy. It begins with ``present``, all that holds now."""

    def __init__(self, present: Iterable[ProxyEvent] = ()) -> None:
        self._waiting: dict[tuple[str, str], ProxyEvent] = {}
        self._news = asyncio.Event()
        for event in present:
            self.put(event)

    def put(self, event: ProxyEvent) -> None:
        """Something happened. Whatever is not ``Changed`` says all there is to say of a proxy."""
        key = (event.scope, event.node)
        before = self._waiting.get(key)
        if isinstance(event, Changed) and isinstance(before, Changed | Settled):
            event = msgspec.structs.replace(before, reports=_newest((*before.reports, *event.reports)))
        self._waiting[key] = event
        self._news.set()

    async def batches(self) -> AsyncIterator[Sequence[ProxyEvent]]:
        """What is new, as soon as anything is. For one reader."""
        while True:
            await self._news.wait()
            self._news.clear()
            yield self.waiting()

    def waiting(self) -> Sequence[ProxyEvent]:
        """What is new now."""
        batch, self._waiting = tuple(self._waiting.values()), {}
        return batch


def _newest(reports: Iterable[SocketReport]) -> tuple[SocketReport, ...]:
    return tuple({report.socket: report for report in reports}.values())


def encode(batch: Sequence[ProxyEvent]) -> bytes:
    """A batch as it goes over the wire."""
    return _encoder.encode(batch)


def decode(message: bytes) -> Heard:
    """A batch that came over the wire.

    Of what another version says, only that is left out which this one does not understand: an event, or the outcome of
    a socket, of which then nothing is known. Raises ValueError when it is no batch at all.
    """
    try:
        return Heard(_decoder.decode(message))
    except msgspec.ValidationError:
        pass
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    try:
        items = _items.decode(message)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    events: list[ProxyEvent] = []
    problems: list[str] = []
    for item in items:
        try:
            events.append(msgspec.convert(_understood(item, problems), ProxyEvent))
        except msgspec.ValidationError as error:
            problems.append(str(error))
    return Heard(events, problems)


def _understood(item: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """An event in which every outcome is one that we know, or none."""
    if not isinstance(item.get("reports"), list):
        return item
    reports = []
    for report in item["reports"]:
        try:
            msgspec.convert(report, SocketReport)
            reports.append(report)
        except msgspec.ValidationError as error:
            problems.append(str(error))
            if _is_about_a_socket(report):
                reports.append({**report, "outcome": None})
    return {**item, "reports": reports}


def _is_about_a_socket(report: Any) -> bool:
    try:
        msgspec.convert(report, _About)
    except msgspec.ValidationError:
        return False
    return True
