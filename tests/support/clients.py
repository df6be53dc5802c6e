"""TCP clients that say what became of a connection: who served it, or how it was refused and how fast."""

from __future__ import annotations

import asyncio
import collections
import enum
import itertools
import math
import socket
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from support.waiting import eventually

LINE_LIMIT = 4096


class Ending(enum.Enum):
    """How a connection was not served."""

    NOT_LISTENING = "connection refused"
    CLOSED = "closed without a byte"
    RESET = "reset"
    HELD = "neither served nor ended"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A backend answered; ``backend`` is its greeting, ``seconds`` the time from connect to greeting."""

    backend: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Nobody answered; ``seconds`` from connect to the end."""

    how: Ending
    seconds: float


Answer = Served | Refused


@dataclass(kw_only=True)
class Tally:
    """What became of many connections."""

    served: collections.Counter[str] = field(default_factory=collections.Counter)
    refused: collections.Counter[Ending] = field(default_factory=collections.Counter)
    refusal_seconds: list[float] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Count one more."""
        match answer:
            case Served(backend=backend):
                self.served[backend] += 1
            case Refused(how=how, seconds=seconds):
                self.refused[how] += 1
                self.refusal_seconds.append(seconds)

    @property
    def total(self) -> int:
        """How many connections were made."""
        return self.served.total() + self.refused.total()

    def share(self, backend: str) -> float:
        """The percentage of connections that a backend served."""
        return 100 * self.served[backend] / self.total

    @property
    def refused_share(self) -> float:
        """The percentage of connections that were ended at once: closed or reset after accept."""
        return 100 * (self.refused[Ending.CLOSED] + self.refused[Ending.RESET]) / self.total

    def refusal_percentile(self, percent: float) -> float:
        """Seconds within which ``percent`` of the refusals had happened."""
        ranked = sorted(self.refusal_seconds)
        return ranked[min(len(ranked) - 1, math.ceil(len(ranked) * percent / 100) - 1)]


async def ask(port: int, *, host: str = "127.0.0.1", within: float = 5.0) -> Answer:
    """Connect once, send nothing, and say who greeted or how the connection ended."""
    start = time.monotonic()
    try:
        async with asyncio.timeout(within):
            async with connection(port, host=host) as conversation:
                line = await conversation.line()
    except ConnectionRefusedError:
        return Refused(how=Ending.NOT_LISTENING, seconds=time.monotonic() - start)
    except ConnectionError:
        return Refused(how=Ending.RESET, seconds=time.monotonic() - start)
    except TimeoutError:
        return Refused(how=Ending.HELD, seconds=time.monotonic() - start)
    seconds = time.monotonic() - start
    return Served(backend=line, seconds=seconds) if line else Refused(how=Ending.CLOSED, seconds=seconds)


async def who_serves(port: int, *, host: str = "127.0.0.1") -> str:
    """The backend that serves a new connection, or in which manner there is none."""
    match await ask(port, host=host):
        case Served(backend=backend):
            return backend
        case Refused(how=how):
            return how.value


async def until_served(host: str, port: int, expected: str, *, within: float = 15.0) -> None:
    """Returns once a new connection is served by this backend, or ended in this manner."""

    async def served() -> str:
        return await who_serves(port, host=host)

    await eventually(served, lambda name: name == expected, what=f"{expected} on {port}", within=within)


async def ask_many(port: int, count: int, *, concurrency: int = 8, host: str = "127.0.0.1") -> Tally:
    """Connect ``count`` times, ``concurrency`` at a time."""
    tally = Tally()
    remaining = iter(range(count))

    async def work() -> None:
        for _ in remaining:
            tally.add(await ask(port, host=host))

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return tally


class Conversation:
    """An open connection, spoken to in bytes and lines."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._unread = b""

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    def end(self) -> None:
        """Close our half: nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    async def line(self) -> str:
        """The next line without its newline; empty when the other side is done."""
        while b"\n" not in self._unread:
            data = await asyncio.get_running_loop().sock_recv(self.socket, LINE_LIMIT)
            if not data:
                return ""
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    async def receive(self, count: int) -> bytes:
        """The next bytes, at most ``count``; empty when the other side is done."""
        if self._unread:
            data, self._unread = self._unread[:count], self._unread[count:]
            return data
        return await asyncio.get_running_loop().sock_recv(self.socket, count)

    async def echoes(self, text: str) -> bool:
        """Whether a line sent comes back. Raises ConnectionError when the connection is gone."""
        await self.send(f"{text}\n".encode())
        return await self.line() == text

    def close(self) -> None:
        """End the connection."""
        self.socket.close()


async def connect(port: int, *, host: str = "127.0.0.1") -> Conversation:
    """An open connection, for the caller to close."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return Conversation(sock)


