"""What flows through a listener arrives as it was sent, in whichever order the two sides speak and end."""

import asyncio
import hashlib
import resource
from pathlib import Path

import pytest

from support.backends import Backend, EndsFirst, answer_after_end, echo
from support.clients import Conversation, connection, crowd
from support.instances import Instance, Instances
from support.manifests import backend, gateway, listener, parent, tcproute, write
from support.ports import Ports

BULK = 100 * 1024 * 1024
BLOCK = bytes(range(256)) * 1024
CROWD = 3000
FILES_NEEDED = 3 * CROWD

SOCKET_TABLE = Path("/proc/net/tcp")
ESTABLISHED = "01"
KEEPALIVE_TIMER = "02"


def socket_timers() -> dict[tuple[int, int], str]:
    """The kind of timer that runs on each established TCP socket, by local and remote port."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in SOCKET_TABLE.with_name(name).read_text().splitlines()]
    return {
        (int(row[1].rpartition(":")[2], 16), int(row[2].rpartition(":")[2], 16)): row[5].partition(":")[0]
        for row in rows
        if row[3] == ESTABLISHED
    }


async def serve(tidegate: Instances, manifest: Path, port: int, app: Backend, *, under: str = ":") -> Instance:
    """An instance that forwards a port to one backend, ready; ``under`` lowers its limits."""
    write(
        manifest,
        gateway("edge", [listener("tcp", port)]),
        tcproute("app", [parent("edge")], [backend("app")]),
    )
    instance = tidegate.start(manifest, "--backend", f"app:6000={app.address}", under=under)
    await instance.wait_ready()
    return instance


async def test_server_may_speak_first(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A greeting arrives before the client has sent anything."""
    port = ports.reserve()
    async with Backend("app") as app:
        await serve(tidegate, tmp_path / "gateway.yaml", port, app)
        async with connection(port) as conversation, asyncio.timeout(5):
            assert await conversation.line() == "app"
            assert await conversation.echoes("and then the client")


async def test_client_may_end_first(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """The client's end of data reaches the backend, and the backend's answer still reaches the client."""
    port = ports.reserve()
    async with Backend("app", answer_after_end) as app:
        await serve(tidegate, tmp_path / "gateway.yaml", port, app)
        async with connection(port) as conversation, asyncio.timeout(5):
            await conversation.send(b"x" * 5000)
            conversation.end()
            assert await conversation.line() == "received 5000"


async def test_server_may_end_first(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """The backend's end of data reaches the client, and what the client sends then still arrives."""
    port = ports.reserve()
    speak = EndsFirst()
    async with Backend("app", speak) as app:
        await serve(tidegate, tmp_path / "gateway.yaml", port, app)
        async with connection(port) as conversation, asyncio.timeout(5):
            assert await conversation.line() == "that is all"
            assert await conversation.receive(1) == b""
            await conversation.send(b"still here")
            conversation.end()
            await speak.ended.wait()
    assert speak.received == b"still here"


async def send_bulk(conversation: Conversation) -> str:
    """Send 100 MB and end; the digest of what was sent."""
    digest = hashlib.sha256()
    for number in range(BULK // len(BLOCK)):
        block = number.to_bytes(8, "big") + BLOCK[8:]
        digest.update(block)
        await conversation.send(block)
    conversation.end()
    return digest.hexdigest()


async def receive_bulk(conversation: Conversation) -> tuple[int, str]:
    """Count and digest of everything until the other side's end."""
    digest = hashlib.sha256()
    count = 0
    while data := await conversation.receive(1 << 20):
        digest.update(data)
        count += len(data)
    return count, digest.hexdigest()


async def test_hundred_megabytes_arrive_intact_each_way(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """What an echo backend returns of 100 MB is the same, to the byte, and the counters say as much."""
    port = ports.reserve()
    async with Backend("app", echo) as app:
        instance = await serve(tidegate, tmp_path / "gateway.yaml", port, app)
        async with connection(port) as conversation, asyncio.TaskGroup() as group:
            sent = group.create_task(send_bulk(conversation))
            received = group.create_task(receive_bulk(conversation))
        state = await instance.wait(
            lambda state: state.listeners[0].active == 0 and state.listeners[0].sent >= BULK,
            what="the connection is counted",
        )
    assert received.result() == (BULK, sent.result())
    assert (state.listeners[0].received, state.listeners[0].sent) == (BULK, BULK)
    assert state.listeners[0].opened == 1


@pytest.mark.timeout(180)
async def test_three_thousand_connections_at_once(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """On default settings 3,000 connections through one listener are open and alive at the same time."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES_NEEDED:
        pytest.skip(f"needs {FILES_NEEDED} open files, this user may have {soft}")
    port = ports.reserve()
    async with Backend("app") as app:
        instance = await serve(tidegate, tmp_path / "gateway.yaml", port, app)
        async with crowd(port, CROWD) as people:
            await people.check()
            assert not people.broken
            assert people.backends == {"app": CROWD}
            assert app.active == CROWD
            await instance.wait(lambda state: state.listeners[0].active == CROWD, what="all are counted")


async def test_soft_limit_of_open_files_is_raised(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A login's usual soft limit does not bound the connections: 200 are open where 100 files were permitted."""
    port = ports.reserve()
    async with Backend("app") as app:
        await serve(tidegate, tmp_path / "gateway.yaml", port, app, under="ulimit -S -n 100")
        async with crowd(port, 200) as people:
            await people.check()
            assert not people.broken
            assert people.backends == {"app": 200}


async def test_low_hard_limit_of_open_files_is_said_at_start(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Where few files are permitted, the instance says how many connections that is enough for."""
    async with Backend("app") as app:
        instance = await serve(
            tidegate, tmp_path / "gateway.yaml", ports.reserve(), app, under="ulimit -S -n 2000; ulimit -H -n 2000"
        )
    assert "2000 files" in instance.text()
    assert "connections" in instance.text()


@pytest.mark.skipif(not SOCKET_TABLE.exists(), reason="needs the kernel's table of sockets (Linux)")
async def test_keepalive_is_on_for_both_sides(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Envoy's sockets to the client and to the backend have a keepalive timer running."""
    port = ports.reserve()
    async with Backend("app") as app:
        await serve(tidegate, tmp_path / "gateway.yaml", port, app)
        async with connection(port) as conversation:
            await conversation.line()
            client_port = conversation.socket.getsockname()[1]
            timers = socket_timers()
            assert timers[port, client_port] == KEEPALIVE_TIMER
            (upstream,) = (timer for (_, remote), timer in timers.items() if remote == app.port)
            assert upstream == KEEPALIVE_TIMER
