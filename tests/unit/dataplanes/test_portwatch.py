"""Ports are looked at when they are new and again and again afterwards."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from support.descriptors import no_descriptors
from support.plans import socket_key
from support.ports import Ports
from support.strangers import stranger
from support.waiting import eventually
from tidegate.dataplanes import ports as foreign
from tidegate.dataplanes.portwatch import PortWatch
from tidegate.names import SocketKey


class Looks:
    """What a watch called back with."""

    def __init__(self) -> None:
        self.checked: list[set[SocketKey]] = []
        self.holders: dict[SocketKey, str] = {}

    def take(self, checked: Collection[SocketKey], holders: Mapping[SocketKey, str]) -> None:
        self.checked.append(set(checked))
        for key in checked:
            self.holders.pop(key, None)
        self.holders.update(holders)

    async def until(self, *, held: bool) -> None:
        """Wait until some socket has a holder, or none has."""

        async def probe() -> bool:
            return bool(self.holders) == held

        await eventually(probe, what=f"held: {held}")


@asynccontextmanager
async def watching(looks: Looks) -> AsyncIterator[PortWatch]:
    """A watch that runs; this process's own sockets are ours."""
    watch = PortWatch(lambda: [os.getpid()], looks.take, period=0.1, held_period=0.05)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        yield watch
        task.cancel()


async def test_new_sockets_are_looked_at_at_once() -> None:
    """A call without sockets calls back as well: that the look is over is what some wait for."""
    looks = Looks()
    async with watching(looks) as watch:
        watch.add([])

        async def called() -> bool:
            return looks.checked == [set()]

        await eventually(called, what="the look is over", within=0.4)


async def test_holder_is_found_and_forgotten(ports: Ports) -> None:
    """A holder is named, also one that comes later, until it goes."""
    port, looks = ports.reserve(), Looks()
    async with watching(looks) as watch:
        with stranger(port) as process:
            watch.add([socket_key(port)])
            await looks.until(held=True)
            assert str(process.pid) in looks.holders[socket_key(port)]
        await looks.until(held=False)
        with stranger(port):
            await looks.until(held=True)
            watch.remove(socket_key(port))
            before = len(looks.checked)
            watch.add([socket_key(ports.reserve())])

            async def looked() -> bool:
                return len(looks.checked) > before + 1

            await eventually(looked, what="another look at all")
            assert socket_key(port) not in looks.checked[-1]


async def test_what_is_seen_while_a_process_of_ours_ends_does_not_count(ports: Ports) -> None:
    """The sockets of a process that is just ending look like a stranger's: they are looked at again."""
    looks, port = Looks(), ports.reserve()
    steady = [True, False]
    watch = PortWatch(list, looks.take, steady=lambda: not steady or steady.pop(), period=5.0, held_period=0.05)
    with stranger(port):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(watch.run())
            watch.add([socket_key(port)])
            await looks.until(held=True)
            task.cancel()
    assert steady == []
    assert looks.checked == [{socket_key(port)}]


async def test_without_descriptors(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is nothing to look with nobody is told anything; after that it goes on."""
    port, looks, tried = ports.reserve(), Looks(), 0
    look = foreign.foreign_listeners

    def counted(*arguments: Any) -> Any:
        nonlocal tried
        tried += 1
        return look(*arguments)

    async def tried_twice() -> bool:
        return tried >= 2

    monkeypatch.setattr(foreign, "foreign_listeners", counted)
    async with watching(looks) as watch:
        with stranger(port):
            with no_descriptors():
                watch.add([socket_key(port)])
                await eventually(tried_twice, what="it looked, and again after that")
                assert not looks.checked
            await looks.until(held=True)