@asynccontextmanager
async def connection(port: int, *, host: str = "127.0.0.1") -> AsyncIterator[Conversation]:
    """An open connection that is closed at the end of the block."""
    conversation = await connect(port, host=host)
    try:
        yield conversation
    finally:
        conversation.close()


class Crowd:
    """Long-lived connections to greeting backends that keep echoing; ``broken`` says which did not."""

    def __init__(self, members: Iterable[tuple[str, Conversation]]) -> None:
        self._members = list(members)
        self._stopped = False
        self._one_round = asyncio.Lock()
        self.broken: dict[int, str] = {}
        self.rounds = 0

    @property
    def backends(self) -> collections.Counter[str]:
        """How many of the connections each backend serves."""
        return collections.Counter(name for name, _ in self._members)

    async def check(self) -> None:
        """One more echo on every connection that is not broken yet."""
        async with self._one_round:
            alive = [number for number in range(len(self._members)) if number not in self.broken]
            await asyncio.gather(*(self._check(number) for number in alive))
            self.rounds += 1

    async def live(self) -> None:
        """Echo on all connections again and again until ``stop``."""
        while not self._stopped:
            await self.check()
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        """End ``live`` after its present round."""
        self._stopped = True

    def close(self) -> None:
        """End all connections."""
        for _, conversation in self._members:
            conversation.close()

    async def _check(self, number: int) -> None:
        try:
            async with asyncio.timeout(10):
                if not await self._members[number][1].echoes(f"{number} {self.rounds}"):
                    self.broken[number] = "closed, or answered something else"
        except (ConnectionError, TimeoutError) as error:
            self.broken[number] = repr(error)


@asynccontextmanager
async def crowd(
    port: int, count: int, *, concurrency: int = 100, hosts: Sequence[str] = ("127.0.0.1",)
) -> AsyncIterator[Crowd]:
    """``count`` connections, to ``hosts`` in turn, that echo all the time while the block runs."""
    members: list[tuple[str, Conversation]] = []
    remaining = itertools.islice(itertools.cycle(hosts), count)

    async def join() -> None:
        for host in remaining:
            conversation = await connect(port, host=host)
            members.append((await conversation.line(), conversation))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, count)):
                group.create_task(join())
        present = Crowd(members)
        async with asyncio.TaskGroup() as group:
            group.create_task(present.live())
            try:
                yield present
            finally:
                present.stop()
    finally:
        for _, conversation in members:
            conversation.close()


class Probing:
    """One connection after the other to a port, for as long as the block runs; ``tally`` has what became of them."""

    def __init__(self, port: int, hosts: Sequence[str]) -> None:
        self.port = port
        self.tally = Tally()
        self._turns = itertools.cycle(hosts)
        self._stopped = False

    async def work(self) -> None:
        """Ask again and again until ``stop``."""
        while not self._stopped:
            self.tally.add(await ask(self.port, host=next(self._turns)))
            await asyncio.sleep(0)

    def stop(self) -> None:
        """End after the present connection."""
        self._stopped = True


@asynccontextmanager
async def probing(port: int, *, loops: int = 1, hosts: Sequence[str] = ("127.0.0.1",)) -> AsyncIterator[Probing]:
    """Probes a port at ``hosts`` in turn, with so many loops at once, while the block runs."""
    probe = Probing(port, hosts)
    async with asyncio.TaskGroup() as group:
        for _ in range(loops):
            group.create_task(probe.work())
        try:
            yield probe
        finally:
            probe.stop()
