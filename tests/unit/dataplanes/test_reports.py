"""The stream of outcomes keeps the newest and drops what is no news."""

from __future__ import annotations

import asyncio

from support.plans import socket_key
from tidegate.dataplanes.reports import ReportStream
from tidegate.plan.outcome import AddressReport, Live, Outcome, Pending, Report, SocketReport

ONE, TWO = socket_key(1), socket_key(2)


def report(key: int, outcome: Outcome | None) -> SocketReport:
    return SocketReport(socket=socket_key(key), outcome=outcome)


async def drain(stream: ReportStream) -> list[list[Report]]:
    stream.close()
    return [list(batch) async for batch in stream.batches()]


async def test_newest_outcome_of_each_socket() -> None:
    """A slow reader gets only the newest outcome of each socket, all in one batch."""
    stream = ReportStream()
    stream.put(report(1, Pending(revision="a")))
    stream.put(report(2, Pending(revision="a")))
    stream.put(report(1, Live(revision="a")))
    assert await drain(stream) == [[report(1, Live(revision="a")), report(2, Pending(revision="a"))]]


async def test_repetition_is_no_news() -> None:
    """What was reported last is not reported again, even after it was read."""
    stream = ReportStream()
    stream.put(report(1, Live(revision="a")))
    batches = stream.batches()
    assert await anext(batches) == [report(1, Live(revision="a"))]
    stream.put(report(1, Live(revision="a")))
    stream.put(report(2, Live(revision="a")))
    assert await anext(batches) == [report(2, Live(revision="a"))]


async def test_unknown_socket_is_not_reported_gone() -> None:
    """Only a socket that had an outcome can go; and only once."""
    stream = ReportStream()
    stream.put(report(1, None))
    stream.put(report(2, Live(revision="a")))
    stream.put(report(2, None))
    stream.put(report(2, None))
    assert await drain(stream) == [[report(2, None)]]


async def test_addresses_travel_with_sockets() -> None:
    """Addresses have a place per scope of their own."""
    stream = ReportStream()
    first = AddressReport(scope="a", addresses=("192.0.2.1",))
    stream.put(first)
    stream.put(first)
    second = AddressReport(scope="a", addresses=("192.0.2.2",))
    stream.put(second)
    assert await drain(stream) == [[second]]


async def test_reader_waits_for_news() -> None:
    """A reader that comes first is woken by the first report."""
    stream = ReportStream()
    async with asyncio.TaskGroup() as group:
        batch = group.create_task(anext(stream.batches()))
        await asyncio.sleep(0)
        stream.put(report(1, Live(revision="a")))
    assert batch.result() == [report(1, Live(revision="a"))]


async def test_close_without_news_ends_readers() -> None:
    """A closed stream without reports ends at once."""
    assert await drain(ReportStream()) == []
