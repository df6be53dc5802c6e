"""Names are looked up again and again, and nobody waits for them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import pytest

from support.input_files import DEADLINE_S
from support.waiting import eventually
from tidegate.sources.overlay import Answer
from tidegate.sources.resolving import MAX_AT_ONCE, Names, Resolver, look_up, look_up_all


class Zone:
    """A name server: addresses by name, OSError for the rest; counts, and can be made to hang."""

    def __init__(self, **addresses: tuple[str, ...]) -> None:
        self.addresses = addresses
        self.asked: list[Names] = []
        self.open = threading.Event()
        self.open.set()
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, names: Names) -> tuple[str, ...]:
        with self._lock:
            self.asked.append(names)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.open.wait(DEADLINE_S)
        with self._lock:
            self.at_once -= 1
        if names[0] not in self.addresses:
            raise OSError(f"Unknown {names[0]}")
        return self.addresses[names[0]]


async def until(holds: Callable[[], bool]) -> None:
    """Returns when something holds, before the deadline."""

    async def probe() -> bool:
        return holds()

    await eventually(probe, what="a look-up", within=DEADLINE_S)


class Listener:
    """Waits for news of a resolver."""

    def __init__(self, zone: Zone, interval: float = 0.02) -> None:
        self.event = asyncio.Event()
        self.resolver = Resolver(self.event.set, look=zone, interval=interval)

    async def news(self) -> list[Answer]:
        async with asyncio.timeout(DEADLINE_S):
            await self.event.wait()
        self.event.clear()
        return self.resolver.take()


def test_local_names_resolve() -> None:
    """The system's resolver is asked; IPv4 where there is any, sorted; the first name that resolves counts."""
    assert look_up(("localhost",)) == ("127.0.0.1",)
    assert look_up(("a" * 64, "localhost")) == ("127.0.0.1",)


def test_names_that_do_not_resolve_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """One kind of error, whatever is wrong: the name itself, or what the name server says."""
    with pytest.raises(OSError, match="label"):
        look_up(("a" * 64,))

    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(OSError, match="not known"):
        look_up(("a", "b"))


def test_ipv6_serves_where_there_is_no_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with only AAAA records."""
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert look_up(("six",)) == ("2001:db8::1",)
    found[:] = []
    with pytest.raises(OSError, match="no address"):
        look_up(("six",))


async def test_answers_come_and_come_again_when_they_change() -> None:
    """The first answer, nothing while it stays the same, the next when it changed."""
    zone = Zone(web=("10.0.0.1",))
    listener = Listener(zone)
    listener.resolver.want([("web",)])
    assert await listener.news() == [Answer(names=("web",), addresses=("10.0.0.1",))]
    await until(lambda: len(zone.asked) >= 4)
    assert listener.resolver.take() == []
    zone.addresses["web"] = ("10.0.0.2",)
    assert (await listener.news())[0].addresses == ("10.0.0.2",)
    listener.resolver.close()


async def test_a_failure_keeps_the_last_addresses() -> None:
    """With a message; a name that never resolved has none."""
    zone = Zone(web=("10.0.0.1",))
    listener = Listener(zone)
    listener.resolver.want([("web",)])
    await listener.news()
    del zone.addresses["web"]
    (answer,) = await listener.news()
    assert answer == Answer(
        names=("web",), addresses=("10.0.0.1",), failure="the name web does not resolve: unknown web"
    )
    listener.resolver.want([("never", "never.ns")])
    (answer,) = await listener.news()
    assert (answer.addresses, answer.failure) == ((), "the name never or never.ns does not resolve: unknown never")
    listener.resolver.close()


async def test_names_that_are_no_longer_wanted_are_dropped() -> None:
    """No further look-up, no answer."""
    zone = Zone(web=("10.0.0.1",))
    zone.open.clear()
    listener = Listener(zone)
    listener.resolver.want([("web",)])
    listener.resolver.want([])
    zone.open.set()
    await asyncio.sleep(0.05)
    assert listener.resolver.take() == []
    assert zone.asked == [("web",)]
    listener.resolver.close()


async def test_a_hanging_name_server_delays_nobody() -> None:
    """The first answers have a deadline; only so many look-ups run at once; close returns at once."""
    zone = Zone()
    zone.open.clear()
    listener = Listener(zone)
    listener.resolver.want([(f"n{i}",) for i in range(50)])
    started = time.monotonic()
    await listener.resolver.first_answers(0.05)
    assert time.monotonic() - started < 1
    assert zone.most_at_once == MAX_AT_ONCE
    listener.resolver.close()
    assert time.monotonic() - started < 1
    zone.open.set()
    await until(lambda: not zone.at_once)
    await asyncio.sleep(0.02)
    assert listener.resolver.take() == []
    assert len(zone.asked) == MAX_AT_ONCE


async def test_first_answers_return_when_all_are_there() -> None:
    """Failures are answers too."""
    zone = Zone(web=("10.0.0.1",))
    listener = Listener(zone, interval=1000)
    listener.resolver.want([("web",), ("none",)])
    await listener.resolver.first_answers(DEADLINE_S)
    assert {answer.names for answer in listener.resolver.take()} == {("web",), ("none",)}
    zone.addresses["none"] = ("10.0.0.2",)
    listener.event.clear()
    listener.resolver.refresh()
    assert [answer.addresses for answer in await listener.news()] == [("10.0.0.2",)]
    listener.resolver.close()


def test_looking_up_once_for_dry_runs() -> None:
    """Everything side by side, with a deadline for all."""
    zone = Zone(web=("10.0.0.1",))
    answers = {answer.names: answer for answer in look_up_all([("web",), ("none",)], zone, timeout=DEADLINE_S)}
    assert answers["web",].addresses == ("10.0.0.1",)
    assert answers["none",].failure
    zone.open.clear()
    started = time.monotonic()
    (late,) = look_up_all([("web",)], zone, timeout=0.05)
    assert "no answer within 0.05 s" in late.failure
    assert time.monotonic() - started < 1
    zone.open.set()
    assert look_up_all([], zone, timeout=1) == []
