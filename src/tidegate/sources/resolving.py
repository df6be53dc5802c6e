"""Names to addresses, again and again. The only module of the sources that looks up names.

In: the names wanted now. Out: answers, when they change. A look-up runs in a thread of its own, which
nobody waits for: the event loop never blocks, and a dead name server delays neither other work nor the
exit. A failure keeps the last addresses. IPv4 addresses are taken where a name has any, else IPv6: a
name with both is one machine, and its other family may not be served.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from tidegate.sources.overlay import Answer

INTERVAL_S: Final = 5.0
"""A name is looked up again after so long, give or take a fifth, so that names spread out."""

MAX_AT_ONCE: Final = 8
"""Look-ups under way at one time."""

_JITTER: Final = 0.2

Names = tuple[str, ...]
LookUp = Callable[[Names], tuple[str, ...]]


def look_up(names: Names) -> tuple[str, ...]:
    """The addresses of the first name that has any, sorted. Blocks. Raises OSError when none resolves."""
    failure: OSError | None = None
    for name in names:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except OSError as error:
            failure = failure or error
            continue
        except UnicodeError as error:  # Labels that no name server can be asked for.
            failure = failure or OSError(str(error))
            continue
        for family in (socket.AF_INET, socket.AF_INET6):
            addresses = {str(place[0]) for kind, _, _, _, place in found if kind == family}
            if addresses:
                return tuple(sorted(addresses))
    raise failure or OSError("no address")


def look_up_all(wanted: Iterable[Names], look: LookUp, *, timeout: float) -> list[Answer]:
    """Looks up names once, side by side, blocking for at most ``timeout`` seconds."""
    pending = set(wanted)
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    permits = threading.Semaphore(MAX_AT_ONCE)

    def run(names: Names) -> None:
        with permits:
            try:
                answers.put(Answer(names=names, addresses=look(names)))
            except OSError as error:
                answers.put(Answer(names=names, addresses=(), failure=_failure(names, error)))

    for names in pending:
        threading.Thread(target=run, args=(names,), name="tidegate-dns", daemon=True).start()
    found: list[Answer] = []
    end = time.monotonic() + timeout
    while pending and (left := end - time.monotonic()) > 0:
        with contextlib.suppress(queue.Empty):
            found.append(answers.get(timeout=left))
            pending.discard(found[-1].names)
    late = f"no answer within {timeout:g} s"
    return found + [Answer(names=names, addresses=(), failure=_failure(names, OSError(late))) for names in pending]


def _failure(names: Names, error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"the name {' or '.join(names)} does not resolve: {reason}"


class Resolver:
    """Keeps names resolved. All methods are for the event loop's thread.

    ``notify`` is called when there is something to `take`. ``look`` blocks and raises OSError.
    """

    def __init__(self, notify: Callable[[], None], *, look: LookUp = look_up, interval: float = INTERVAL_S) -> None:
        self._notify = notify
        self._look = look
        self._interval = interval
        self._wanted: set[Names] = set()
        self._latest: dict[Names, Answer] = {}
        self._timers: dict[Names, asyncio.TimerHandle] = {}
        self._queue: deque[Names] = deque()
        self._running: set[Names] = set()
        self._news: dict[Names, Answer] = {}
        self._closed = False
        self._answer = asyncio.Event()

    async def first_answers(self, timeout: float) -> None:
        """Returns when every wanted name was answered once, or after ``timeout`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._wanted <= self._latest.keys():
                    self._answer.clear()
                    await self._answer.wait()

    def want(self, lookups: Iterable[Names]) -> None:
        """Exactly these names are to be resolved from now on."""
        wanted = set(lookups)
        for names in self._wanted - wanted:
            self._latest.pop(names, None)
            self._news.pop(names, None)
            if timer := self._timers.pop(names, None):
                timer.cancel()
        new = wanted - self._wanted
        self._wanted = wanted
        for names in sorted(new):
            self._enqueue(names)

    def refresh(self) -> None:
        """Looks everything up again now."""
        for names in list(self._timers):
            self._timers.pop(names).cancel()
            self._enqueue(names)

    def take(self) -> list[Answer]:
        """The answers that changed since the last call."""
        news, self._news = self._news, {}
        return list(news.values())

    def close(self) -> None:
        """Ends all timers; answers that still come are dropped."""
        self._closed = True
        self._queue.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _enqueue(self, names: Names) -> None:
        if names not in self._running and names not in self._queue:
            self._queue.append(names)
        self._start()

    def _start(self) -> None:
        while self._queue and len(self._running) < MAX_AT_ONCE:
            names = self._queue.popleft()
            if names not in self._wanted:
                continue
            self._running.add(names)
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._run, args=(loop, names), name="tidegate-dns", daemon=True).start()

    def _run(self, loop: asyncio.AbstractEventLoop, names: Names) -> None:
        """In the look-up's thread."""
        addresses: tuple[str, ...] = ()
        failure = ""
        try:
            addresses = self._look(names)
        except OSError as error:
            failure = _failure(names, error)
        with contextlib.suppress(RuntimeError):  # The loop was closed meanwhile: nobody wants the answer.
            loop.call_soon_threadsafe(self._answered, names, addresses, failure)

    def _answered(self, names: Names, addresses: tuple[str, ...], failure: str) -> None:
        self._running.discard(names)
        if self._closed:
            return
        if names in self._wanted:
            before = self._latest.get(names)
            if failure and before is not None:
                addresses = before.addresses
            answer = Answer(names=names, addresses=addresses, failure=failure)
            self._latest[names] = answer
            self._answer.set()
            if answer != before:
                self._news[names] = answer
                self._notify()
            delay = self._interval * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load
            self._timers[names] = asyncio.get_running_loop().call_later(delay, self._again, names)
        self._start()

    def _again(self, names: Names) -> None:
        self._timers.pop(names, None)
        self._enqueue(names)
