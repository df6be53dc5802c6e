"""A file that changed is read when it stood still; time is given."""

from __future__ import annotations

from tidegate.sources.listing import Signature
from tidegate.sources.settling import GONE_S, PATIENCE_S, REWRITE_S, SETTLE_S, Ready, Settling


class Disk:
    """Signatures by path; a number stands for each version."""

    def __init__(self) -> None:
        self.versions: dict[str, int | None] = {}

    def __call__(self, path: str) -> Signature | None:
        version = self.versions.get(path)
        return None if version is None else Signature(1, 1, version, version, version)


def test_a_file_that_stands_still_is_ready_once() -> None:
    """After the settling time, not before, and only once."""
    disk = Disk()
    disk.versions["a"] = 1
    settling = Settling(disk)
    assert settling.due() is None
    settling.changed("a", 100.0)
    assert settling.due() == 100.0 + SETTLE_S
    assert settling.ready(100.0 + SETTLE_S / 2) == []
    assert settling.ready(100.0 + SETTLE_S) == [Ready("a", patient=True)]
    assert settling.due() is None


def test_a_whole_file_is_ready_at_once() -> None:
    """When its writer is known to be done; one that is gone still gets its time."""
    disk = Disk()
    disk.versions["a"] = 1
    settling = Settling(disk)
    settling.changed("a", 0.0)
    settling.whole("a", 0.001)
    settling.whole("gone", 0.001)
    assert settling.ready(0.001) == [Ready("a", patient=True)]
    assert settling.ready(0.001 + GONE_S) == [Ready("gone", patient=True)]


def test_a_writer_at_work_is_waited_for() -> None:
    """However still the file stands, until the writer is done or patience ends."""
    disk = Disk()
    disk.versions["a"] = 1
    settling = Settling(disk)
    settling.changed("a", 0.0)
    settling.writing("a", 1.0)
    settling.changed("a", 1.5)
    assert settling.ready(5.0) == []
    settling.writing("a", 6.0)
    settling.whole("a", 7.0)
    assert settling.ready(7.0) == [Ready("a", patient=True)]
    settling.writing("a", 10.0)
    assert settling.ready(10.0 + PATIENCE_S) == [Ready("a", patient=True)]


def test_a_file_that_goes_on_changing_waits_on() -> None:
    """Each change begins the wait anew; news of the same change do not."""
    disk = Disk()
    disk.versions["a"] = 1
    settling = Settling(disk)
    settling.changed("a", 0.0)
    settling.changed("a", SETTLE_S / 2)
    disk.versions["a"] = 2
    assert settling.ready(SETTLE_S) == []
    assert settling.ready(2 * SETTLE_S) == [Ready("a", patient=True)]


def test_a_file_that_never_rests_is_read_nevertheless() -> None:
    """Patience ends."""
    disk = Disk()
    settling = Settling(disk)
    settling.changed("a", 0.0)
    now, reads = 0.0, []
    while now < PATIENCE_S + 1 and not reads:
        now += GONE_S
        disk.versions["a"] = round(now * 1000)
        reads = settling.ready(now)
    assert reads
    assert now > PATIENCE_S


def test_a_file_that_is_gone_gets_longer() -> None:
    """It may be on its way back; then it is a changed file like any other."""
    disk = Disk()
    settling = Settling(disk)
    settling.changed("a", 0.0)
    assert settling.ready(SETTLE_S) == []
    disk.versions["a"] = 1
    assert settling.ready(GONE_S) == []
    assert settling.ready(GONE_S + SETTLE_S) == [Ready("a", patient=True)]
    settling.changed("b", 0.0)
    assert settling.ready(GONE_S) == [Ready("b", patient=True)]


def test_a_rewrite_in_progress_gets_one_more_chance() -> None:
    """A file that was handed back waits longer, and is then believed, unless it changes again."""
    disk = Disk()
    disk.versions["a"] = 1
    settling = Settling(disk)
    settling.unfinished("a", 0.0)
    assert settling.ready(SETTLE_S) == []
    assert settling.ready(REWRITE_S) == [Ready("a", patient=False)]
    settling.unfinished("a", 0.0)
    disk.versions["a"] = 2
    assert settling.ready(REWRITE_S) == []
    assert settling.ready(REWRITE_S + SETTLE_S) == [Ready("a", patient=True)]
