"""Keeping a GatewayClass from going while a Gateway uses it."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from support.memory_server import MemoryServer, path_of
from support.resources import class_key
from support.running import running
from support.waiting import arrival, eventually, silence
from tidegate.errors import KubeError
from tidegate.reporting.finalizers import FINALIZER, ClassFinalizers

OTHER = "example.com/other"


class Classes(MemoryServer):
    """A server with classes, whose metadata can be changed."""

    async def merge_patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change the metadata of an object, if it still has the version that the body names."""
        async with self._request(f"PATCH {path}"):
            metadata = self._found(path)["metadata"]
            assert body["metadata"].pop("resourceVersion") == metadata["resourceVersion"]
            metadata.update(body["metadata"])
            return self._found(path)

    def add(self, name: str, *finalizers: str, **metadata: Any) -> None:
        """A class, with finalizers."""
        self.put(class_key(name), {})
        self.objects[path_of(class_key(name))]["metadata"] |= {"finalizers": list(finalizers), **metadata}

    def finalizers(self, name: str) -> list[str]:
        """Those of a class."""
        found: list[str] = self.objects[path_of(class_key(name))]["metadata"]["finalizers"]
        return found

    async def become(self, name: str, *expected: str) -> None:
        """Returns once a class has these finalizers."""

        async def probe() -> list[str]:
            return self.finalizers(name)

        await eventually(probe, lambda found: found == list(expected), what=f"{name} has {expected}")

    async def rest(self) -> None:
        """Fails when anything is asked for a moment."""
        await silence(self.requests, during=0.1)


@pytest.fixture
def server() -> Classes:
    """A server without classes."""
    return Classes()


@pytest.fixture
def keeper(server: Classes) -> ClassFinalizers:
    """Who keeps the finalizers, when it runs."""
    return ClassFinalizers(server)


async def test_a_class_in_use_has_the_finalizer(server: Classes, keeper: ClassFinalizers) -> None:
    """From the first Gateway to the last; those of others are left alone."""
    server.add("class", OTHER)
    keeper.set({"class": True})
    async with running(keeper.run()):
        await server.become("class", OTHER, FINALIZER)
        keeper.set({"class": False})
        await server.become("class", OTHER)


async def test_what_is_right_is_not_written(server: Classes, keeper: ClassFinalizers) -> None:
    """Nor looked at again while nothing changes; a new lead looks once."""
    server.add("used", FINALIZER, OTHER)
    server.add("free")
    keeper.set({"used": True, "free": False})
    for _ in range(2):
        async with running(keeper.run()):
            await arrival(server.requests, 2, what="looks")
            keeper.set({"used": True, "free": False})
            await server.rest()
        assert sorted(server.requests) == [f"GET {path_of(class_key(name))}" for name in ("free", "used")]
        server.requests.clear()


async def test_without_the_lead_nothing_is_done(server: Classes, keeper: ClassFinalizers) -> None:
    """Another replica does it."""
    server.add("class")
    keeper.set({"class": True})
    await server.rest()
    assert server.requests == []


async def test_a_class_that_goes_gets_none(server: Classes, keeper: ClassFinalizers) -> None:
    """The API server would refuse; one that is there stays until the class is free, which lets it go."""
    server.add("late", OTHER, deletionTimestamp="2026-01-01T00:00:00Z")
    server.add("kept", FINALIZER, deletionTimestamp="2026-01-01T00:00:00Z")
    keeper.set({"late": True, "kept": True})
    async with running(keeper.run()):
        await arrival(server.requests, 2, what="looks")
        await server.rest()
        assert (server.finalizers("late"), server.finalizers("kept")) == ([OTHER], [FINALIZER])
        keeper.set({"late": True, "kept": False})
        await server.become("kept")


async def test_a_class_that_is_gone_is_no_failure(server: Classes, keeper: ClassFinalizers) -> None:
    """Its finalizer has gone with it."""
    server.add("here")
    keeper.set({"gone": True, "here": True})
    with structlog.testing.capture_logs() as events:
        async with running(keeper.run()):
            await server.become("here", FINALIZER)
            await server.rest()
    assert events == []


@pytest.mark.parametrize(("status", "logged"), [(403, 1), (None, 1), (409, 0)])
async def test_a_failure_is_tried_again(
    server: Classes, keeper: ClassFinalizers, status: int | None, logged: int
) -> None:
    """And told once; that somebody was faster is not worth telling. Other classes do not wait."""
    server.add("a")
    server.add("b")
    server.failures.extend(KubeError("no", status=status) for _ in range(3))
    keeper.set({"a": True, "b": True})
    with structlog.testing.capture_logs() as events:
        async with running(keeper.run()):
            await server.become("a", FINALIZER)
            await server.become("b", FINALIZER)
    assert len(events) <= 2 * logged


async def test_somebody_who_removes_it_is_noticed_in_time(
    server: Classes, keeper: ClassFinalizers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every class is looked at again from time to time."""
    monkeypatch.setattr("tidegate.reporting.finalizers.RECHECK_S", 0.05)
    server.add("class")
    keeper.set({"class": True})
    async with running(keeper.run()):
        await server.become("class", FINALIZER)
        server.finalizers("class").remove(FINALIZER)
        await server.become("class", FINALIZER)
