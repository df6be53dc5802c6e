"""What signals do to a command that runs."""

from __future__ import annotations

import asyncio
import os
import signal

from tidegate.cli.signals import Wishes, run_until_signalled


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_the_first_signal_asks_for_an_orderly_end() -> None:
    """SIGTERM and SIGINT set the wish to stop; the command ends by itself with 0."""
    for number in (signal.SIGTERM, signal.SIGINT):

        async def command(wishes: Wishes, number: signal.Signals = number) -> None:
            send(number)
            await wishes.stop.wait()

        assert run_until_signalled(command) == 0


def test_the_second_signal_ends_at_once() -> None:
    """A command that takes its time is cancelled, and the status says so."""

    async def command(wishes: Wishes) -> None:
        send(signal.SIGINT)
        await wishes.stop.wait()
        send(signal.SIGINT)
        await asyncio.Event().wait()

    assert run_until_signalled(command) == 130


def test_sighup_asks_to_read_again() -> None:
    """SIGHUP sets its own wish, and nothing ends."""

    async def command(wishes: Wishes) -> None:
        send(signal.SIGHUP)
        await wishes.reread.wait()
        assert not wishes.stop.is_set()

    assert run_until_signalled(command) == 0


def test_signals_are_as_before_afterwards() -> None:
    """The handlers go with the command."""

    async def command(wishes: Wishes) -> None:
        wishes.stop.set()

    before = signal.getsignal(signal.SIGTERM)
    run_until_signalled(command)
    assert signal.getsignal(signal.SIGTERM) == before
