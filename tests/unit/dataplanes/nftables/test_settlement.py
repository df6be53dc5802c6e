"""The outcome of a socket follows from what the kernel took, and from its port and address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.plans import socket_key
from tidegate.dataplanes.nftables.doors import Contest
from tidegate.dataplanes.nftables.settlement import Settlement
from tidegate.names import SocketKey
from tidegate.plan.outcome import Failed, FailureReason, Live, Pending

KEY, OTHER = socket_key(80), socket_key(81)


@pytest.fixture
def settlement() -> Settlement:
    """One in which the first revision of a socket serves."""
    present = Settlement()
    present.written(KEY, "1", "a note")
    return present


def reason(settlement: Settlement, revision: str = "1") -> FailureReason:
    outcome = settlement.outcome(KEY, revision)
    assert isinstance(outcome, Failed)
    assert outcome.revision == revision
    return outcome.reason


def test_written_is_live(settlement: Settlement) -> None:
    """A revision that the kernel has is live, with its note; another one is pending, and so is an unknown socket."""
    assert settlement.outcome(KEY, "1") == Live(revision="1", note="a note")
    assert settlement.outcome(KEY, "2") == Pending(revision="2")
    assert settlement.outcome(OTHER, "1") == Pending(revision="1")


def test_a_note_goes_with_what_it_was_about(settlement: Settlement) -> None:
    """Written again without a note, there is none."""
    settlement.written(KEY, "1", "")
    assert settlement.outcome(KEY, "1") == Live(revision="1")


def test_rejection_is_about_a_revision(settlement: Settlement) -> None:
    """The refused revision fails, what was written before is live again when it is wanted, a later one is pending."""
    settlement.reject(KEY, "2", "No space left on device")
    assert reason(settlement, "2") is FailureReason.INVALID
    outcome = settlement.outcome(KEY, "2")
    assert isinstance(outcome, Failed)
    assert "No space left on device" in outcome.message
    assert settlement.outcome(KEY, "1") == Live(revision="1", note="a note")
    assert settlement.outcome(KEY, "3") == Pending(revision="3")
    assert set(settlement.rejected()) == {KEY}
    settlement.written(KEY, "2", "")
    assert settlement.outcome(KEY, "2") == Live(revision="2")
    assert not settlement.rejected()


def test_somebody_else_listens(settlement: Settlement) -> None:
    """Only changes are told; who was looked at and is free again is free, others are as before."""
    assert settlement.hold([KEY, OTHER], {KEY: "nginx", OTHER: "sshd"}) == {KEY, OTHER}
    assert settlement.hold([KEY, OTHER], {KEY: "nginx", OTHER: "sshd"}) == set()
    assert reason(settlement) is FailureReason.PORT_UNAVAILABLE
    assert settlement.hold([KEY], {}) == {KEY}
    assert not settlement.is_held(KEY)
    assert settlement.is_held(OTHER)


def test_holders_cost_what_is_held() -> None:
    """A look at very many sockets does not go through all of them."""

    class Many(set[SocketKey]):
        def __iter__(self) -> Iterator[SocketKey]:
            raise AssertionError("gone through")

    settlement = Settlement()
    assert settlement.hold(Many([KEY, OTHER]), {}) == set()
    assert settlement.hold(Many([KEY, OTHER]), {KEY: "nginx"}) == {KEY}
    assert settlement.hold(Many([OTHER]), {}) == set()
    assert settlement.hold(Many([KEY, OTHER]), {}) == {KEY}


def test_another_instance(settlement: Settlement) -> None:
    """Only changes are told; one that closes holds the socket, one that merely comes first does not."""
    held, shadowed = Contest("held", closed=True), Contest("taken", closed=False)
    assert settlement.contest({KEY: held, OTHER: shadowed}) == {KEY, OTHER}
    assert settlement.contest({KEY: held, OTHER: shadowed}) == set()
    assert (settlement.is_held(KEY), settlement.is_held(OTHER)) == (True, False)
    settlement.hold([KEY], {KEY: "nginx"})
    for contest in (held, shadowed):
        settlement.contest({KEY: contest})
        assert reason(settlement) is FailureReason.PORT_UNAVAILABLE
        assert settlement.outcome(KEY, "1") == Failed(
            revision="1", reason=FailureReason.PORT_UNAVAILABLE, message=contest.message
        )
    settlement.hold([KEY], {})
    assert settlement.contest({}) == {KEY}
    assert settlement.outcome(KEY, "1") == Live(revision="1", note="a note")


def test_address_of_another_host(settlement: Settlement) -> None:
    """All that are elsewhere are told together, and both who came and who went is new."""
    assert settlement.place([KEY]) == {KEY}
    assert reason(settlement) is FailureReason.ADDRESS_NOT_USABLE
    assert settlement.place([OTHER]) == {KEY, OTHER}
    assert (settlement.is_elsewhere(KEY), settlement.is_elsewhere(OTHER)) == (False, True)
    assert settlement.place([OTHER]) == set()


def test_what_matters_most(settlement: Settlement) -> None:
    """A lost table before an address, an address before a port, a port before a refusal."""
    settlement.reject(KEY, "1", "Invalid argument")
    assert reason(settlement) is FailureReason.INVALID
    settlement.hold([KEY], {KEY: "nginx"})
    assert reason(settlement) is FailureReason.PORT_UNAVAILABLE
    settlement.place([KEY])
    assert reason(settlement) is FailureReason.ADDRESS_NOT_USABLE
    settlement.down("the table is gone")
    assert settlement.outcome(KEY, "1") == Pending(revision="1", message="the table is gone")


def test_after_a_loss(settlement: Settlement) -> None:
    """Nothing is live before it is written again."""
    settlement.down("the table is gone")
    settlement.up()
    assert settlement.outcome(KEY, "1") == Pending(revision="1")
    settlement.written(KEY, "1", "")
    assert settlement.outcome(KEY, "1") == Live(revision="1")


def test_forgotten(settlement: Settlement) -> None:
    """A socket that left the plan comes back without a past."""
    settlement.hold([KEY], {KEY: "nginx"})
    settlement.contest({KEY: Contest("held", closed=True)})
    settlement.place([KEY])
    settlement.reject(KEY, "1", "Invalid argument")
    settlement.forget(KEY)
    assert settlement.outcome(KEY, "1") == Pending(revision="1")
    assert not settlement.rejected()
