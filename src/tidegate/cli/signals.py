"""What signals mean to a command that runs until it is told to stop.

SIGTERM and the first Ctrl-C ask for an orderly end; the second of either ends at once. SIGHUP asks to read
the input again, and so keeps a hangup of the terminal from killing the traffic.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec

from tidegate.cli.failures import INTERRUPTED


class Wishes(msgspec.Struct, frozen=True):
    """What signals have asked for: to stop, and to read the input again."""

    stop: asyncio.Event
    reread: asyncio.Event


def run_until_signalled(command: Callable[[Wishes], Coroutine[Any, Any, None]]) -> int:
    """Run a command in an event loop; returns 0 after an orderly end, 130 after one at once."""
    return asyncio.run(_supervised(command))


async def _supervised(command: Callable[[Wishes], Coroutine[Any, Any, None]]) -> int:
    wishes = Wishes(asyncio.Event(), asyncio.Event())
    main = asyncio.current_task()
    assert main is not None
    at_once = False

    def end() -> None:
        nonlocal at_once
        if wishes.stop.is_set():
            at_once = True
            main.cancel()
        wishes.stop.set()

    with _handling({signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: wishes.reread.set}):
        try:
            await command(wishes)
        except asyncio.CancelledError:
            if not at_once:
                raise
            return INTERRUPTED
    return 0


@contextlib.contextmanager
def _handling(handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
