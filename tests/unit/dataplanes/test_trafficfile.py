"""The ledger's state survives in a file, and a damaged file is told apart from none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tidegate.dataplanes import trafficfile
from tidegate.dataplanes.traffic import (
    LedgerState,
    PrefixState,
    RawCounters,
    Series,
    SeriesState,
    Totals,
    TrafficLedger,
)
from tidegate.errors import DataPlaneError
from tidegate.names import ListenerKey, ObjectKey


def some_state() -> LedgerState:
    """The state of a ledger that counted for a listener without a route."""
    gateway = ObjectKey("gateway.networking.k8s.io", "Gateway", "default", "edge")
    owner = Series(listener=ListenerKey(gateway, "foo"), route=None)
    ledger = TrafficLedger()
    ledger.observe("1", {"foo": RawCounters(opened=2, ended=1)}, {"foo": owner})
    return ledger.to_state()


def test_round_trip(tmp_path: Path) -> None:
    """What was saved is loaded, and saving again replaces it without leaving other files."""
    path = tmp_path / "traffic.json"
    trafficfile.save(path, LedgerState())
    trafficfile.save(path, some_state())
    assert trafficfile.load(path) == some_state()
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_file(tmp_path: Path) -> None:
    """Without a file counting begins."""
    assert trafficfile.load(tmp_path / "traffic.json") == LedgerState()


@pytest.mark.parametrize("content", [b"", b'{"format":1', b"[]", b'{"format":99,"state":{}}'])
def test_unusable_file(tmp_path: Path, content: bytes) -> None:
    """A damaged file, or one of another version, is named in the error."""
    path = tmp_path / "traffic.json"
    path.write_bytes(content)
    with pytest.raises(DataPlaneError, match=r"traffic\.json"):
        trafficfile.load(path)


def test_cannot_be_written(tmp_path: Path) -> None:
    """A directory that is gone is an error that names the file."""
    with pytest.raises(DataPlaneError, match=r"traffic\.json"):
        trafficfile.save(tmp_path / "gone" / "traffic.json", LedgerState())


@pytest.mark.parametrize("count", [0, 1, trafficfile.SLICE, 2 * trafficfile.SLICE + 1])
def test_slices(tmp_path: Path, count: int) -> None:
    """However many entries there are, few are encoded at a time; together they are the one value that is loaded."""
    gateway = ObjectKey("gateway.networking.k8s.io", "Gateway", "default", "edge")
    owners = [Series(listener=ListenerKey(gateway, f"l{number}"), route=None) for number in range(count)]
    state = LedgerState(
        totals=tuple(SeriesState(series=one, totals=Totals(opened=1)) for one in owners),
        prefixes=tuple(
            PrefixState(generation="1", prefix=one.listener.listener, series=one, baseline=RawCounters(opened=1))
            for one in owners
        ),
    )
    pieces = list(trafficfile.slices(state))
    assert max(piece.count(b'"listener":"') for piece in pieces) == min(count, trafficfile.SLICE)
    whole = msgspec.json.decode(b"".join(pieces))
    assert whole == {"format": 1, "state": msgspec.json.decode(msgspec.json.encode(state))}
    trafficfile.save(tmp_path / "traffic.json", state)
    assert trafficfile.load(tmp_path / "traffic.json") == state
