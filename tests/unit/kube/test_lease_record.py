from __future__ import annotations

import datetime as dt
from typing import Any

from tidegate.kube.lease_record import Member, read, released, taken

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(seconds=5)
A, B = Member("a", "10.0.0.1:1"), Member("b", "10.0.0.2:1")


def take(lease: dict[str, Any] | None, member: Member, now: dt.datetime = NOW) -> dict[str, Any]:
    return taken(lease, member, namespace="ns", name="leader", seconds=15, now=now)


def test_new_lease() -> None:
    """The first holder makes it; times are UTC with microseconds, as the API wants them."""
    assert take(None, A) == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": "ns", "name": "leader", "annotations": {"tidegate.dev/address": "10.0.0.1:1"}},
        "spec": {
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-02T03:04:05.000678Z",
            "renewTime": "2026-01-02T03:04:05.000678Z",
            "leaseTransitions": 0,
        },
    }


def test_renewal_keeps_the_time_of_the_start() -> None:
    """Only the time of the renewal moves."""
    before, after = take(None, A), take(take(None, A), A, LATER)
    assert after["spec"] == before["spec"] | {"renewTime": "2026-01-02T03:04:10.000678Z"}


def test_other_holder_is_a_transition() -> None:
    """Holder, address and both times are those of the new one, and transitions are counted."""
    lease = take(take(None, A), B, LATER)
    assert read(lease).holder == B
    assert lease["spec"]["acquireTime"] == lease["spec"]["renewTime"] == "2026-01-02T03:04:10.000678Z"
    assert lease["spec"]["leaseTransitions"] == 1


def test_release_leaves_nobody() -> None:
    """A released lease has neither holder nor address; who takes it next starts anew."""
    lease = released(take(None, A), now=LATER)
    assert read(lease).holder is None
    assert lease["metadata"]["annotations"] == {}
    assert take(lease, B)["spec"]["leaseTransitions"] == 1


def test_what_others_wrote_stays() -> None:
    """Labels, annotations and fields that are not ours are left alone."""
    lease = take(None, A)
    lease["metadata"] |= {"labels": {"x": "y"}, "resourceVersion": "7"}
    lease["metadata"]["annotations"]["z"] = "1"
    lease["spec"]["strategy"] = "OldestEmulationVersion"
    after = released(take(lease, B), now=LATER)
    assert after["metadata"]["labels"] == {"x": "y"}
    assert after["metadata"]["resourceVersion"] == "7"
    assert after["metadata"]["annotations"] == {"z": "1"}
    assert after["spec"]["strategy"] == "OldestEmulationVersion"


def test_mark_differs_after_each_renewal() -> None:
    """Whoever looks sees that a lease is alive by its mark; the same lease has the same."""
    lease = take(None, A)
    assert read(lease).mark == read(dict(lease)).mark
    assert read(lease).mark != read(take(lease, A, LATER)).mark


def test_lease_that_says_nothing() -> None:
    """Somebody may have made an empty one; it is free."""
    record = read({"metadata": {"name": "x"}})
    assert (record.holder, record.seconds) == (None, None)
    assert read({"metadata": {}, "spec": {"holderIdentity": ""}}).holder is None
