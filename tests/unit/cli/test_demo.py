"""The parts of the demo; the whole of it is in tests/integration."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import yaml

from support.states import listener_view, state
from tidegate.cli.demo import Watcher, choose_ports, manifest_text, picture_of

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_manifest_is_the_example_of_the_project() -> None:
    """The installed demo and examples/tcp-routing.yaml are the same text."""
    assert manifest_text({}) == (EXAMPLES / "tcp-routing.yaml").read_text()


def test_other_ports_are_put_into_the_manifest() -> None:
    """Listeners and comments name the ports that are used, the backends' port stays."""
    text = manifest_text({8080: 8090, 8090: 9999})
    ports = [listener["port"] for listener in next(yaml.safe_load_all(text))["spec"]["listeners"]]
    assert ports == [8090, 9999]
    assert text.count("port: 6000") == 2
    assert "Connections to port 8090 go to my-foo-service, those to port 9999" in text


def test_a_busy_port_is_replaced_by_one_nearby() -> None:
    """A port that somebody listens on is not taken, and no port twice."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = other.getsockname()[1]
        chosen = choose_ports([busy, busy + 1])
    assert busy not in chosen.values()
    assert len(set(chosen.values())) == 2


async def test_the_watcher_waits_for_listeners_to_settle() -> None:
    """A first state with a pending listener is not shown while it may still become live."""
    watcher = Watcher()
    watcher.on_state(state(listener_view(state="Pending")))
    async with asyncio.TaskGroup() as tasks:
        shown = tasks.create_task(watcher.changed(None, settle=5))
        await asyncio.sleep(0)
        watcher.on_state(state(listener_view()))
    assert shown.result().listeners[0].state == "Live"


async def test_what_stays_pending_is_shown_after_all() -> None:
    """After the time to settle, the newest state counts."""
    watcher = Watcher()
    watcher.on_state(state(listener_view(state="Pending")))
    assert (await watcher.changed(None, settle=0.01)).listeners[0].state == "Pending"


async def test_counters_are_no_change() -> None:
    """Traffic alone draws nothing anew; another backend does."""
    before = state(listener_view())
    watcher = Watcher()
    async with asyncio.TaskGroup() as tasks:
        shown = tasks.create_task(watcher.changed(before, settle=1))
        watcher.on_state(state(listener_view(opened=5, active=1)))
        await asyncio.sleep(0)
        watcher.on_state(state(listener_view(port=8081)))
    assert shown.result().listeners[0].port == 8081
    assert picture_of(before) == picture_of(state(listener_view(opened=5)))
