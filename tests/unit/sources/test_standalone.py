"""Files, flags and DNS as one source."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from support.input_files import file_of, names, next_of, route, route_key, service
from tidegate.errors import SourceError
from tidegate.model.corev1 import EndpointSlice
from tidegate.model.diagnostics import Severity
from tidegate.sources import resolving
from tidegate.sources.backends import parse_backends
from tidegate.sources.base import Batch
from tidegate.sources.standalone import StandaloneSource

ADDRESSES = {"db": ("10.0.0.1",), "web": ("10.0.0.2",)}


def look(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """A name server with two names."""
    if wanted[0] not in ADDRESSES:
        raise OSError("unknown")
    return ADDRESSES[wanted[0]]


def addresses(batch: Batch) -> set[str]:
    """All addresses in a batch's slices."""
    return {
        address
        for change in batch.changes
        if isinstance(change.resource, EndpointSlice)
        for endpoint in change.resource.endpoints
        for address in endpoint.addresses
    }


async def test_the_first_batch_has_files_flags_and_names(tmp_path: Path) -> None:
    """One batch with everything, looked-up addresses included; edits follow."""
    a = tmp_path / "a.yaml"
    a.write_text(file_of([route("r"), route("s", service="api")]))
    source = StandaloneSource([str(a)], backends=parse_backends(["api:6000=db:7000,10.9.9.9:1"]), dns=True, look=look)
    async with contextlib.aclosing(source.batches()) as batches:
        first = await next_of(batches)
        assert {"r", "s", "web", "api"} <= names(first).keys()
        assert addresses(first) == {"10.0.0.1", "10.0.0.2", "10.9.9.9"}
        assert first.diagnostics == ()
        a.write_text(route("r"))
        second = await next_of(batches)
        assert names(second) == {"s": None}
        assert [one.severity for one in second.diagnostics or ()] == [Severity.NOTE]
    assert str(source.origin(route_key("r"))) == f"{a}:1"


async def test_a_name_that_changes_is_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New addresses arrive without a change of files."""
    monkeypatch.setitem(ADDRESSES, "db", ("10.0.0.1",))
    (tmp_path / "a.yaml").write_text(route("r"))
    source = StandaloneSource([str(tmp_path)], backends=parse_backends(["web=db:1"]), look=look)
    async with contextlib.aclosing(source.batches()) as batches:
        await next_of(batches)
        monkeypatch.setitem(ADDRESSES, "db", ("10.0.0.5",))
        source.rescan()
        assert addresses(await next_of(batches)) == {"10.0.0.5"}


def test_everything_at_once(tmp_path: Path) -> None:
    """The dry run sees the same objects."""
    (tmp_path / "a.yaml").write_text(file_of([route("r"), service("api"), route("s", service="none")]))
    source = StandaloneSource([str(tmp_path)], backends=parse_backends(["api=db:1"]), dns=True, look=look)
    loaded = source.load()
    assert {one.metadata.name for one in loaded.resources} >= {"r", "s", "web", "api"}
    assert [one.severity for one in loaded.diagnostics] == [Severity.NOTE, Severity.WARNING]
    assert "the name none does not resolve: unknown" in loaded.diagnostics[1].message
    assert loaded.readable
    with pytest.raises(SourceError):
        StandaloneSource([str(tmp_path / "none")]).load()


async def test_an_empty_input_is_a_first_batch_too(tmp_path: Path) -> None:
    """The stream begins with what there is, be it nothing."""
    assert resolving.INTERVAL_S > 0
    (tmp_path / "a.yaml").write_text("")
    async with contextlib.aclosing(StandaloneSource([str(tmp_path)]).batches()) as batches:
        assert await next_of(batches) == Batch(changes=(), diagnostics=())
