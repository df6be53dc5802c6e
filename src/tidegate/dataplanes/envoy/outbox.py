"""What is to be told to the leading replica: the newest of each proxy, however slowly the leader reads.

In: what happened to proxies. Out: batches of events that add up to the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from tidegate.dataplanes.envoy.proxyevents import Changed, ProxyEvent, Settled
from tidegate.plan.outcome import SocketReport

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[ProxyEvent, ...])


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


def decode(message: bytes) -> Sequence[ProxyEvent]:
    """A batch that came over the wire. Raises ValueError when it is none that this version understands."""
    try:
        return _decoder.decode(message)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
