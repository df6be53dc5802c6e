"""Age and generation are counted as an API server would, and survive restarts and damage."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from support.input_files import route, route_key
from tidegate.model.corev1 import EndpointSlice
from tidegate.model.kinds import key_of
from tidegate.model.meta import ObjectMeta
from tidegate.model.routes import TCPRoute
from tidegate.sources.ages import Ages
from tidegate.sources.chunks import read_chunk

NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 500_000, tzinfo=dt.UTC)
LATER = NOON + dt.timedelta(hours=1)


def a_route(name: str, **fields: object) -> TCPRoute:
    """A decoded TCPRoute."""
    (entry,) = read_chunk("f", route(name, **fields)).entries  # type: ignore[arg-type]
    assert isinstance(entry.resource, TCPRoute)
    return entry.resource


def stamp(ages: Ages, name: str, *, seen: dt.datetime = NOON, **fields: object) -> ObjectMeta:
    """The metadata that a route gets."""
    return ages.stamp(route_key(name), a_route(name, **fields), seen=seen).metadata


def test_generation_counts_changes_of_the_spec() -> None:
    """1 at first sight, one more for each change of spec, none for labels or the same again."""
    ages = Ages()
    assert stamp(ages, "a").generation == 1
    assert stamp(ages, "a").generation == 1
    assert stamp(ages, "a", port=1).generation == 2
    labelled = a_route("a", port=1)
    labelled = msgspec.structs.replace(
        labelled, metadata=msgspec.structs.replace(labelled.metadata, labels={"x": "y"}, generation=77)
    )
    assert ages.stamp(route_key("a"), labelled, seen=NOON).metadata.generation == 2
    assert stamp(ages, "a").generation == 3


def test_kinds_without_a_spec_count_everything_else() -> None:
    """An EndpointSlice has no spec: its content counts, its metadata does not."""
    ages = Ages()
    one = EndpointSlice(metadata=ObjectMeta(name="s", namespace="default"), address_type="IPv4")
    other = msgspec.structs.replace(one, address_type="IPv6")
    generations = [ages.stamp(key_of(one), each, seen=NOON).metadata.generation for each in (one, one, other)]
    assert generations == [1, 1, 2]


def test_age_is_the_first_sight_in_whole_seconds_and_order_grows() -> None:
    """What is seen first is older; later versions keep the age."""
    ages = Ages()
    first, second = stamp(ages, "b"), stamp(ages, "a")
    assert first.creation_timestamp == second.creation_timestamp == NOON.replace(microsecond=0)
    assert (first.order, second.order) == (1, 2)
    again = stamp(ages, "b", seen=LATER, port=1)
    assert (again.creation_timestamp, again.order) == (first.creation_timestamp, 1)
    assert ages.by_order(route_key("a")) == 2
    assert ages.by_order(route_key("unknown")) == 0


def test_a_creation_timestamp_of_the_input_counts() -> None:
    """Where the input tells the age, that is the age."""
    given = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    old = a_route("a")
    old = msgspec.structs.replace(old, metadata=msgspec.structs.replace(old.metadata, creation_timestamp=given))
    assert Ages().stamp(route_key("a"), old, seen=NOON).metadata.creation_timestamp == given


def test_a_deleted_object_comes_back_as_a_new_one() -> None:
    """As with an API server, deletion forgets; order never goes back."""
    ages = Ages()
    stamp(ages, "a")
    stamp(ages, "a", port=1)
    ages.forget(route_key("a"))
    ages.forget(route_key("a"))
    again = stamp(ages, "a", seen=LATER)
    assert (again.generation, again.order) == (1, 2)


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """Ages, generations and the growing order are read back, deletions too."""
    path = tmp_path / "ages"
    ages = Ages(path)
    stamp(ages, "a")
    stamp(ages, "b")
    ages.save()
    stamp(ages, "a", port=1)
    stamp(ages, "c")
    ages.forget(route_key("c"))
    ages.forget(route_key("b"))
    ages.save()
    ages = Ages(path)
    assert ages.problem == ""
    assert (stamp(ages, "a", seen=LATER, port=1).generation, stamp(ages, "a", port=1).order) == (2, 1)
    assert stamp(ages, "d", seen=LATER).order == 4
    assert stamp(ages, "b", seen=LATER).order == 5


def test_what_left_the_input_meanwhile_is_forgotten(tmp_path: Path) -> None:
    """Only what is still there keeps its age."""
    ages = Ages(tmp_path / "ages")
    stamp(ages, "a")
    stamp(ages, "b")
    ages.keep_only([route_key("b")])
    ages.save()
    ages = Ages(tmp_path / "ages")
    assert (ages.by_order(route_key("a")), ages.by_order(route_key("b"))) == (0, 2)


def test_a_change_is_one_short_write(tmp_path: Path) -> None:
    """With many objects one change appends one line; the file is rewritten when most lines are outdated."""
    path = tmp_path / "ages"
    ages = Ages(path)
    for i in range(100):
        stamp(ages, f"r{i}")
    ages.save()
    size, inode = path.stat().st_size, path.stat().st_ino
    stamp(ages, "r5", port=1)
    ages.save()
    assert path.stat().st_ino == inode
    assert 0 < path.stat().st_size - size < 300
    ages.save()
    for i in range(1_000):
        stamp(ages, "r5", port=2 + i)
        ages.save()
    assert path.stat().st_ino != inode
    assert path.read_bytes().count(b"\n") < 1_000
    assert stamp(Ages(path), "r5", port=1001).generation == 1002


@pytest.mark.parametrize(
    "content", [b"\x00\xff garbage", b"", b"{}\n", b'{"format":"other","next_order":5}\n', b"[1]\n"]
)
def test_a_damaged_file_starts_afresh_and_is_told(tmp_path: Path, content: bytes) -> None:
    """No content of the file ends the start; the next save makes it sound."""
    path = tmp_path / "ages"
    path.write_bytes(content)
    ages = Ages(path)
    assert "damaged" in ages.problem
    assert stamp(ages, "a").order == 1
    ages.save()
    assert Ages(path).problem == ""
    assert Ages(path).by_order(route_key("a")) == 1


def test_a_damaged_line_costs_only_itself(tmp_path: Path) -> None:
    """A line that was cut off is skipped and told; the rest counts, and the file is made whole."""
    path = tmp_path / "ages"
    ages = Ages(path)
    stamp(ages, "a")
    stamp(ages, "b")
    ages.save()
    path.write_bytes(path.read_bytes()[:-10])
    ages = Ages(path)
    assert "1 lines" in ages.problem
    assert ages.by_order(route_key("a")) == 1
    stamp(ages, "c")
    ages.save()
    assert Ages(path).problem == ""


def test_a_file_that_cannot_be_written_is_told_and_harms_nothing(tmp_path: Path) -> None:
    """Saving fails with a message; when it works again, nothing is lost."""
    folder = tmp_path / "missing"
    ages = Ages(folder / "ages")
    stamp(ages, "a")
    ages.save()
    assert "cannot be kept" in ages.problem
    folder.mkdir()
    stamp(ages, "b")
    ages.save()
    assert ages.problem == ""
    again = Ages(folder / "ages")
    assert [again.by_order(route_key(name)) for name in ("a", "b")] == [1, 2]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A directory in its place, for one."""
    (tmp_path / "ages").mkdir()
    assert "without known ages" in Ages(tmp_path / "ages").problem


def test_the_clock_is_given() -> None:
    """Time comes from outside; by default it is the time of day."""
    assert Ages(clock=lambda: NOON).now() == NOON
    assert abs(Ages().now() - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
