"""Who comes first."""

from __future__ import annotations

import datetime as dt

import pytest

from tidegate.core.precedence import RankedClaim, RankedRoute, age_of
from tidegate.model.meta import ObjectMeta
from tidegate.names import GATEWAY_GROUP, ListenerKey, ObjectKey, SocketKey


def meta(name: str, *, second: float | None = None, order: int = 0, namespace: str = "default") -> ObjectMeta:
    """Metadata with a creation second of one minute."""
    created = None
    if second is not None:
        created = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=second)
    return ObjectMeta(name=name, namespace=namespace, creation_timestamp=created, order=order)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (meta("z", second=1), meta("a", second=2)),
        (meta("z", second=1, order=9), meta("a", second=2, order=1)),
        (meta("z", second=1, order=1), meta("a", second=1, order=2)),
        (meta("z", second=1.1, order=1), meta("a", second=1.0, order=2)),
        (meta("a", second=1), meta("b", second=1)),
        (meta("z", second=1, namespace="a"), meta("a", second=1, namespace="b")),
        (meta("x", second=1, namespace="a-b"), meta("x", second=1, namespace="a")),
        (meta("z", second=1), meta("a")),
        (meta("z", order=1), meta("a", order=2)),
        (meta("a"), meta("b")),
    ],
)
def test_older_comes_first(first: ObjectMeta, second: ObjectMeta) -> None:
    """Creation second, then order of appearance, then ``namespace/name`` as text; no time counts as youngest."""
    assert age_of(first) < age_of(second)


def test_zones_do_not_matter() -> None:
    """The same moment in another zone is the same age."""
    zone = dt.timezone(dt.timedelta(hours=2))
    there = ObjectMeta(name="a", creation_timestamp=dt.datetime(2026, 1, 1, 2, tzinfo=zone))
    here = ObjectMeta(name="a", creation_timestamp=dt.datetime(2026, 1, 1, 0, tzinfo=dt.UTC))
    assert age_of(there) == age_of(here)


def test_ranks_sort_by_age_then_position() -> None:
    """Routes sort by age, listeners by their owner's age and then by their position in it."""
    old, young = age_of(meta("old", second=1)), age_of(meta("young", second=2))
    routes = [RankedRoute(young, ObjectKey(GATEWAY_GROUP, "TCPRoute", "default", "a"))]
    routes.append(RankedRoute(old, ObjectKey(GATEWAY_GROUP, "TCPRoute", "default", "z")))
    assert [one.age for one in sorted(routes)] == [old, young]
    owner = ObjectKey(GATEWAY_GROUP, "Gateway", "default", "g")
    socket = SocketKey("standalone", "*", "TCP", 1)
    claims = [
        RankedClaim(young, 0, ListenerKey(owner, "a"), socket),
        RankedClaim(old, 2, ListenerKey(owner, "b"), socket),
    ]
    claims.append(RankedClaim(old, 1, ListenerKey(owner, "c"), socket))
    assert [one.listener.listener for one in sorted(claims)] == ["c", "b", "a"]
