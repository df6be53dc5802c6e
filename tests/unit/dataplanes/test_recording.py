"""The plane in memory remembers plans and says what it is told to say."""

from __future__ import annotations

from support.planes import serving
from support.plans import forward, pool, remove, socket_key
from tidegate.dataplanes.recording import RecordingDataPlane
from tidegate.plan.outcome import Failed, FailureReason, Live, SocketReport


async def test_remembers_plan_and_changes() -> None:
    """The plan is what all changes together make of it, the changes are kept in order."""
    plane = RecordingDataPlane()
    first, second = pool("a", 1) | forward(80, "a"), remove(80)
    async with serving(plane):
        plane.apply(first)
        assert plane.plan == first
        plane.apply(second)
        assert plane.plan == pool("a", 1)
        assert plane.changes == [first, second]


async def test_features_are_as_told() -> None:
    """It can do what it was made to do."""
    assert RecordingDataPlane(protocols=frozenset({"UDP"})).features.protocols == {"UDP"}


async def test_outcomes_only_on_demand() -> None:
    """Without automatic outcomes, a socket has none until one is reported; a removal is always reported."""
    plane = RecordingDataPlane(automatic=False)
    failed = Failed(revision="x", reason=FailureReason.PORT_UNAVAILABLE, message="taken")
    async with serving(plane) as present:
        plane.apply(forward(80, "a") | forward(81, "a"))
        plane.report(SocketReport(socket=socket_key(81), outcome=failed))
        assert await present.until(81, Failed) == failed
        assert set(present.outcomes) == {socket_key(81)}
        plane.apply(remove(81) | forward(82))
        plane.report(SocketReport(socket=socket_key(82), outcome=Live(revision="y")))
        await present.until(82, Live)
        assert set(present.outcomes) == {socket_key(82)}


async def test_close_says_how() -> None:
    """How it was closed can be read afterwards; there was no traffic."""
    plane = RecordingDataPlane()
    async with serving(plane, drain=7.0):
        assert await plane.traffic() == ()
    assert plane.closed_with == 7.0
