"""``tidegate demo``: the Gateway API guide's example with two backends, on real sockets, to play with."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tidegate.admin.view import State
from tidegate.cli.echo import HOST, ask, echo_backend
from tidegate.cli.listeners import listener_table, remarks
from tidegate.cli.output import write
from tidegate.cli.signals import Wishes, run_until_signalled
from tidegate.errors import DataPlaneError
from tidegate.instance import base_directory, running_instances
from tidegate.settings import RunSettings
from tidegate.telemetry.events import Event

HELP = """Run the Gateway API guide's TCP example with two small backends, and send traffic through it.

The manifest is a file that you can edit while it runs; Ctrl-C ends. With --once the demo ends after
the traffic was shown.

\b
  tidegate demo
  tidegate demo --once
"""

NAME = "demo"
MANIFEST = "demo.yaml"
PORTS = (8080, 8090)
BACKEND_PORT = 6000
GREETING = "hello"

_PORT = re.compile(r"(\bport:? )(\d+)")
_LIVE_SECONDS = 20.0
_SETTLE_SECONDS = 2.0
_DRAIN_SECONDS = 1.0
_NEIGHBOURS = 20


def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the traffic was shown.")] = False,
) -> None:
    """Run the demo until Ctrl-C, or until it was shown."""
    from tidegate.telemetry import logs

    logs.log_to_stream(json=False, level="warning")
    name = _name()
    ended = run_until_signalled(lambda wishes: _demo(wishes, name, once=once))
    if name != NAME:
        # Nobody comes back to a name that was made up; the Envoy of an orderly end is gone.
        shutil.rmtree(base_directory(create=False) / name, ignore_errors=True)
    raise typer.Exit(ended)


async def _demo(wishes: Wishes, name: str, *, once: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        foo = await stack.enter_async_context(echo_backend("my-foo-service"))
        bar = await stack.enter_async_context(echo_backend("my-bar-service"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-demo-")))
        manifest = folder / "gateway.yaml"
        ports = choose_ports(PORTS)
        manifest.write_text(manifest_text(ports))
        _introduce(manifest, ports, foo, bar)
        settings = RunSettings(
            paths=(str(manifest),),
            backends=(
                f"my-foo-service:{BACKEND_PORT}={HOST}:{foo}",
                f"my-bar-service:{BACKEND_PORT}={HOST}:{bar}",
            ),
            name=name,
            drain_time=_DRAIN_SECONDS,
        )
        await _run_and_show(settings, wishes, once=once)


class Watcher:
    """Keeps the newest state of the instance; an ``admin.observe.Observer``."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._news = asyncio.Event()

    def on_state(self, state: State) -> None:
        """Take the newest state."""
        self._state = state
        self._news.set()

    def on_event(self, event: Event) -> None:
        """Events are in the log."""

    async def changed(self, before: State | None, *, settle: float) -> State:
        """The next state that looks different from ``before``; one with pending listeners is given
        ``settle`` seconds to become final.
        """
        while self._state is None or (before is not None and picture_of(self._state) == picture_of(before)):
            await self._next()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settle):
                while not _is_settled(self._state):
                    await self._next()
        return self._state

    async def _next(self) -> None:
        await self._news.wait()
        self._news.clear()


async def _run_and_show(settings: RunSettings, wishes: Wishes, *, once: bool) -> None:
    from tidegate.app import standalone

    watcher = Watcher()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(
            standalone.run(settings, stop=wishes.stop, reread=wishes.reread, observer=watcher), name="instance"
        )
        showing = tasks.create_task(_show(watcher, wishes, settings, once=once), name="show")
        await running
        showing.cancel()


async def _show(watcher: Watcher, wishes: Wishes, settings: RunSettings, *, once: bool) -> None:
    """The picture and the answers once all is live; then again after every change."""
    try:
        async with asyncio.timeout(_LIVE_SECONDS):
            shown = await watcher.changed(None, settle=_LIVE_SECONDS)
    except TimeoutError as error:
        raise DataPlaneError(f"the demo did not start within {_LIVE_SECONDS:g} s") from error
    answers = await _answers(shown)
    _present(shown, answers)
    if once:
        wishes.stop.set()
        if any(answer is None for answer in answers.values()):
            raise DataPlaneError("not every listener answered")
        return
    write(
        f"\nEdit {settings.paths[0]} and save: the change shows here.\n"
        f"Try 'nc {HOST} {next(iter(answers), PORTS[0])}', and 'tidegate status --name {settings.name}' in another "
        f"terminal. Ctrl-C ends.\n"
    )
    while True:
        shown = await watcher.changed(shown, settle=_SETTLE_SECONDS)
        write("\n")
        _present(shown, await _answers(shown))


def picture_of(state: State) -> object:
    """What of a state is shown, without the counters that traffic moves."""
    listeners = [
        msgspec.structs.replace(item, opened=0, refused=0, active=0, received=0, sent=0) for item in state.listeners
    ]
    return listeners, remarks(state)


def _is_settled(state: State) -> bool:
    return bool(state.listeners) and all(listener.state != "Pending" for listener in state.listeners)


async def _answers(state: State) -> dict[int, str | None]:
    ports = sorted({listener.port for listener in state.listeners if listener.state == "Live"})
    return {port: await ask(port, GREETING) for port in ports}


def _present(state: State, answers: dict[int, str | None]) -> None:
    lines = [listener_table(state.listeners) if state.listeners else "no listeners\n"]
    lines.extend(f"! {note}\n" for note in remarks(state))
    lines.append("\n")
    for port, answer in answers.items():
        lines.append(f"{HOST}:{port}  {GREETING!r} -> {answer or 'the connection was ended at once'}\n")
    write("".join(lines))


def _introduce(manifest: Path, ports: dict[int, int], foo: int, bar: int) -> None:
    lines = [
        "The TCP example of the Gateway API guides, on real sockets.",
        f"  manifest        {manifest}",
        f"  my-foo-service  {HOST}:{foo}",
        f"  my-bar-service  {HOST}:{bar}",
    ]
    lines.extend(f"Port {port} is busy: {own} is used instead." for port, own in ports.items() if port != own)
    write("\n".join(lines) + "\n\n")


def manifest_text(ports: dict[int, int]) -> str:
    """The example, with its ports replaced by those that are free."""
    text = importlib.resources.files("tidegate.cli").joinpath(MANIFEST).read_text(encoding="utf-8")
    return _PORT.sub(lambda found: found[1] + str(ports.get(int(found[2]), int(found[2]))), text)


def choose_ports(wanted: Iterable[int]) -> dict[int, int]:
    """For each port itself where it is free, else a free one near it, or any."""
    chosen: dict[int, int] = {}
    for port in wanted:
        near = (own for own in range(port, port + _NEIGHBOURS) if own not in chosen.values() and _is_free(own))
        chosen[port] = next(near, 0) or _any_free()
    return chosen


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
            probe.listen()
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def _name() -> str:
    """``demo``, or a name of its own beside another demo that runs."""
    taken = {record.name for record in running_instances()}
    return NAME if NAME not in taken else f"{NAME}-{os.getpid()}"
